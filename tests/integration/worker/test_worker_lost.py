"""Workers that end, or speak, as nobody asked for: it is told, and nothing of them is left."""

import os
import resource
import signal
import sys

import pytest
import trio
import trio.testing

from jamaint.worker_client import child_process
from jamaint.worker_client.session import WorkerLostError, open_worker
from worker_processes import (
    STRAYS,
    Heard,
    all_ended,
    boots,
    fill_descriptors,
    marked,
    opening,
    planned,
    shell,
)

# Ends that nobody asked for


@pytest.mark.parametrize("link", ["child"], indirect=True)
async def test_a_worker_that_is_killed_is_lost_and_what_it_started_is_ended(execution: str, heard: Heard) -> None:
    script = "(setsid tail -f /dev/null & echo stray $!); tail -f /dev/null & echo begun; wait"
    async with open_worker(shell(execution, script), heard, heard.stderr.append) as worker:
        step = await planned(worker)
        async with trio.open_nursery() as nursery:

            async def kill() -> None:
                await heard.line("begun")
                os.kill(worker.pid, signal.SIGKILL)

            nursery.start_soon(kill)
            with pytest.raises(WorkerLostError) as lost:
                await worker.ask({"do": "run", "step": step})
        strays = heard.strays()
        with pytest.raises(WorkerLostError):
            await worker.ask({"do": "plan"})
    assert (lost.value.exit_status, lost.value.message) == (-9, "the worker was killed by SIGKILL")
    assert len(strays) == 1
    assert all_ended(strays)


async def test_a_cancelled_daemon_side_leaves_nothing(execution: str, heard: Heard) -> None:
    with trio.CancelScope() as scope:
        async with open_worker(shell(execution, STRAYS), heard, heard.stderr.append, grace_seconds=1) as worker:
            step = await planned(worker)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(worker.ask, {"do": "run", "step": step})
                await heard.line("begun")
                strays = heard.strays()
                scope.cancel()
    assert scope.cancelled_caught
    assert len(strays) == 2
    assert all_ended(strays)


async def test_cancelled_while_it_starts(execution: str, heard: Heard) -> None:
    for checkpoints in range(6):
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:

                async def cancel_after(count: int = checkpoints) -> None:
                    for _ in range(count):
                        await trio.lowlevel.checkpoint()
                    scope.cancel()

                nursery.start_soon(cancel_after)
                async with open_worker(opening(execution), heard, heard.stderr.append) as worker:
                    await worker.ask({"do": "plan"})
                    await trio.sleep_forever()
        assert scope.cancelled_caught
        assert not list(marked(execution))


async def test_an_abandoned_operation_leaves_a_worker_of_no_use(execution: str, heard: Heard) -> None:
    async with open_worker(shell(execution, STRAYS), heard, heard.stderr.append, grace_seconds=1) as worker:
        step = await planned(worker)
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(worker.ask, {"do": "run", "step": step})
                await heard.line("begun")
                scope.cancel()
        with pytest.raises(WorkerLostError, match="abandoned"):
            await worker.ask({"do": "plan"})


async def test_what_the_body_raises_comes_out_as_it_is(execution: str, heard: Heard) -> None:
    raised = LookupError()
    try:
        async with open_worker(opening(execution), heard, heard.stderr.append) as worker:
            await worker.ask({"do": "plan"})
            raise raised
    except Exception as error:
        assert error is raised  # noqa: PT017 - not in a group


async def test_one_operation_at_a_time(execution: str, heard: Heard, impatient: None) -> None:
    async with open_worker(shell(execution, STRAYS), heard, heard.stderr.append) as worker:
        step = await planned(worker)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(worker.ask, {"do": "run", "step": step})
            await heard.line("begun")
            with pytest.raises(RuntimeError):
                await worker.ask({"do": "plan"})
            await worker.cancel()


