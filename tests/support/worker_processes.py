"""Real workers for tests: how one is opened, what it says, and that nothing of it is left."""

import os
import select
from collections.abc import Awaitable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from jamaint.core.executor_table import EXECUTORS, ExecutorRow
from jamaint.host.processes.run import MARK
from jamaint.worker_client import child_process
from jamaint.worker_client.session import Worker, open_worker

Message = dict[str, Any]

# The first has shed parent, session, mark and SIGTERM. A command substitution ends when all have let go of its pipe.
STRAYS = """
    echo stray $( (setsid sh -c 'trap "" TERM HUP; echo $$; exec env -i tail -f /dev/null > /dev/null' &) )
    (setsid tail -f /dev/null & echo stray $!)
    tail -f /dev/null & echo begun; wait
"""


class _Recorded:
    """The answer that a block is written down; nobody has to wait for it."""

    def __await__(self) -> Generator[Any, Any, str]:
        yield from trio.lowlevel.checkpoint().__await__()  # noqa: ASYNC105 - this is how it is awaited
        return ""


class Heard:
    """What a worker says on its way, and a wait for one line of it."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.stderr: list[str] = []
        self._changed = trio.Event()

    def __call__(self, message: Message) -> Awaitable[str] | None:
        """Keep the line; the answer to `taken`, which the worker waits for, says that it is recorded."""
        self.messages.append(message)
        self._changed.set()
        self._changed = trio.Event()
        return _Recorded() if message["is"] == "taken" else None

    @property
    def lines(self) -> list[str]:
        return [message["message"] for message in self.messages if message["is"] == "log"]

    async def line(self, text: str) -> None:
        with trio.fail_after(30):
            while text not in self.lines:
                await self._changed.wait()

    def strays(self) -> list[int]:
        """Process descriptors of what the command said it had started."""
        return [os.pidfd_open(int(line.split()[1])) for line in self.lines if line.startswith("stray ")]


def marked(execution: str) -> Iterator[int]:
    """Found without the code under test."""
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"{MARK}={execution}".encode() in environ.read_bytes().split(b"\0"):
                yield int(environ.parent.name)
        except OSError:
            continue


def opening(execution: str, executor: str = "noop", **config: Any) -> Message:
    task = {
        "name": "reindex-search",
        "config": config,
        "rollback": True,
        "mass_deletion": {"share": 0.25, "items": 50},
        "timeout_seconds": None,
    }
    return {
        "do": "open",
        "execution": execution,
        "executor": executor,
        "task": task,
        "now": "2026-11-24T02:00:00.000Z",
        "user": None,
        "limits": {"low_space": 0.1},
    }


def shell(execution: str, script: str, **more: Any) -> Message:
    return opening(execution, "command", command=["/bin/sh", "-c", script], **more)


async def planned(worker: Worker) -> Message:
    """The only step of the plan."""
    answer = await worker.ask({"do": "plan"})
    assert answer["is"] == "plan", answer
    (step,) = answer["steps"]
    assert isinstance(step, dict)
    return step


def fill_descriptors() -> list[int]:
    """Opens descriptors until there is no hole among them, so that a limit on their number applies."""
    opened = [os.open(os.devnull, os.O_RDONLY)]
    while opened[-1] < max(map(int, os.listdir("/proc/self/fd"))) - 1:
        opened.append(os.open(os.devnull, os.O_RDONLY))
    return opened


def all_ended(descriptors: list[int]) -> bool:
    ended, _, _ = select.select(descriptors, [], [], 0)
    for descriptor in descriptors:
        os.close(descriptor)
    return ended == descriptors


async def plan(execution: str, heard: Heard) -> Message:
    """What the executor `test` of `executes` answers to its first order."""
    async with open_worker(opening(execution, "test"), heard, heard.stderr.append) as worker:
        return await worker.ask({"do": "plan"})


def boots(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Lets the next worker run `code`; `daemon` in it is the pipe that it answers on."""
    monkeypatch.setattr(child_process, "_BOOT", f"import os, sys, signal\ndaemon = sys.stdout.buffer.raw\n{code}")


TEST_ROW = ExecutorRow("test", "test", "", "executor:Test", (), "files")


def executes(monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Gives the next worker an executor `test` whose `plan` is `body`."""
    lines = "\n".join(f"        {line}" for line in body.splitlines())
    code = f"""
import sys; sys.path.insert(0, sys.argv[1]); import jamaint; del sys.path[0]
import os, signal, subprocess, types
from jamaint.core.plans import Plan, Step
from jamaint.core.executor_table import EXECUTORS, ExecutorRow
from jamaint.executors.shared.executor import StepError, StopRequestedError
from jamaint.worker.main import main
class Test:
    def __init__(self, work, host):
        self.work, self.host = work, host
    def plan(self):
        work, host = self.work, self.host
{lines}
        return Plan((), ())
sys.modules["jamaint.executors.test.executor"] = types.SimpleNamespace(Test=Test)
EXECUTORS["test"] = ExecutorRow(*{tuple(TEST_ROW)!r})
main()
"""
    monkeypatch.setitem(EXECUTORS, "test", TEST_ROW)  # type: ignore[arg-type]  # a mapping to everybody else
    monkeypatch.setattr(child_process, "_BOOT", code)
