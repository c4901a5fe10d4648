"""Workers that are paused and throttled while they work, stopped while they stand, and left alone by their daemon."""

import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
import trio

from jamaint.worker_client.session import Worker, WorkerLostError, open_worker
from worker_processes import Heard, Message, executes, opening, planned, shell

LOOP = """
count = 0
while True:
    host.checkpoint()
    count += 1
    host.progress(count, None, "items")
"""


class Answers:
    """An operation under way, and what came of it."""

    def __init__(self, worker: Worker, order: Message) -> None:
        self._worker, self._order = worker, order
        self.answer: Message | None = None
        self.lost: WorkerLostError | None = None

    async def run(self) -> None:
        try:
            self.answer = await self._worker.ask(self._order)
        except WorkerLostError as lost:
            self.lost = lost


async def held(heard: Heard, number: int) -> None:
    with trio.fail_after(60):
        while {"is": "held", "number": number} not in heard.messages:
            await heard._changed.wait()


async def progressed(heard: Heard, after: int) -> None:
    """Until it has told of progress beyond `after` messages."""
    with trio.fail_after(60):
        while not any(message["is"] == "progress" for message in heard.messages[after:]):
            await heard._changed.wait()


async def test_a_paused_worker_stands_at_its_next_safe_point_and_goes_on(
    execution: str, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    executes(monkeypatch, LOOP)
    async with open_worker(opening(execution, "test"), heard, heard.stderr.append) as worker:
        asked = Answers(worker, {"do": "plan"})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(asked.run)
            await progressed(heard, 0)
            await worker.steer({"do": "pause", "number": 1})
            await held(heard, 1)
            stood = len(heard.messages)
            assert heard.messages[-1] == {"is": "held", "number": 1}  # what it had done is told before
            await worker.steer({"do": "resume"})
            await progressed(heard, stood)
            await worker.steer({"do": "pause", "number": 2})
            await held(heard, 2)
            await worker.cancel()
        assert asked.answer == {"is": "cancelled", "details": {}}


async def test_an_operation_does_not_begin_in_a_pause(execution: str, heard: Heard) -> None:
    async with open_worker(shell(execution, "echo done"), heard, heard.stderr.append) as worker:
        step = await planned(worker)
        await worker.steer({"do": "pause", "number": 1})
        asked = Answers(worker, {"do": "run", "step": step})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(asked.run)
            await held(heard, 1)
            assert heard.lines == []
            await worker.steer({"do": "resume"})
        assert asked.answer is not None
        assert asked.answer["is"] == "done"
        assert heard.lines == ["done"]


async def test_a_worker_whose_daemon_goes_while_it_is_paused_ends(
    execution: str, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    executes(monkeypatch, LOOP)
    async with (
        open_worker(opening(execution, "test"), heard, heard.stderr.append) as worker,
        trio.open_nursery() as tasks,
    ):
        tasks.start_soon(Answers(worker, {"do": "plan"}).run)
        await worker.steer({"do": "pause", "number": 1})
        await held(heard, 1)
        tasks.cancel_scope.cancel()
    assert heard.stderr == []  # the end of the context hangs up; conftest sees that nothing is left


@pytest.mark.parametrize("link", ["child"], indirect=True)
async def test_a_paused_worker_that_is_killed_is_lost(
    execution: str, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    executes(monkeypatch, LOOP)
    async with open_worker(opening(execution, "test"), heard, heard.stderr.append) as worker:
        asked = Answers(worker, {"do": "plan"})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(asked.run)
            await worker.steer({"do": "pause", "number": 1})
            await held(heard, 1)
            signal.pidfd_send_signal(worker._link._exit, signal.SIGKILL)
        assert asked.lost is not None
        assert asked.lost.message == "the worker was killed by SIGKILL"


async def test_a_paused_command_is_stopped_whole_and_goes_on(execution: str, heard: Heard, impatient: None) -> None:
    script = "tail -f /dev/null & echo begun $$ $!; while :; do :; done"
    async with open_worker(shell(execution, script), heard, heard.stderr.append) as worker:
        asked = Answers(worker, {"do": "run", "step": await planned(worker)})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(asked.run)
            with trio.fail_after(60):
                while not heard.lines:
                    await heard._changed.wait()
            pids = [int(pid) for pid in heard.lines[0].split()[1:]]
            await worker.steer({"do": "pause", "number": 1})
            await held(heard, 1)
            await until_states(pids, "T")
            assert "stopped 2 processes (SIGSTOP)" in heard.lines
            await worker.steer({"do": "resume"})
            with trio.fail_after(60):
                while "T" in [state(pid) for pid in pids]:
                    await trio.lowlevel.checkpoint()
            await worker.steer({"do": "pause", "number": 2})
            await held(heard, 2)
            await worker.cancel()
        assert asked.answer is not None
        assert asked.answer["is"] == "cancelled"
        await until_states(pids, "")


async def until_states(pids: Sequence[int], wanted: str) -> None:
    """A signal that is sent is not yet heeded: a process that computes takes it when it has its turn."""
    with trio.fail_after(60):
        while {state(pid) for pid in pids} != {wanted}:
            await trio.lowlevel.checkpoint()


def state(pid: int) -> str:
    """T for one that is stopped, nothing for one that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""
