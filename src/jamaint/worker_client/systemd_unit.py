"""A worker as a unit of its own, which systemd starts when we connect to its socket: JAMAINT_WORKERS/<kind>.sock.

We may connect, and nothing else: what has to end is ended by its own worker.supervisor, which we ask to, or which sees
that we are gone; then systemd ends what is left in the unit's control group.
"""

import errno
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

import trio

from jamaint.core.safety.sandbox import APPLY
from jamaint.core.worker_kinds import FILES
from jamaint.host.plan_file import open_plan
from jamaint.protocol.worker import END, ENDED, STDERR, line
from jamaint.worker_client.link import CHUNK_BYTES, LAST_BYTES, LineBuffer, Message, StderrTail, WorkerLostError, chunks

VARIABLE = "JAMAINT_WORKERS"

_CONNECT_SECONDS = 20.0
_AGAIN_SECONDS = 0.05
_CLOSE_SECONDS = 15.0
"""Beyond the grace: for what the supervisor kills, and systemd's own work."""
_STATUS_SECONDS = 5.0
_ENDED_SECONDS = 60.0
_SLICES = tuple(f"/sys/fs/cgroup{form}/jamaint.slice" for form in ("", "/unified", "/systemd"))
"""Where the workers' units are, in each form that the kernel's control groups have."""


class Connection:
    """A dialogue with a worker that is a unit; see links.Link."""

    pid = None

    def __init__(self, kind: str, channel: socket.socket, on_stderr: Callable[[str], None]) -> None:
        self.messages: deque[Message] = deque()
        self.last_words = StderrTail(on_stderr)
        self._kind = kind
        self._channel = channel
        self._incoming = LineBuffer(self.messages)
        self._status: int | None = None
        self._is_open = True

    async def send(self, message: Message) -> None:
        """See Link. A stored plan goes as an open file, which the worker could not open itself."""
        plan = message.get("plan") or message.get("taken") if message.get("do") == "open" else None
        if plan is None:
            await self._send(line(message))
            return
        try:
            fd = open_plan(plan)
        except OSError as error:
            raise WorkerLostError(f"the plan's items cannot be read: {error}") from None
        try:
            await self._send(line(message), fd)
        finally:
            os.close(fd)

    async def _send(self, message: bytes, fd: int | None = None) -> None:
        data = memoryview(message)
        while data and self._is_open:
            try:
                sent = socket.send_fds(self._channel, [data], [] if fd is None else [fd])
                data, fd = data[sent:], None
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._channel)
            except OSError:
                return  # it has gone, which is read

    async def wait(self) -> None:
        """See Link."""
        await trio.lowlevel.wait_readable(self._channel)

    def read(self) -> bool:
        """See Link. What its supervisor says of it is kept apart."""
        more = True
        for chunk in chunks(self._channel.fileno(), CHUNK_BYTES):
            if not chunk:
                more = False
                break
            self._incoming.feed(chunk)
        self._take_apart()
        return more

    def _take_apart(self) -> None:
        for message in [one for one in self.messages if one.get("is") in (STDERR, ENDED)]:
            self.messages.remove(message)
            if message["is"] == STDERR:
                self.last_words.add(str(message.get("text")))
            elif isinstance(message.get("status"), int):
                self._status = message["status"]

    async def status(self) -> int | None:
        """See Link."""
        return self._status

    def unknown(self) -> str:
        """See Link."""
        told = f"ended without a word: see journalctl -u 'jamaint-{self._kind}@*'"
        if self._kind.partition("-")[0] != FILES:
            return told
        return f"{told}; if a directory of its lies on a mount that does not answer, {APPLY}, which leaves it out"

    async def end(self) -> None:
        """See Link."""
        with trio.move_on_after(_STATUS_SECONDS):
            await self._send(line({"do": END, "grace": 0.0}))

    async def close(self, idle: bool, grace_seconds: float) -> None:  # noqa: ARG002 - Link's
        """See Link. For at most the grace and `_CLOSE_SECONDS` more."""
        with trio.move_on_after(grace_seconds + _CLOSE_SECONDS):
            with trio.move_on_after(_STATUS_SECONDS):
                await self._send(line({"do": END, "grace": grace_seconds}))
            with suppress(OSError):
                self._channel.shutdown(socket.SHUT_WR)
            await self._rest()
        self._is_open = False
        trio.lowlevel.notify_closing(self._channel)
        self._channel.close()

    async def _rest(self) -> None:
        """What it still says until its end, for its last words; it must not wait for us."""
        with suppress(ValueError):
            while self.read():
                self.messages.clear()
                await self.wait()
        for chunk in chunks(self._channel.fileno(), LAST_BYTES):
            if not chunk:
                return


async def connect(directory: str, kind: str, on_stderr: Callable[[str], None]) -> Connection:
    """Has systemd start a worker of that kind. Raises WorkerLostError."""
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    path = f"{directory}/{kind}.sock"
    try:
        with trio.fail_after(_CONNECT_SECONDS):
            # As many wait there as may, and nothing tells when one of them is taken.
            while (number := channel.connect_ex(path)) == errno.EAGAIN:  # noqa: ASYNC110
                await trio.sleep(_AGAIN_SECONDS)
        if number:
            raise OSError(number, os.strerror(number))
    except (OSError, trio.TooSlowError) as error:
        channel.close()
        raise WorkerLostError(f"no worker could be started: {_why(kind, path, error)}") from None
    except BaseException:
        channel.close()
        raise
    return Connection(kind, channel, on_stderr)


def _why(kind: str, path: str, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return f"there is no unit jamaint-{kind}.socket: run jamaintctl config apply as root"
    if isinstance(error, ConnectionRefusedError):
        return f"jamaint-{kind}.socket is not active: systemctl status jamaint-{kind}.socket tells why"
    return f"{path}: {error or 'it takes nobody'}"


async def all_ended(places: Sequence[str] = _SLICES, seconds: float = _ENDED_SECONDS) -> bool:
    """Waits until no worker of any unit lives, a former daemon's most of all; false when one still does after that."""
    with trio.move_on_after(seconds):
        # The kernel's table cannot be waited for in all of its forms, and this is for the start after a crash.
        while any(map(_lives, places)):  # noqa: ASYNC110
            await trio.sleep(_AGAIN_SECONDS)
        return True
    return False


def _lives(place: str) -> bool:
    """Whether a process is in that control group, or below it."""
    for directory, _, names in os.walk(place):
        if "cgroup.procs" in names:
            try:
                with open(f"{directory}/cgroup.procs", encoding="ascii") as file:
                    if file.read(1):
                        return True
            except OSError:  # it has just gone
                continue
    return False
