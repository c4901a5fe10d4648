"""What a service says to systemd and gets from it: readiness, status, the watchdog, sockets that were opened for it.

Two implementations keep one contract: systemd-python's, where it can be imported, and our own few lines.
"""

import contextlib
import os
import select
import socket
import time
from typing import NamedTuple, Protocol

try:
    import systemd.daemon as library
except ImportError:  # the extra [systemd] is not installed
    library = None

FIRST_FD = 3
_VARIABLES = ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")
_CONTROL = dict.fromkeys((*range(32), 127), " ")


class Activated(NamedTuple):
    """A socket that systemd has opened for us: `name` is its FileDescriptorName=, or `unknown`."""

    name: str
    socket: socket.socket


class Implementation(Protocol):
    """One way to speak the protocol."""

    def send(self, text: str) -> bool:
        """Sends the lines without waiting; False when nobody took them. Never raises for the socket's sake."""

    def take(self) -> list[tuple[int, str]]:
        """The descriptors passed to this process with their names. The variables are of no use afterwards."""


class OwnProtocol:
    """sd_notify(3) and sd_listen_fds(3) on the standard library alone.

    The socket is kept: a service that has no descriptors left must not starve its watchdog.
    """

    def __init__(self) -> None:
        self._channel: socket.socket | None = None

    def send(self, text: str) -> bool:
        """One datagram; a full queue, a socket that is not there and one that nobody reads are all False."""
        data = text.encode(errors="replace")
        for _ in range(2):
            channel = self.channel()
            try:
                return channel is not None and channel.send(data, socket.MSG_NOSIGNAL) > 0
            except BlockingIOError:
                return False
            except OSError:  # whoever read it has gone; there may be another
                self._forget()
        return False

    def channel(self) -> socket.socket | None:
        """The socket, connected to what NOTIFY_SOCKET names now; None when nobody listens there."""
        if self._channel is None or not self._leads_there(self._channel):
            self._forget()
            self._channel = _connect()
        return self._channel

    def _leads_there(self, channel: socket.socket) -> bool:
        """Whether it is connected to what NOTIFY_SOCKET names now."""
        try:
            peer = channel.getpeername()
        except OSError:
            return False
        return (peer if isinstance(peer, bytes) else os.fsencode(peer)) == os.fsencode(_address() or "")

    def _forget(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def take(self) -> list[tuple[int, str]]:
        """Nothing when the variables are missing, not numbers, or meant for another process."""
        try:
            pid, count = int(os.environ.get("LISTEN_PID", "0")), int(os.environ.get("LISTEN_FDS", "0"))
        except ValueError:
            return []
        if pid != os.getpid() or count <= 0:
            return []
        names = os.environ.get("LISTEN_FDNAMES", "").split(":")
        if len(names) != count:
            names = ["unknown"] * count
        found = [(FIRST_FD + place, name or "unknown") for place, name in enumerate(names)]
        for fd, _name in found:
            os.set_inheritable(fd, False)
        return found


class SystemdPython:
    """The same by systemd-python. It opens a socket for each message: where there is none to be had, ours is taken."""

    def __init__(self) -> None:
        self._own = OwnProtocol()

    def send(self, text: str) -> bool:
        """The library sends on a blocking socket and holds the interpreter meanwhile, so room is looked for first."""
        channel = self._own.channel()
        if channel is None or not _has_room(channel):
            return False
        try:
            return bool(library.notify(text))
        except OSError:
            return self._own.send(text)

    def take(self) -> list[tuple[int, str]]:
        """Nothing also when the library finds fault with the variables."""
        with contextlib.suppress(OSError):
            return sorted(library.listen_fds_with_names().items())
        return []


IMPLEMENTATIONS: dict[str, Implementation] = {"own": OwnProtocol()}
"""Those that this installation has; the last one is used."""
if library is not None:
    IMPLEMENTATIONS["systemd-python"] = SystemdPython()
_chosen = list(IMPLEMENTATIONS.values())[-1]


def notify(*lines: str, by: Implementation = _chosen) -> bool:
    """Tells systemd `READY=1`, `STATUS=…`, `WATCHDOG=1`, `STOPPING=1`, `RELOADING=1` with `MONOTONIC_USEC=…`.

    Returns whether it was taken; False is no error: without systemd nobody listens. Never waits, never raises for the
    socket's sake. A line break inside a line becomes a space.
    """
    return by.send("\n".join(line.translate(_CONTROL) for line in lines))


def monotonic_usec() -> int:
    """The moment for `RELOADING=1`, which needs it beside: microseconds of CLOCK_MONOTONIC."""
    return time.monotonic_ns() // 1000


def watchdog_seconds() -> float | None:
    """How often at the least systemd wants to hear `WATCHDOG=1`; None when it does not, or means another process."""
    try:
        microseconds = int(os.environ.get("WATCHDOG_USEC", "0"))
        pid = int(os.environ.get("WATCHDOG_PID", os.getpid()))
    except ValueError:
        return None
    return microseconds / 1e6 if microseconds > 0 and pid == os.getpid() else None


def listen_fds(by: Implementation = _chosen) -> list[Activated]:
    """The sockets that were opened for this process, once: what it starts shall not take them for its own.

    A descriptor that is no socket is closed.
    """
    try:
        found = by.take()
    finally:
        for name in _VARIABLES:
            os.environ.pop(name, None)
    sockets = []
    for fd, name in found:
        try:
            sockets.append(Activated(name, socket.socket(fileno=fd)))
        except OSError:
            with contextlib.suppress(OSError):
                os.close(fd)
    return sockets


def _has_room(channel: socket.socket) -> bool:
    """Whether a datagram can go without waiting: for AF_UNIX the kernel looks at the receiver's queue."""
    poll = select.poll()
    poll.register(channel, select.POLLOUT)
    return any(events & select.POLLOUT for _fd, events in poll.poll(0))


def _address() -> str | None:
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return None
    return "\0" + path[1:] if path.startswith("@") else path


def _connect() -> socket.socket | None:
    """A non-blocking socket to NOTIFY_SOCKET; None where there is none, nobody reads it, or no descriptor is left."""
    address = _address()
    if address is None:
        return None
    try:
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    except OSError:
        return None
    try:
        channel.connect(address)
    except (OSError, ValueError):
        channel.close()
        return None
    return channel
