"""The command executor with real commands: what it plans, how each of them ends, and its way back."""

import os
import signal
import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jamaint.core.plans import MassDeletion, Step, step_from_json, step_to_json
from jamaint.executors import executor_of
from jamaint.executors.command.executor import Command
from jamaint.executors.shared.executor import StepError, StopRequestedError, Work
from jamaint.host.processes.run import children

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


class Listener:
    """A Host that keeps what it is told, and stops when a line says so."""

    def __init__(self, stop_at: str | None = None) -> None:
        self.said: list[tuple[str, str]] = []
        self._stop_at = stop_at
        self._stopped = threading.Event()

    @property
    def lines(self) -> list[str]:
        return [message for level, message in self.said if level == "info"]

    def progress(self, done: int, total: int | None, unit: str) -> None:
        raise AssertionError("a command has no progress that could be known")

    def log(self, level: str, message: str) -> None:
        self.said.append((level, message))
        if message == self._stop_at:
            self._stopped.set()

    def checkpoint(self) -> None:
        if self._stopped.is_set():
            raise StopRequestedError

    def paused(self) -> int:
        self.checkpoint()
        return 0

    def waiting(self, why: str) -> None:
        pass

    def alone(self) -> bool:
        return True

    def taken(self, block: bytes) -> None:
        """See Host."""

    def portion(self, most: int) -> int:
        return most

    def held(self, number: int) -> None:
        raise AssertionError("nothing is paused")


@pytest.fixture
def work() -> Iterator[Work]:
    before = children()
    yield Work(
        execution=f"test-{uuid.uuid4()}",
        task_name="reindex-search",
        config={},
        keeps_way_back=True,
        mass_deletion=MassDeletion(),
        timeout_seconds=None,
        now=datetime(2026, 11, 24, 2, tzinfo=UTC),
        low_space=0.1,
    )
    assert children() == before


def shell(script: str, **more: Any) -> dict[str, Any]:
    return {"command": ["/bin/sh", "-c", script], **more}


def command(work: Work, config: dict[str, Any], host: Listener | None = None) -> Command:
    return Command(replace(work, config=config), host or Listener())


def perform(work: Work, config: dict[str, Any], host: Listener | None = None) -> dict[str, Any]:
    """Plans and runs, with the step going the way through the store."""
    executor = command(work, config, host)
    (step,) = executor.plan().steps
    return executor.run(step_from_json(step_to_json(step)))


def test_it_is_on_the_list() -> None:
    assert executor_of("command") is Command


# Plans


def test_a_plan_is_one_step_that_says_what_will_run_and_how_to_go_back(work: Work) -> None:
    config = {"command": ["/bin/echo", "a b", "$HOME;"], "rollback_command": ["/bin/true"]}
    (step,) = command(work, config).plan().steps
    assert step == Step(
        name="command",
        says="run: /bin/echo 'a b' '$HOME;'; to go back: /bin/true",
        args={"command": ["/bin/echo", "a b", "$HOME;"]},
        undo={"command": ["/bin/true"], "once": True},
    )


def test_a_plan_says_when_there_is_no_way_back_and_why(work: Work) -> None:
    (step,) = command(work, {"command": ["/bin/true"]}).plan().steps
    assert (step.undo, step.says) == (None, "run: /bin/true; cannot be undone: no rollback_command is set")
    config = {"command": ["/bin/true"], "rollback_command": ["/bin/true"]}
    (step,) = command(replace(work, keeps_way_back=False), config).plan().steps
    assert (step.undo, step.says) == (None, "run: /bin/true; cannot be undone: the task keeps no undo data")


def test_a_plan_runs_nothing(work: Work, tmp_path: Path) -> None:
    command(work, shell(f"touch {tmp_path}/ran", rollback_command=["/bin/true"])).plan()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"command": ["/nowhere/x"]}, "there is no program /nowhere/x"),
        ({"command": ["no-such-program-here"]}, "there is no program no-such-program-here"),
        ({"command": ["bin/true"]}, "bin/true is neither an absolute path nor a name alone"),
        ({"command": ["/etc"]}, "there is no program /etc"),
        ({"command": ["/etc/passwd"]}, "may not execute /etc/passwd"),
        ({"command": ["/bin/true"], "rollback_command": ["/nowhere/y"]}, "there is no program /nowhere/y"),
        ({"command": ["/bin/true"], "user": "no-such-user"}, "there is no user no-such-user on this machine"),
        ({"command": ["/bin/true"], "working_directory": "/nowhere"}, "the working directory /nowhere is not there"),
    ],
)
def test_a_plan_refuses_what_could_not_run(work: Work, config: dict[str, Any], problem: str) -> None:
    with pytest.raises(StepError) as failed:
        command(work, config).plan()
    assert problem in failed.value.message


