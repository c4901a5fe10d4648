"""Workers as the daemon sees them: a dialogue with one, whichever way it is reached, which leaves nothing of it behind.

There is no task in the background: what the worker says, and its end, are looked at while an operation is waited for.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import trio

from jamaint.core.worker_kinds import sides
from jamaint.host.processes.run import signal_name
from jamaint.host.secrets import handed_over
from jamaint.protocol.worker import FINAL, HEARD, RECORDED, TAKEN
from jamaint.worker_client import child_process, systemd_unit
from jamaint.worker_client.composite import CompositeWorker
from jamaint.worker_client.link import Link, Message, WorkerLostError

__all__ = [
    "GRACE_SECONDS",
    "Message",
    "OnLine",
    "Worker",
    "WorkerLostError",
    "former_ended",
    "open_worker",
    "units_are_used",
]

GRACE_SECONDS = 10.0
"""From a cancel, or SIGTERM, to SIGKILL: more than a worker gives its command, so that it ends that itself."""

OnLine = Callable[[Message], Awaitable[str | None] | None]
"""Get each line of dialogue.HEARD in order. While an async one is awaited, nothing more is taken from the worker.

For a line `taken` it returns why that is not written down, or "" when it is: the worker waits for this answer.
"""

_NOBODY = "nobody writes it down"


class Worker:
    """One worker process, as `open_worker` gives it. One operation at a time."""

    def __init__(self, link: Link, *, on_line: OnLine, grace_seconds: float) -> None:
        self._link = link
        self._on_line = on_line
        self._grace_seconds = grace_seconds
        self._sending = trio.Lock()
        self._answered: trio.Event | None = None
        self._lost: WorkerLostError | None = WorkerLostError("this worker was not opened")
        self._ended_because: str | None = None

    @property
    def pid(self) -> int | None:
        """The worker's process number; None for one that is a unit of its own."""
        return self._link.pid

    async def open(self, opening: Message) -> None:
        """Sends the first line, which has no answer of its own."""
        await self._send(opening)
        self._lost = None

    async def ask(self, message: Message) -> Message:
        """Has one operation done and returns the line that ends it: plan, done, failed or cancelled.

        Raises WorkerLostError when the worker dies in between or says what is no answer. An `ask` that is itself
        cancelled leaves a worker that is of no more use.
        """
        if self._answered is not None:
            raise RuntimeError("a worker does one operation at a time")
        if self._lost is not None:
            raise self._lost
        self._answered = trio.Event()
        # Stands if this is left in the midst: the answer that comes then would be taken for that of the next operation.
        self._lost = WorkerLostError("an operation of this worker was abandoned")
        try:
            await self._send(message)
            answer = await self._answer()
        except WorkerLostError as lost:
            self._lost = lost
            raise
        else:
            self._lost = None
            return answer
        finally:
            self._answered.set()
            self._answered = None

    async def cancel(self) -> None:
        """Asks the operation under way to stop, and returns when it has; past the grace period it is ended hard.

        `ask` then returns cancelled (done or failed if it was too late), or raises WorkerLostError.
        """
        answered = self._answered
        if answered is None:
            return
        with trio.move_on_after(self._grace_seconds):
            await self._send({"do": "cancel"})
            await answered.wait()
            return
        self._ended_because = f"did not stop within {self._grace_seconds:g} s and was ended"
        await self._link.end()
        await answered.wait()

    async def steer(self, message: Message) -> None:
        """Sends pause, resume or throttle, which have no answer; a line `held` tells when a pause is in force."""
        await self._send(message)

    async def _send(self, message: Message) -> None:
        async with self._sending:
            await self._link.send(message)

    async def _answer(self) -> Message:
        while True:
            while self._link.messages:
                message = self._link.messages.popleft()
                kind = message.get("is")
                if kind in FINAL:
                    return message
                if kind not in HEARD:
                    raise self._nonsense(f"a line that is {kind!r:.40}")
                waiting = self._on_line(message)
                said = None if waiting is None else await waiting
                if kind == TAKEN:
                    why = _NOBODY if said is None else said
                    await self._send({"do": RECORDED, "number": message.get("number"), "why": why})
            await self._link.wait()
            if not self._read() and not self._link.messages:
                raise await self._death()

    def _read(self) -> bool:
        try:
            return self._link.read()
        except ValueError as error:
            raise self._nonsense(str(error)) from None

    async def _death(self) -> WorkerLostError:
        status = await self._link.status()
        said = self._link.last_words.lines
        if self._ended_because is not None:
            return WorkerLostError(f"the worker {self._ended_because}", status, said)
        if status is None:
            happened = self._link.unknown()
        elif status < 0:
            happened = f"was killed by {signal_name(-status)}"
        else:
            happened = f"exited with {status}"
        return WorkerLostError(f"the worker {happened}" + (f": {said[-1]}" if said else ""), status, said)

    def _nonsense(self, what: str) -> WorkerLostError:
        return WorkerLostError(f"the worker said what is no answer: {what}", None, self._link.last_words.lines)

    async def close(self) -> None:
        """Ends the worker and all that it has started. Shielded; how long it may take is the link's to say."""
        with trio.CancelScope(shield=True):
            await self._link.close(self._lost is None, self._grace_seconds)


@asynccontextmanager
async def open_worker(
    opening: Message,
    on_line: OnLine,
    on_stderr: Callable[[str], None],
    grace_seconds: float = GRACE_SECONDS,
    kind: str | None = None,
) -> AsyncIterator[Worker | CompositeWorker]:
    """Starts a worker for one execution and gives it its opening line; on the way out it is ended, come what may.

    `opening` is the first line of the dialogue. `on_stderr` gets printable lines for the journal. `grace_seconds` is
    from a cancel, or SIGTERM, to SIGKILL. `kind`, where workers are units: which (core.worker_kinds; what the opening
    says
    if it is not given). Raises WorkerLostError when no worker can be started.
    """
    parts = {} if kind or not units_are_used() else _sides(opening)
    if len(parts) > 1:
        async with AsyncExitStack() as stack:
            by_cleanup: dict[str, Worker | CompositeWorker] = {}
            for each, config in parts.items():
                part = {**opening, "task": {**opening["task"], "config": config}}
                worker = await stack.enter_async_context(open_worker(part, on_line, on_stderr, grace_seconds, each))
                by_cleanup |= {one["kind"]: worker for one in config["kinds"]}
            yield CompositeWorker(by_cleanup)
        return
    link = await _link(opening, on_stderr, kind or next(iter(parts), ""))
    worker = Worker(link, on_line=on_line, grace_seconds=grace_seconds)
    try:
        await worker.open({**opening, "environment": handed_over(opening)})
        yield worker
    finally:
        await worker.close()


def units_are_used() -> bool:
    """Whether workers are units of their own here."""
    return bool(os.environ.get(systemd_unit.VARIABLE))


async def former_ended() -> bool:
    """Waits until no worker that is a unit lives any more; false when one still does after a minute."""
    return not units_are_used() or await systemd_unit.all_ended()


def _sides(opening: Message) -> dict[str, Mapping[str, Any]]:
    try:
        return sides(opening["executor"], opening["task"]["config"], opening.get("user"))
    except ValueError as error:
        raise WorkerLostError(f"no worker could be started: {error}") from None


async def _link(opening: Message, on_stderr: Callable[[str], None], kind: str) -> Link:
    """A worker of our own, or one that is a unit where our unit says that there are such."""
    directory = os.environ.get(systemd_unit.VARIABLE)
    if not directory:
        return await child_process.start(opening["execution"], on_stderr)
    return await systemd_unit.connect(directory, kind, on_stderr)
