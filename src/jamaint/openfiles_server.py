"""Tells the file workers which files are in use: the one program of ours that may look into every process.

It reads one byte of a request, and answers with records of a fixed size (files.use.records). No name of a file, and
nothing else that others have written, is taken from a caller or told to one. Who may connect, the socket's owner and
mode say; systemd starts it for the first that does, and it ends when it has not been asked for a while. It waits for
no caller: one that does not ask, or does not take its answer, is hung up on, and costs the others nothing.
"""

import os
import select
import socket
import struct
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field

from jamaint.files.use.procfs import uses
from jamaint.files.use.records import REQUEST, pack
from jamaint.host.read_only import forbid_writing

IDLE_SECONDS = 60.0
CALLER_SECONDS = 10.0
"""For a caller to ask, and to take its answer."""
CALLERS = 32
"""So many at a time; the others wait in the socket."""
PENDING_BYTES = 64 << 20
"""Of answers that wait to be taken: until there are fewer, nobody is asked for what he wants."""
ROOT = "/proc/1/root"
"""The machine's file system: the unit has an empty one."""

_FIRST = 3
_CREDENTIALS = struct.Struct("iII")


@dataclass(slots=True)
class _Caller:
    """A connection, what of its answer is still to be sent, and when it is hung up on."""

    channel: socket.socket
    ends_at: float
    answer: memoryview = field(default_factory=lambda: memoryview(b""))


def main() -> None:
    """Serve the socket that systemd has passed, until nobody asks."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or os.environ.get("LISTEN_FDS") != "1":
        sys.exit("this program is started by jamaint-openfiles.socket")
    if not forbid_writing():
        print("this machine's system calls are not known here: only the unit forbids to write", file=sys.stderr)
    Server(socket.socket(fileno=_FIRST)).serve()


class Server:
    """Answers all who connect to a listening socket, in one thread."""

    def __init__(
        self,
        listener: socket.socket,
        root: str = ROOT,
        idle_seconds: float = IDLE_SECONDS,
        caller_seconds: float = CALLER_SECONDS,
    ) -> None:
        self._listener, self._root = listener, root
        self._idle_seconds, self._caller_seconds = idle_seconds, caller_seconds
        self._callers: dict[int, _Caller] = {}
        listener.setblocking(False)

    def serve(self) -> None:
        """Return when there has been no caller for so long."""
        while self._turn():
            pass

    def _turn(self) -> bool:
        reading, writing = self._wanted()
        ready, room, _ = select.select(reading, writing, (), self._patience())
        if not ready and not room and not self._callers:
            return False
        for fd in room:
            self._send(self._callers[fd])
        for fd in ready:
            if fd == self._listener.fileno():
                self._accept()
            elif fd in self._callers:
                self._hear(self._callers[fd])
        now = time.monotonic()
        for caller in [one for one in self._callers.values() if one.ends_at <= now]:
            self._end(caller)
        return True

    def _wanted(self) -> tuple[list[int], list[int]]:
        """The descriptors to read from and to write to."""
        writing = [fd for fd, caller in self._callers.items() if caller.answer]
        reading = [fd for fd in self._callers if fd not in writing]
        if sum(len(caller.answer) for caller in self._callers.values()) >= PENDING_BYTES:
            reading = []
        return reading + ([self._listener.fileno()] if len(self._callers) < CALLERS else []), writing

    def _patience(self) -> float:
        ends = min((caller.ends_at for caller in self._callers.values()), default=None)
        return self._idle_seconds if ends is None else max(0.0, ends - time.monotonic())

    def _accept(self) -> None:
        try:
            channel, _ = self._listener.accept()
        except OSError:  # gone again
            return
        channel.setblocking(False)
        self._callers[channel.fileno()] = _Caller(channel, time.monotonic() + self._caller_seconds)

    def _hear(self, caller: _Caller) -> None:
        """Make the answer to a request; the caller's own files are left out."""
        pid = _asking(caller.channel)
        if pid is None:
            self._end(caller)
            return
        try:
            caller.answer = memoryview(b"".join(pack(uses(pid, self._root))))
        except OSError as error:  # no answer: whoever asked touches nothing
            print(f"which files are in use cannot be learnt: {error}", file=sys.stderr)
            self._end(caller)
            return
        caller.ends_at = time.monotonic() + self._caller_seconds
        self._send(caller)

    def _send(self, caller: _Caller) -> None:
        with suppress(BlockingIOError):
            try:
                caller.answer = caller.answer[caller.channel.send(caller.answer) :]
            except (BrokenPipeError, ConnectionResetError):
                caller.answer = memoryview(b"")
        if not caller.answer:
            self._end(caller)

    def _end(self, caller: _Caller) -> None:
        del self._callers[caller.channel.fileno()]
        caller.channel.close()


def _asking(channel: socket.socket) -> int | None:
    """Return the number of the process that asks; None for one that asks for something else, or has gone."""
    try:
        if channel.recv(len(REQUEST)) != REQUEST:
            return None
        credentials = channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    except OSError:
        return None
    pid: int = _CREDENTIALS.unpack(credentials)[0]
    return pid


if __name__ == "__main__":
    main()