@pytest.mark.parametrize("link", ["child"], indirect=True)
async def test_a_worker_that_cannot_start_is_lost(
    execution: str, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(WorkerLostError, match="no worker could be started: "):
        async with open_worker(opening(execution), heard, heard.stderr.append):
            pass


@pytest.mark.parametrize("link", ["child"], indirect=True)
async def test_no_descriptors_left_is_a_lost_worker_and_no_more(execution: str, heard: Heard) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    fillers = fill_descriptors()
    highest = fillers[-1]
    started = 0
    try:
        for room in range(1, 32):
            resource.setrlimit(resource.RLIMIT_NOFILE, (highest + room, hard))
            try:
                async with open_worker(opening(execution), heard, heard.stderr.append) as worker:
                    assert (await worker.ask({"do": "plan"}))["is"] == "plan"
                    started += 1
            except WorkerLostError:
                continue
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in fillers:
            os.close(descriptor)
    assert 0 < started < 30


# Workers that are not what they should be


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("daemon.write(b'garbage\\n')", "the worker said what is no answer: no whole value at character 0"),
        ("daemon.write(b'[1]\\n')", "the worker said what is no answer: not an object"),
        ("daemon.write(b'\\xff\\n')", "the worker said what is no answer: 'utf-8' codec"),
        ('daemon.write(b\'{"is":"odd"}\\n\')', "the worker said what is no answer: a line that is 'odd'"),
        ("daemon.write(b'{}\\n')", "the worker said what is no answer: a line that is None"),
        (
            "while True: daemon.write(b'x' * 65536)",
            "the worker said what is no answer: a line may have at most 16777216 bytes",
        ),
        ("daemon.write(b'half a li'); sys.exit(4)", "the worker exited with 4"),
        ("sys.exit('out of paper')", "the worker exited with 1: out of paper"),
        ("os.close(1)", "the worker exited with 0"),
    ],
)
async def test_a_worker_that_speaks_nonsense_is_lost(
    execution: str, heard: Heard, monkeypatch: pytest.MonkeyPatch, code: str, problem: str
) -> None:
    boots(monkeypatch, f"sys.stdin.readline()\n{code}\nsys.stdin.read()")
    if code == "os.close(1)":
        monkeypatch.setattr(child_process, "_BOOT", "import os")
    async with open_worker(opening(execution), heard, heard.stderr.append, grace_seconds=0.5) as worker:
        with pytest.raises(WorkerLostError) as lost, trio.fail_after(30):
            await worker.ask({"do": "plan"})
    assert lost.value.message.startswith(problem)


@pytest.mark.parametrize("link", ["child"], indirect=True)
async def test_one_that_closes_its_pipe_and_lives_on_is_lost(
    execution: str, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_process, "_STATUS_SECONDS", 0.2)
    boots(monkeypatch, "os.close(1); signal.pause()")
    async with open_worker(opening(execution), heard, heard.stderr.append) as worker:
        with pytest.raises(WorkerLostError, match="closed its pipe and lives on"):
            await worker.ask({"do": "plan"})


async def test_one_that_never_answers_is_ended_by_a_cancel(
    execution: str, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    boots(monkeypatch, "signal.signal(15, signal.SIG_IGN); print('deaf', file=sys.stderr, flush=True); signal.pause()")
    lost: list[WorkerLostError] = []
    async with (
        open_worker(opening(execution), heard, heard.stderr.append, grace_seconds=0.2) as worker,
        trio.open_nursery() as nursery,
    ):

        async def ask() -> None:
            try:
                await worker.ask({"do": "plan"})
            except WorkerLostError as error:
                lost.append(error)

        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        await worker.cancel()
    assert lost[0].message == "the worker did not stop within 0.2 s and was ended"
    assert lost[0].exit_status == -9


@pytest.mark.parametrize("link", ["child"], indirect=True)
async def test_one_that_reads_nothing_and_heeds_nothing_is_ended_when_the_daemon_side_is_cancelled(
    execution: str, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    boots(monkeypatch, 'signal.signal(15, signal.SIG_IGN); daemon.write(b\'{"is":"progress"}\\n\'); signal.pause()')
    words = opening(execution, config="x" * 1_000_000)  # more than the pipe holds
    with trio.move_on_after(0.2) as scope:
        async with open_worker(words, heard, heard.stderr.append, grace_seconds=0.2):
            raise AssertionError("the opening cannot have been taken")
    assert scope.cancelled_caught


async def test_stderr_comes_line_by_line_escaped_and_bounded(
    execution: str, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = """
for number in range(1000): print('line', number, '\\x1b[31m', file=sys.stderr)
sys.stderr.write('y' * 1000000); sys.stderr.flush(); sys.exit(9)
"""
    boots(monkeypatch, code)
    async with open_worker(opening(execution), heard, heard.stderr.append) as worker:
        with pytest.raises(WorkerLostError) as lost:
            await worker.ask({"do": "plan"})
    assert heard.stderr[:2] == ["line 0 \\x1b[31m", "line 1 \\x1b[31m"]
    assert sum(line.count("y") for line in heard.stderr if line.startswith("y")) == 1_000_000
    assert len(lost.value.stderr) == 20
    assert max(map(len, heard.stderr)) == 8192
