"""Finding and ending what an execution has started, and nothing else."""

import os
import resource
import select
import signal
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from jamaint.host.processes.run import MARK, Call, _Process, _signal, children, end_all, run, signal_name
from jamaint.host.processes.suspend import Pausing

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes in /proc")


@pytest.fixture
def execution() -> Iterator[str]:
    """An execution of its own; afterwards no process of it is left, and no child of ours."""
    name = f"test-{uuid.uuid4()}"
    before = children()
    yield name
    assert children() == before
    assert marked(name) == set()


def marked(execution: str) -> set[int]:
    """Found without the code under test."""
    found = set()
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"{MARK}={execution}".encode() in environ.read_bytes().split(b"\0"):
                found.add(int(environ.parent.name))
        except OSError:
            continue
    return found


def start(script: str, execution: str | None) -> tuple[subprocess.Popen[bytes], list[int]]:
    """A shell as a dead worker would have left it. Its first line is the process numbers it wants to be known by."""
    environment = {"PATH": os.environ["PATH"]} | ({MARK: execution} if execution else {})
    process = subprocess.Popen(
        ["/bin/sh", "-c", script], stdout=subprocess.PIPE, env=environment, start_new_session=True
    )
    assert process.stdout is not None
    pids = [int(pid) for pid in process.stdout.readline().split()]
    return process, pids


def has_ended(pidfd: int) -> bool:
    return bool(select.select([pidfd], [], [], 0)[0])


def reap(process: subprocess.Popen[bytes]) -> int:
    assert process.stdout is not None
    process.stdout.close()
    return process.wait(10)


def test_end_all_ends_what_carries_the_mark_and_what_is_below_it(execution: str) -> None:
    # The second has left its parent and its session, the third has shed its environment.
    script = """
        (setsid sh -c 'echo $$ > "$0"; exec tail -f /dev/null' "$1" &)
        env -i tail -f /dev/null &
        read second < "$1"; echo $$ $second $!; wait
    """
    pipe = f"/tmp/{execution}"
    os.mkfifo(pipe)
    process, pids = start(script.replace("$1", pipe), execution)
    os.unlink(pipe)
    bystander, _ = start("echo; exec tail -f /dev/null", "test-another")
    pidfds = [os.pidfd_open(pid) for pid in pids]
    try:
        assert len(pids) == 3
        assert end_all(execution) == 3
        assert all(has_ended(pidfd) for pidfd in pidfds)
        reap(process)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        reap(bystander)
        for pidfd in pidfds:
            os.close(pidfd)


def test_what_does_not_heed_sigterm_is_killed(execution: str) -> None:
    process, _ = start("trap '' TERM; echo; while :; do read line < /dev/zero; done", execution)
    assert end_all(execution, grace_seconds=0.2) == 1
    assert reap(process) == -signal.SIGKILL


def test_without_grace_the_first_signal_is_the_last(execution: str) -> None:
    process, _ = start("trap 'exit 7' TERM; tail -f /dev/null & echo; wait", execution)
    assert end_all(execution, grace_seconds=0) == 2
    assert reap(process) == -signal.SIGKILL


def test_one_that_is_stopped_is_let_go_on_so_that_it_can_end_in_order(execution: str) -> None:
    process, _ = start("trap 'exit 7' TERM; echo; kill -STOP $$; read line", execution)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    assert end_all(execution) == 1
    assert reap(process) == 7


