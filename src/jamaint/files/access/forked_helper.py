"""A forked helper that reads directories beside its parent. It changes nothing.

It is forked, so that it has our rights, our open roots and all that we know; it speaks with nobody but us, and ends
when we do. It is there for looking only: what changes something is done by one process, in one order.
"""

import ctypes
import os
import pickle
import select
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

from jamaint.host.bounded_calls import activity

_DIE_WITH_PARENT = 1
_LENGTH_BYTES = 8
_LOOK_MS = 100
_END_SECONDS = 5.0
_SILENT_LOOKS = 100
"""So many looks at a process that has not run at all in between: the kernel keeps it waiting, as at a dead mount."""


class HelperDiedError(Exception):
    """It has ended before its time or hangs, and with it what it had found."""


class ForkedHelper:
    """The process. `begin` is called there, and returns what is called with each task; its results are the answers."""

    def __init__(self, begin: Callable[[], Callable[[Any], Any]]) -> None:
        parent = os.getpid()
        tasks, self._tasks = os.pipe()
        try:
            self._answers, answers = os.pipe()
            try:
                self._pid = os.fork()
            except OSError:
                os.close(self._answers)
                os.close(answers)
                raise
        except OSError:
            os.close(tasks)
            os.close(self._tasks)
            raise
        if not self._pid:
            _live(parent, (self._tasks, self._answers), (tasks, answers), begin)
        os.close(tasks)
        os.close(answers)
        self._ready = select.poll()
        self._ready.register(self._answers, select.POLLIN)
        self.pending: deque[Any] = deque()
        """Tasks that are not answered yet, the oldest first."""

    @property
    def answered(self) -> bool:
        """Whether the oldest task is done, or will never be."""
        return bool(self._ready.poll(0))

    def give(self, task: Any) -> None:
        """Has it do one more. Raises HelperDiedError."""
        try:
            _send(self._tasks, task)
        except OSError as error:
            raise HelperDiedError from error
        self.pending.append(task)

    def answer(self, told: Callable[[], object]) -> Any:
        """The result of the oldest task. Raises HelperDiedError, also when it hangs; the task is still pending then.

        While it waits it calls `told` now and then, and what that raises passes.
        """
        before, silent = activity(f"/proc/{self._pid}"), 0
        while not self._ready.poll(_LOOK_MS):
            told()
            now = activity(f"/proc/{self._pid}")
            silent = silent + 1 if now == before else 0
            before = now
            if silent >= _SILENT_LOOKS:
                raise HelperDiedError
        try:
            found = _receive(self._answers)
        except EOFError as error:
            raise HelperDiedError from error
        self.pending.popleft()
        return found

    @contextmanager
    def standing(self) -> Iterator[None]:
        """It stands still meanwhile."""
        os.kill(self._pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._pid, signal.SIGCONT)

    def close(self) -> None:
        """Ends it, wherever it is."""
        os.close(self._tasks)
        os.close(self._answers)
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        with suppress(ChildProcessError):  # whoever ends all that a worker has started may have been here before
            self._reap()

    def _reap(self) -> None:
        """Wait for its end; one that the kernel keeps waiting is left behind. Raises ChildProcessError."""
        deadline = time.monotonic() + _END_SECONDS
        while not os.waitpid(self._pid, os.WNOHANG)[0] and time.monotonic() < deadline:
            time.sleep(0.001)


def _live(
    parent: int, theirs: tuple[int, int], pipes: tuple[int, int], begin: Callable[[], Callable[[Any], Any]]
) -> NoReturn:
    """All its life. What it has from us is not put in order at its end: it is ours."""
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        if os.getppid() == parent:
            for fd in theirs:
                os.close(fd)
            act = begin()
            while True:
                _send(pipes[1], act(_receive(pipes[0])))
    except BaseException:  # noqa: S110 - it must not get back into our code; we look ourselves then
        pass
    os._exit(0)


def _send(fd: int, what: Any) -> None:
    data = pickle.dumps(what)
    rest = memoryview(len(data).to_bytes(_LENGTH_BYTES, "big") + data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def _receive(fd: int) -> Any:
    return pickle.loads(_exactly(fd, int.from_bytes(_exactly(fd, _LENGTH_BYTES), "big")))  # noqa: S301 - it is us


def _exactly(fd: int, count: int) -> bytes:
    """So many bytes. Raises EOFError."""
    parts = bytearray()
    while len(parts) < count:
        part = os.read(fd, count - len(parts))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)
