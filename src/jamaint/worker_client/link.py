"""What a dialogue with a worker goes through, whatever it is: its Protocol, and what all kinds of it have in common."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from jamaint.errors import JamaintError
from jamaint.host.processes.output import Lines
from jamaint.host.secrets import cleaned
from jamaint.protocol import control
from jamaint.protocol.worker import LINE_LIMIT, parse

CHUNK_BYTES = 64 << 10
LAST_BYTES = 1 << 20
_STDERR_LINES = 20

Message = dict[str, Any]


class WorkerLostError(Exception):
    """The worker did not start, died, or spoke nonsense. `message` tells which, for a person.

    `exit_status` as in subprocess (negative: a signal), None while it is not known; `stderr` its last lines.
    """

    def __init__(self, message: str, exit_status: int | None = None, stderr: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.exit_status = exit_status
        self.stderr = stderr


class Link(Protocol):
    """A way to one worker, open from the start; `close` leaves nothing of the worker behind."""

    messages: deque[Message]
    """What has come and was not yet taken."""
    last_words: "StderrTail"

    @property
    def pid(self) -> int | None:
        """The worker's process number, where it is a child of ours."""

    async def send(self, message: Message) -> None:
        """Sends one line, whole; nothing when the worker is gone."""

    async def wait(self) -> None:
        """Returns when there is something to read."""

    def read(self) -> bool:
        """Takes what there is into `messages`. False once nothing more will come; raises ValueError for nonsense."""

    async def status(self) -> int | None:
        """How it has ended, as subprocess tells it; None when that does not get known within a moment."""

    def unknown(self) -> str:
        """What is said of a worker from which nothing more comes, and whose status is not known."""

    async def end(self) -> None:
        """Ends the worker and all that it has started, at once."""

    async def close(self, idle: bool, grace_seconds: float) -> None:
        """Ends the worker and all that it has started; to be called shielded. `idle`: it has no work left."""


class LineBuffer:
    """Bytes of a worker on their way to messages."""

    def __init__(self, messages: deque[Message]) -> None:
        self._lines = control.Lines(LINE_LIMIT)
        self._messages = messages

    def feed(self, chunk: bytes) -> None:
        """Raises ValueError for what is no line of ours."""
        try:
            self._messages.extend(parse(data) for data in self._lines.feed(chunk))
        except JamaintError as error:
            raise ValueError(str(error)) from None


class StderrTail:
    """stderr of a worker: each line goes to the callback, the last ones are kept."""

    def __init__(self, on_stderr: Callable[[str], None]) -> None:
        self._on_stderr = on_stderr
        self._cut = Lines()
        self._kept: deque[str] = deque(maxlen=_STDERR_LINES)

    @property
    def lines(self) -> tuple[str, ...]:
        """The last ones."""
        return tuple(self._kept)

    def feed(self, chunk: bytes) -> None:
        """Takes bytes as they come."""
        for text in self._cut.feed(chunk):
            self.add(text)

    def finish(self) -> None:
        """Takes the last line, which had no newline."""
        for text in self._cut.flush():
            self.add(text)

    def add(self, text: str) -> None:
        """Takes a line."""
        text = cleaned(text)
        self._kept.append(text)
        self._on_stderr(text)


def chunks(source: int, limit: int) -> Iterator[bytes]:
    """What a pipe or socket holds now, about `limit` bytes at most; an empty chunk last is its end."""
    taken = 0
    while taken < limit:
        try:
            chunk = os.read(source, CHUNK_BYTES)
        except BlockingIOError:
            return
        except ConnectionResetError:
            chunk = b""
        yield chunk
        if not chunk:
            return
        taken += len(chunk)