def test_those_named_and_this_process_are_spared(execution: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spared, _ = start("echo; exec tail -f /dev/null", execution)
    other, _ = start("echo; exec tail -f /dev/null", execution)
    try:
        assert end_all(execution, but=frozenset({spared.pid})) == 1
        assert reap(other) == -signal.SIGTERM
        assert spared.poll() is None
    finally:
        spared.kill()
        reap(spared)


def test_an_execution_that_has_nothing_left_is_no_error(execution: str) -> None:
    assert end_all(execution) == 0


def test_a_longer_name_that_begins_alike_is_another_execution(execution: str) -> None:
    process, _ = start("echo; exec tail -f /dev/null", execution + "0")
    try:
        assert end_all(execution) == 0
        assert process.poll() is None
    finally:
        process.kill()
        reap(process)


def test_a_number_given_anew_is_not_signalled(execution: str) -> None:
    process, _ = start("echo; exec tail -f /dev/null", execution)
    try:
        assert not _signal(_Process(process.pid, started=1, parent=os.getpid()), signal.SIGKILL)
        assert process.poll() is None
    finally:
        process.kill()
        assert reap(process) == -signal.SIGKILL


def never() -> bool:
    return False


def test_run_leaves_nothing_behind_of_a_command_that_ended_by_itself(execution: str) -> None:
    script = "setsid env -i tail -f /dev/null > /dev/null 2>&1 & echo $!; tail -f /dev/null & exit 0"
    lines: list[str] = []
    ended = run(Call(execution, ("/bin/sh", "-c", script)), lines.append, never)
    assert (ended.exit_code, ended.cut_short, ended.left_behind) == (0, None, 2)
    assert not Path(f"/proc/{lines[0]}").exists()


def test_the_last_of_a_pipe_may_finish_by_itself(execution: str, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    script = f"(read line < {pipe}; echo the last line) & exec 1>&-; exec sh -c 'echo now > {pipe}'"
    lines: list[str] = []
    ended = run(Call(execution, ("/bin/sh", "-c", script)), lines.append, never)
    assert (ended.exit_code, ended.left_behind, lines) == (0, 0, ["the last line"])


def test_what_on_line_raises_ends_the_command_and_is_raised(execution: str) -> None:
    def failing(line: str) -> None:
        raise ConnectionError(line)

    with pytest.raises(ConnectionError, match="said"):
        run(Call(execution, ("/bin/sh", "-c", "echo said; exec tail -f /dev/null")), failing, never)


def test_what_stopping_raises_ends_the_command_and_is_raised(execution: str) -> None:
    def failing() -> bool:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        run(Call(execution, ("/bin/sh", "-c", "tail -f /dev/null & wait")), print, failing)


def test_a_command_that_cannot_start_leaves_no_descriptor_open(execution: str) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    for argv in (("/nowhere/program",), ("/bin/true", "nul\0")):
        with pytest.raises((OSError, ValueError)):
            run(Call(execution, argv), print, never)
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_no_descriptor_left_to_start_with_is_an_error_like_any_other(
    execution: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jamaint.host.processes.run.LINGER_SECONDS", 0)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = sorted(os.listdir("/proc/self/fd"))
    fillers = [os.open(os.devnull, os.O_RDONLY)]
    while fillers[-1] < max(map(int, before)):  # until there is no hole among them, so that a limit applies
        fillers.append(os.open(os.devnull, os.O_RDONLY))
    ran = 0
    try:
        for room in range(1, 16):
            resource.setrlimit(resource.RLIMIT_NOFILE, (fillers[-1] + room, hard))
            try:
                ran += run(Call(execution, ("/bin/sh", "-c", "tail -f /dev/null & exit")), print, never).left_behind
            except OSError:
                continue
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in fillers:
            os.close(descriptor)
    assert 0 < ran < 15
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_signals_have_names() -> None:
    assert (signal_name(9), signal_name(33)) == ("SIGKILL", "signal 33")


def test_its_time_stands_while_a_command_stands_still(execution: str) -> None:
    looks = iter([0, *[1] * 5])
    told: list[tuple[int, int, int]] = []
    call = Call(execution, ("tail", "-f", "/dev/null"), timeout_seconds=0.5, grace_seconds=0.2)
    pausing = Pausing(lambda: next(looks, 0), lambda *figures: told.append(figures))
    ended = run(call, print, lambda: False, pausing)
    assert ended.cut_short == "timeout"
    assert next(looks, None) is None  # a second of looks had passed before half a second of its time
    assert told == [(1, 1, 0)]