def test_a_name_alone_is_found_in_the_fixed_path_only(
    work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "program-of-the-caller"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StepError, match="there is no program"):
        command(work, {"command": [program.name]}).plan()
    assert perform(work, {"command": ["true"]})["exit_code"] == 0


@as_root
def test_a_plan_looks_with_the_eyes_of_the_user_it_will_be(work: Work, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    assert command(work, {"command": [str(program)]}).plan().steps
    with pytest.raises(StepError, match=f"nobody may not execute {program}"):
        command(work, {"command": [str(program)], "user": "nobody"}).plan()
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    with pytest.raises(StepError, match="nobody may not enter the working directory"):
        command(work, {"command": ["/bin/true"], "user": "nobody", "working_directory": str(private)}).plan()


# How it runs


def test_a_success_has_its_figures_and_its_output_line_by_line(work: Work) -> None:
    host = Listener()
    details = perform(work, shell("echo out; echo err >&2; printf 'no newline'"), host)
    assert host.said == [("info", "out"), ("info", "err"), ("info", "no newline")]
    assert details.pop("max_rss_bytes") > 1 << 20
    assert 0 <= details.pop("cpu_seconds") < 10
    assert details == {"exit_code": 0, "signal": None, "output_lines": 3, "output_bytes": 18, "omitted_bytes": 0}


def test_arguments_reach_the_program_as_they_are(work: Work) -> None:
    host = Listener()
    hostile = ["; echo x", "$(echo x)", "-n", "two\nlines", "été", "* ?", ""]
    perform(work, {"command": ["/usr/bin/printf", "[%s]", *hostile]}, host)
    assert "".join(host.lines) == "".join(f"[{text}]" for text in hostile).replace("\n", "")


def test_output_that_is_no_text_is_escaped(work: Work) -> None:
    host = Listener()
    perform(work, shell(r"printf 'nul \000 esc \033[2J bytes \377\376 \n'"), host)
    assert host.lines == ["nul \\x00 esc \\x1b[2J bytes \\xff\\xfe "]


def test_huge_output_is_bounded_and_counted_and_does_not_block_the_command(work: Work) -> None:
    host = Listener()
    details = perform(work, shell("head -c 50000000 /dev/zero; echo; echo the end"), host)
    assert (details["output_bytes"], details["output_lines"]) == (50_000_009, 2)
    assert details["omitted_bytes"] > 48_000_000
    assert host.lines[-1] == "the end"
    assert f"[{details['omitted_bytes']} bytes of output are left out here]" in host.lines


def test_the_environment_is_fixed_and_small(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LD_PRELOAD", "PYTHONPATH", "PGPASSFILE", "TZ", "LANG", "HOME"):
        monkeypatch.setenv(name, "/from/the/caller")
    host = Listener()
    perform(work, {"command": ["/usr/bin/env"], "environment": {"INDEX": "all", "JAMAINT_EXECUTION": "other"}}, host)
    found = dict(line.split("=", 1) for line in host.lines)
    assert found.keys() == {"PATH", "LANG", "HOME", "USER", "LOGNAME", "SHELL", "INDEX", "JAMAINT_EXECUTION"}
    assert found["JAMAINT_EXECUTION"] == work.execution
    assert (found["LANG"], found["INDEX"]) == ("C.UTF-8", "all")
    assert "/from/the/caller" not in found.values()


def test_it_inherits_no_descriptor_no_terminal_no_signal_and_no_directory(work: Work) -> None:
    inherited = os.open("/etc/passwd", os.O_RDONLY)
    os.set_inheritable(inherited, True)
    host = Listener()
    script = """
        readlink /proc/$$/fd/0; ls /proc/$$/fd | tr '\n' ' '; echo; pwd; umask
        grep -E '^(SigBlk|SigIgn)' /proc/$$/status | cut -f2; [ $(ps -o sid= -p $$) = $$ ] && echo own session
    """
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        perform(work, shell(script.replace("$(ps -o sid= -p $$)", "$(cut -d' ' -f6 /proc/$$/stat)")), host)
    finally:
        os.close(inherited)
    stdin, descriptors, directory, umask, sig_blocked, sig_ignored, session = host.lines
    assert (stdin, directory, umask, session) == ("/dev/null", "/", "0022", "own session")
    assert {int(number) for number in descriptors.split()} <= {0, 1, 2}
    assert blocked == set()
    # 32 and 33 are the C library's own: no program can set them, and whoever started the tests may have them ignored.
    assert (int(sig_blocked, 16), int(sig_ignored, 16) & ~(0b11 << 31)) == (0, 0)


def test_the_working_directory_is_the_tasks(work: Work, tmp_path: Path) -> None:
    host = Listener()
    perform(work, {"command": ["/bin/pwd"], "working_directory": str(tmp_path)}, host)
    assert host.lines == [str(tmp_path)]


@as_root
def test_it_runs_wholly_as_the_user(work: Work) -> None:
    host = Listener()
    perform(work, shell("id -u; id -g; id -G; grep ^Uid: /proc/self/status; echo $HOME $USER", user="nobody"), host)
    assert host.lines == ["65534", "65534", "65534", "Uid:\t65534\t65534\t65534\t65534", "/nonexistent nobody"]


# How it ends


def test_an_exit_that_is_no_success_fails_with_its_last_line(work: Work) -> None:
    with pytest.raises(StepError) as failed:
        perform(work, shell("echo working; echo; echo the index is locked; echo; exit 3"))
    assert failed.value.message == "reindex-search exited with 3; last line: the index is locked"
    assert (failed.value.kind, failed.value.details["exit_code"]) == ("exit", 3)
    with pytest.raises(StepError, match=r"^reindex-search exited with 1$"):
        perform(work, {"command": ["/bin/false"]})


def test_the_task_says_which_exits_are_successes(work: Work) -> None:
    assert perform(work, shell("exit 1", success_exit_codes=[0, 1]))["exit_code"] == 1
    with pytest.raises(StepError, match="exited with 0"):
        perform(work, shell("exit 0", success_exit_codes=[1]))


def test_a_signal_is_a_failure_and_named(work: Work) -> None:
    with pytest.raises(StepError) as failed:
        perform(work, shell("echo here; kill -SEGV $$", success_exit_codes=[0, 11, 139]))
    assert failed.value.message == "reindex-search was killed by SIGSEGV; last line: here"
    assert (failed.value.kind, failed.value.details["signal"]) == ("exit", "SIGSEGV")
    assert failed.value.details["exit_code"] is None


def test_what_is_no_program_after_all_fails_as_one_that_could_not_start(work: Work, tmp_path: Path) -> None:
    for content in (b"\0\0\0\0", b"#!/nowhere/interpreter\n"):
        program = tmp_path / "program"
        program.write_bytes(content)
        program.chmod(0o755)
        with pytest.raises(StepError, match=r"^reindex-search could not be started: ") as failed:
            perform(work, {"command": [str(program)]})
        assert failed.value.kind == "failed"


GRANDCHILDREN = """
    (setsid sh -c 'trap "" TERM HUP; echo $$; exec env -i tail -f /dev/null' &)
    (setsid tail -f /dev/null & echo $!)
    echo begun
    exec tail -f /dev/null
"""


def gone(pid: str) -> bool:
    return not Path("/proc", pid).exists()


def test_a_timeout_ends_all_that_was_started_wherever_it_went(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jamaint.executors.command.executor.GRACE_SECONDS", 0.3)
    host = Listener()
    with pytest.raises(StepError) as failed:
        perform(replace(work, timeout_seconds=0.5), shell(GRANDCHILDREN), host)
    assert failed.value.kind == "timeout"
    assert "reindex-search was ended: it had not finished within 0.5 s; last line: " in failed.value.message
    assert failed.value.details["signal"] == "SIGTERM"
    pids = [line for line in host.lines if line.isdigit()]
    assert len(pids) == 2
    assert all(gone(pid) for pid in pids)


def test_a_cancel_lets_the_command_end_in_order_and_gives_the_figures(work: Work, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    host = Listener(stop_at="begun")
    script = f"trap 'echo tidying; exit 5' TERM; exec 3<> {tmp_path}/pipe; echo begun; read line <&3"
    with pytest.raises(StopRequestedError) as stopped:
        perform(work, shell(script), host)
    assert host.lines == ["begun", "tidying"]
    assert (stopped.value.args[0]["exit_code"], stopped.value.args[0]["output_lines"]) == (5, 2)


def test_nothing_is_begun_after_a_cancel(work: Work, tmp_path: Path) -> None:
    host = Listener(stop_at="stop")
    host.log("info", "stop")
    with pytest.raises(StopRequestedError):
        perform(work, {"command": ["/bin/touch", f"{tmp_path}/ran"]}, host)
    assert list(tmp_path.iterdir()) == []


def test_what_it_leaves_in_the_background_is_ended_and_told(work: Work) -> None:
    host = Listener()
    assert perform(work, shell("setsid tail -f /dev/null & echo $!"), host)["exit_code"] == 0
    assert host.said[1:] == [("warning", "ended 1 background processes it had left")]
    assert gone(host.lines[0])


def test_a_command_that_is_not_the_tasks_is_not_run(work: Work, tmp_path: Path) -> None:
    step = Step(name="command", says="", args={"command": ["/bin/touch", f"{tmp_path}/ran"]})
    with pytest.raises(StepError) as failed:
        command(work, {"command": ["/bin/true"]}).run(step)
    assert failed.value.kind == "refused"
    assert list(tmp_path.iterdir()) == []


# Its way back


def test_undo_runs_the_rollback_command_once(work: Work, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    host = Listener()
    executor = command(
        work, shell(f"echo on >> {mark}", rollback_command=["/bin/sh", "-c", f"echo off >> {mark}; echo back"]), host
    )
    (step,) = executor.plan().steps
    executor.run(step)
    assert executor.undo(step, dry_run=False) == {
        "restored": 1, "removed": 0, "kept": [], "problems": [], "unit": "command",
    }  # fmt: skip
    assert executor.undo(step, dry_run=False)["restored"] == 0
    assert mark.read_text() == "on\noff\n"
    assert host.lines == ["back"]


def test_a_dry_run_of_undo_says_what_it_would_run(work: Work, tmp_path: Path) -> None:
    host = Listener()
    rollback = ["/bin/touch", f"{tmp_path}/ran it"]
    executor = command(work, {"command": ["/bin/true"], "rollback_command": rollback}, host)
    (step,) = executor.plan().steps
    assert executor.undo(step, dry_run=True)["restored"] == 1
    assert host.lines == [f"would run: /bin/touch '{tmp_path}/ran it'"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("rollback", "why"),
    [
        (["/bin/sh", "-c", "echo cannot; exit 4"], "reindex-search exited with 4; last line: cannot"),
        (["/bin/sh", "-c", "kill -9 $$"], "reindex-search was killed by SIGKILL"),
    ],
)
def test_a_rollback_command_that_fails_is_a_problem(work: Work, rollback: list[str], why: str) -> None:
    executor = command(work, {"command": ["/bin/true"], "rollback_command": rollback})
    (step,) = executor.plan().steps
    answer = executor.undo(step, dry_run=False)
    assert (answer["restored"], answer["problems"]) == (0, [{"path": "/bin/sh", "why": why}])


def test_a_rollback_command_that_has_gone_is_a_problem(work: Work, tmp_path: Path) -> None:
    program = tmp_path / "back"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    executor = command(work, {"command": ["/bin/true"], "rollback_command": [str(program)]})
    (step,) = executor.plan().steps
    program.unlink()
    (problem,) = executor.undo(step, dry_run=False)["problems"]
    assert problem["why"].startswith("reindex-search could not be started: ")


def test_a_rollback_command_that_is_not_the_tasks_is_not_run(work: Work, tmp_path: Path) -> None:
    undo = {"command": ["/bin/touch", f"{tmp_path}/ran"]}
    step = Step(name="command", says="", args={"command": ["/bin/true"]}, undo=undo)
    config = {"command": ["/bin/true"], "rollback_command": ["/bin/true"]}
    for dry_run in (True, False):
        answer = command(work, config).undo(step, dry_run)
        assert answer["restored"] == 0
        assert "not the one that was planned" in answer["problems"][0]["why"]
    assert list(tmp_path.iterdir()) == []


def test_a_step_without_a_way_back_has_nothing_to_undo_or_purge(work: Work) -> None:
    executor = command(work, {"command": ["/bin/true"]})
    (step,) = executor.plan().steps
    assert executor.undo(step, dry_run=False) == {
        "restored": 0,
        "removed": 0,
        "kept": [],
        "problems": [],
        "unit": "command",
    }
    assert executor.purge(step) == {"freed_space": 0, "items": 0}
