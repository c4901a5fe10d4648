"""The README's transcript, typed as it stands there, against the sample that `make run` starts."""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon_harness import Client, client
from tree_snapshot import Entry, differences, snapshot

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent
SECONDS = 120


@pytest.fixture
def sample() -> Iterator[Path]:
    """A directory in which `make run` has been typed; its daemon is stopped at the end."""
    with tempfile.TemporaryDirectory(prefix="ja-", dir="/var/tmp") as name:
        place = Path(name)
        place.chmod(0o755)
        started = [sys.executable, str(ROOT / "packaging" / "sample.py"), str(PROGRAMS)]
        with (place / "said").open("wb") as said:
            process = subprocess.Popen(started, cwd=place, stdout=said, stderr=said)
        try:
            yield place
        finally:
            process.terminate()
            process.wait(SECONDS)


def typed_commands() -> list[str]:
    """What the README types in the second shell."""
    return re.findall(r"^    \$ (jamaintctl .*)$", (ROOT / "README.md").read_text(), re.MULTILINE)


def test_the_readme_as_it_stands(sample: Path) -> None:
    before = _logs_before_the_window_opens(sample)
    with client(_socket(sample)) as caller, client(_socket(sample)) as watching:
        caller.call("execution.wait", execution=_first_execution(caller, watching), timeout=SECONDS)
        assert differences(before, snapshot(_logs(sample))) != []
    answers = {command: _type(sample, command) for command in typed_commands()}
    assert "jamaintctl rollback last" in answers
    for command, answer in answers.items():
        assert answer.returncode == 0, (command, answer)
    assert "app-logs" in answers["jamaintctl status"].stdout
    assert "compression  completed" in answers["jamaintctl execution show last"].stdout
    assert re.search(r"rolled back: \d{3} files put back", answers["jamaintctl rollback last"].stdout)
    assert re.search(r"app-logs .*: \d{3} files in .* released", answers["jamaintctl held release last"].stdout)
    assert re.search(r"app-logs completed(.|\n)*\d{2,} files", answers["jamaintctl execute app-logs"].stdout)
    assert "app-logs would run now" in answers["jamaintctl why app-logs"].stdout
    _roll_back_what_the_readme_left(sample)
    assert differences(before, snapshot(_logs(sample))) == []


def _logs_before_the_window_opens(sample: Path) -> dict[bytes, Entry]:
    """The tree as it was made: the daemon's socket is there seconds before the window opens, and before it is up."""
    _type(sample, "until [ -S .run/socket/jamaintd.sock ]; do read -t 0.1 < <(:) || :; done")
    made = dict(snapshot(_logs(sample)))
    _type(sample, "until jamaintctl task list >&2; do read -t 0.1 < <(:) || :; done")
    return made


def _first_execution(caller: Client, watching: Client) -> str:
    """The id of the execution that the window's opening starts; a daemon that took longer than that to come up had
    nothing due any more, and is asked for it."""
    watching.call("event.subscribe")
    is_due = caller.call("task.get", task="app-logs")["next_due"] is not None
    found = caller.call("execution.list", task="app-logs")["items"]
    if not found and not is_due:
        return str(caller.call("execution.start", task="app-logs")["execution_id"])
    while not found:
        event = watching.receive().event
        if event is not None and event["event"] == "execution.started":
            return str(event["execution"]["id"])
    return str(found[0]["id"])


def _roll_back_what_the_readme_left(sample: Path) -> None:
    listed = _type(sample, "jamaintctl execution list --task app-logs --limit 1 --json")
    ident = re.search(r'"id":"([0-9a-f-]{36})"', listed.stdout)
    assert ident is not None
    assert _type(sample, f"jamaintctl rollback {ident[1]}").returncode == 0


def _type(sample: Path, command: str) -> "subprocess.CompletedProcess[str]":
    script = f"[ ! -e .run/env ] || . .run/env; {command}"
    return subprocess.run(
        ["bash", "-c", script], cwd=sample, capture_output=True, text=True, timeout=SECONDS, check=False
    )


def _logs(sample: Path) -> Path:
    return sample / ".run" / "state" / "sample" / "logs"


def _socket(sample: Path) -> Path:
    return sample / ".run" / "socket" / "jamaintd.sock"
