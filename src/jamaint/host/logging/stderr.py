"""Lines to standard error, which may stop taking them: a full pipe or a stopped terminal never stops the daemon.

What does not go at once is kept, up to a limit, and goes before the next line; beyond the limit lines are counted and
dropped. The descriptor that others share is never made non-blocking: that would be their surprise.
"""

import contextlib
import os
import select
import socket
import stat
import threading
import time
from collections.abc import Callable

BACKLOG_BYTES = 256 * 1024
_SURE_BYTES = 4096
"""What a pipe takes without waiting when poll says that it takes anything: PIPE_BUF."""


class Lines:
    """Writes whole lines to `fd` without ever waiting; `dropped` counts those that were lost."""

    def __init__(self, fd: int = 2, limit: int = BACKLOG_BYTES) -> None:
        self.fd = fd
        self.dropped = 0
        self._untold = 0
        self._limit = limit
        self._kept = bytearray()
        self._lock = threading.Lock()
        self._put, self._close = _writer(fd)

    def write(self, line: str) -> None:
        """One line, without its line break. Never raises for the descriptor's sake."""
        data = line.encode(errors="backslashreplace") + b"\n"
        with self._lock:
            self._push()
            if len(self._kept) + len(data) > self._limit:
                self.dropped += 1
                self._untold += 1
                return
            if self._untold and len(self._kept) < self._limit // 2:
                self._kept += f"jamaintd: {self._untold} lines were lost here, nobody read them\n".encode()
                self._untold = 0
            self._kept += data
            self._push()

    def drain(self, seconds: float) -> bool:
        """Waits at most that long for what is kept to go; says whether it went. For the end of the process."""
        deadline = time.monotonic() + seconds
        poll = select.poll()
        poll.register(self.fd, select.POLLOUT)
        with self._lock:
            while self._push() and (left := deadline - time.monotonic()) > 0:
                poll.poll(left * 1000)
            return not self._kept

    def close(self) -> None:
        """Gives back what was opened; `fd` itself stays as it was."""
        self._close()

    def _push(self) -> int:
        """Writes what is kept as far as it goes, and returns what is left of it in bytes."""
        while self._kept:
            try:
                written = self._put(self._kept)
            except BlockingIOError:
                break
            except OSError:  # nobody will ever read it
                self.dropped += self._kept.count(b"\n")
                self._kept.clear()
                break
            del self._kept[:written]
        return len(self._kept)


def _writer(fd: int) -> tuple[Callable[[bytearray], int], Callable[[], None]]:
    """The way to write to this kind of descriptor that raises BlockingIOError instead of waiting."""
    try:
        kind = os.fstat(fd).st_mode
    except OSError:  # started with stderr closed: each line is lost, as the writing says
        kind = stat.S_IFREG
    if stat.S_ISSOCK(kind):
        channel = socket.socket(fileno=os.dup(fd))
        return lambda data: channel.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL), channel.close
    if stat.S_ISFIFO(kind) or stat.S_ISCHR(kind):
        # A description of our own, so that O_NONBLOCK is ours alone. Refused where another user owns the pipe.
        with contextlib.suppress(OSError):
            own = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
            return lambda data: os.write(own, data), lambda: os.close(own)
        return lambda data: _write_if_ready(fd, data), lambda: None
    return lambda data: os.write(fd, data), lambda: None


def _write_if_ready(fd: int, data: bytearray) -> int:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    if not poll.poll(0):
        raise BlockingIOError
    return os.write(fd, data[:_SURE_BYTES])
