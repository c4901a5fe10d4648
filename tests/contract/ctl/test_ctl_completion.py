"""The Tab key: what the table of verbs and the daemon offer, and the three shells' scripts with their real shells."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jamaint.ctl.verbs.service.completion import SCRIPTS, candidates
from jamaint.ctl.verbs.table import VERBS
from jamaint.errors import unavailable

CTL = Path(sys.executable).parent / "jamaintctl"
SECONDS = 60

TASKS = {"items": [{"name": "app-logs", "description": "old  logs"}, {"name": "app-temp"}, {"name": "reindex"}]}
EXECUTIONS = {"items": [{"id": "5e2f9c11-0000-4000-8000-000000000000", "task_name": "app-logs", "status": "failed"}]}


def _ask(method: str, _params: dict[str, Any]) -> Any:
    return {
        "task.list": TASKS,
        "window.list": {"items": [{"name": "nightly", "description": "every night"}]},
        "execution.list": EXECUTIONS,
    }[method]


def _words(*words: str) -> list[str]:
    return [word for word, _help in candidates(words, VERBS, _ask)]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("exec",), ["execute", "execution"]),
        (("execute", ""), ["app-logs", "app-temp", "reindex"]),
        (("execute", "app-"), ["app-logs", "app-temp"]),
        (("execute", "app-logs", ""), []),
        (("execute", "--window", "n"), ["nightly"]),
        (("execute", "--window=n"), ["--window=nightly"]),
        (("execute", "--window", "nightly", "a"), ["app-logs", "app-temp"]),
        (("execute", "--reason", ""), []),
        (("execute", "--dry-run", "--d"), ["--detach"]),
        (("execute", "--set", "a=1", "--se"), ["--set"]),
        (("--json", "task", "sh"), ["show"]),
        (("rollback", ""), ["last", "5e2f9c11"]),
        (("execution", "list", "--status", "c"), ["completed", "cancelled"]),
        (("task", "create", "-f", ""), [":files"]),
        (("config", "check", "/etc/"), [":files"]),
        (("config", "check", ""), [":files"]),
        (("--socket", ""), [":files"]),
        (("completion", "z"), ["zsh"]),
        (("nonsense", ""), []),
    ],
)
def test_what_can_follow(words: tuple[str, ...], offered: list[str]) -> None:
    assert _words(*words) == offered


def test_every_command_is_offered() -> None:
    assert set(_words("")) == {verb.name.split(" ")[0] for verb in VERBS}


def test_names_come_with_what_they_are() -> None:
    assert candidates(("execute", "app-l"), VERBS, _ask) == [("app-logs", "old logs")]


def test_a_daemon_that_is_away_offers_nothing() -> None:
    def away(_method: str, _params: dict[str, Any]) -> Any:
        raise unavailable("away", 5)

    assert candidates(("execute", ""), VERBS, away) == []


@pytest.mark.parametrize("answer", [None, {}, {"items": [{}]}, {"items": 3}, {"items": ["x"]}])
def test_an_answer_that_makes_no_sense_offers_nothing(answer: Any) -> None:
    assert candidates(("execute", ""), VERBS, lambda _method, _params: answer) == []


@pytest.mark.parametrize("name", ["$(reboot)", "a;reboot", "`reboot`", "a b", "a\nb", "\x1b[31m", "a'b"])
def test_a_name_that_a_shell_could_run_is_not_offered(name: str) -> None:
    assert candidates(("execute", ""), VERBS, lambda _method, _params: {"items": [{"name": name}]}) == []


def test_a_shell_that_is_not_known(ctl: Any) -> None:
    done = ctl("completion", "tcsh")
    assert done.returncode == 2
    assert "no completion for tcsh" in done.stderr


BASH = """
. <("$1" completion bash)
COMP_WORDS=(jamaintctl "${@:3}") COMP_CWORD=$(($# - 2))
_jamaintctl "$1" "${@: -1}"
printf '%s\\n' "${COMPREPLY[@]}"
"""
ZSH = """
_files() { print -r -- :files }
compdef() { : }
compadd() { shift 4; print -rl -- "${(@P)1}" }
. <("$1" completion zsh)
words=("$1" "${@:3}") CURRENT=${#words}
_jamaintctl
"""
FISH = """
$argv[1] completion fish | source
complete -C (string join ' ' -- jamaintctl $argv[3..])
"""


@pytest.mark.parametrize("shell", sorted(SCRIPTS))
def test_in_the_shell_itself(shell: str, daemon: Any, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    daemon.answers["task.list"] = TASKS

    def complete(*words: str) -> list[str]:
        source = {"bash": BASH, "zsh": ZSH, "fish": FISH}[shell]
        done = subprocess.run(
            [shell, "-c", source, *([] if shell == "fish" else ["sh"]), str(CTL), "--", *words],
            env={
                "PATH": f"{CTL.parent}:{os.environ['PATH']}",
                "HOME": str(tmp_path),
                "JAMAINT_SOCKET": str(daemon.path),
                "LANG": "C.UTF-8",
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        assert done.stderr == ""
        return [line.split("\t")[0] for line in done.stdout.splitlines() if line]

    assert complete("execute", "app-") == ["app-logs", "app-temp"]
    assert complete("task", "sh") == ["show"]
    assert complete("execute", "--det") == ["--detach"]
