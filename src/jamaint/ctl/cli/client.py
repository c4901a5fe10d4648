"""The daemon's socket, from the client's side: one connection, calls one after the other, everything bounded.

`_socket` is the C half of `socket`, whose Python half would cost more than a call to the daemon does. The daemon is
not taken at its word either: it may be an impostor's, and what it says may end up on an administrator's terminal.
"""

from __future__ import annotations

import os
import sys
import time
from _socket import AF_UNIX, SO_PEERCRED, SOCK_STREAM, SOL_SOCKET, socket

from jamaint.errors import INTERNAL, TOO_LARGE, UNAVAILABLE, JamaintError
from jamaint.protocol.control import LINE_LIMIT, Lines, parse_reply, request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from jamaint.protocol.control import Reply

SYSTEM_SOCKET = "/run/jamaint/jamaintd.sock"
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 30.0
CHUNK = 1 << 16
WAITING_LIMIT = 10_000
"""Events that may come before an answer does."""
BUSY_SECONDS = 0.02


class UnreachableError(JamaintError):
    """There is no daemon to talk to, or no longer; the message says at which socket, why, and what to do."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(UNAVAILABLE, f"cannot reach the daemon at {path}: {why}", {"socket": path})


class Client:
    """One connection. `received` is applied to every value that comes in, refusals included."""

    def __init__(self, path: str, timeout: float | None, received: Callable[[Any], Any]) -> None:
        """`timeout` in seconds is for each answer; None waits ANSWER_SECONDS. Raises UnreachableError."""
        self.path = path
        self._timeout = timeout
        self._received = received
        self._lines = Lines()
        self._read: list[Reply] = []
        self._events: list[Reply] = []
        self._last = 0
        self._socket = _connect(path, min(timeout or CONNECT_SECONDS, CONNECT_SECONDS))

    def call(self, method: str, params: dict[str, Any], patient: bool = False) -> Any:
        """The result of one call; `patient` waits as long as it takes, unless a timeout was asked for.

        Raises the daemon's JamaintError, or UnreachableError.
        """
        seconds = self._timeout or (None if patient else ANSWER_SECONDS)
        self.begin(method, params)
        found, result = self.answer(seconds)
        if not found:
            raise UnreachableError(self.path, f"no answer to {method} within {seconds:g} s; see --timeout")
        return result

    def begin(self, method: str, params: dict[str, Any]) -> None:
        """Sends a call whose answer is asked for later, with `answer`."""
        self._last += 1
        self._send(request(self._last, method, params), self._timeout or ANSWER_SECONDS)

    def answer(self, seconds: float | None) -> tuple[bool, Any]:
        """Whether the last call has been answered within that time, and its result. Raises as `call` does."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while (reply := self._next(deadline)) is not None:
            if reply.event is not None:
                self._keep(reply)
            elif reply.error is not None and reply.id in {self._last, None}:
                raise self._refusal(reply.error)
            elif reply.id == self._last:
                return True, self._received(reply.result)
            else:
                raise JamaintError(INTERNAL, "the daemon answered something that was not asked")
        return False, None

    def event(self, seconds: float) -> dict[str, Any] | None:
        """The next pushed event, or None when none has come within that time. Raises UnreachableError."""
        reply = self._events.pop(0) if self._events else self._next(time.monotonic() + seconds)
        if reply is None:
            return None
        if reply.error is not None:
            raise self._refusal(reply.error)
        if reply.event is None:
            raise JamaintError(INTERNAL, "the daemon answered something that was not asked")
        found: dict[str, Any] = self._received(reply.event)
        return found

    def close(self) -> None:
        """Ends the connection; the daemon goes on with what was asked."""
        self._socket.close()

    def _refusal(self, error: JamaintError) -> JamaintError:
        return JamaintError(error.code, self._received(error.message), self._received(error.data))

    def _keep(self, reply: Reply) -> None:
        if len(self._events) >= WAITING_LIMIT:
            raise JamaintError(TOO_LARGE, "the daemon pushes events and does not answer")
        self._events.append(reply)

    def _send(self, line: bytes, seconds: float) -> None:
        if len(line) > LINE_LIMIT:
            raise JamaintError(TOO_LARGE, f"a request may have at most {LINE_LIMIT} bytes, this one has {len(line)}")
        self._socket.settimeout(seconds)
        try:
            self._socket.sendall(line)
        except TimeoutError:
            raise UnreachableError(self.path, "it does not read what is sent") from None
        except OSError as error:
            raise UnreachableError(self.path, f"the connection broke ({error.strerror})") from None

    def _next(self, deadline: float | None) -> Reply | None:
        """The next message; None when the deadline passes first."""
        while not self._read:
            left = None if deadline is None else deadline - time.monotonic()
            self._socket.settimeout(None if left is None else max(left, 0.0))
            try:
                chunk = self._socket.recv(CHUNK)
            except (TimeoutError, BlockingIOError):
                return None
            except OSError as error:
                raise UnreachableError(self.path, f"the connection broke ({error.strerror})") from None
            if not chunk:
                raise UnreachableError(
                    self.path, "it closed the connection; the journal says why: journalctl -u jamaintd"
                )
            self._read += [parse_reply(line) for line in self._lines.feed(chunk)]
        return self._read.pop(0)


def default_path() -> str:
    """Where the daemon listens: JAMAINT_SOCKET, else one's own daemon's socket if it is there, else the system's."""
    asked = os.environ.get("JAMAINT_SOCKET")
    if asked or os.geteuid() == 0:
        return asked or SYSTEM_SOCKET
    own = _own_directory() + "/jamaintd.sock"
    return SYSTEM_SOCKET if os.path.exists(SYSTEM_SOCKET) and not os.path.exists(own) else own


def _own_directory() -> str:
    """Where a user's own daemon puts its socket: the same directories, in the same order, as the daemon has them."""
    for name, below in (
        ("XDG_RUNTIME_DIR", "/jamaint"),
        ("JAMAINT_STATE_DIR", ""),
        ("XDG_STATE_HOME", "/jamaint"),
        ("HOME", "/.local/state/jamaint"),
    ):
        directory = os.environ.get(name, "")
        if directory.startswith("/"):
            return directory.rstrip("/") + below
    return f"/run/user/{os.geteuid()}/jamaint"


def _connect(path: str, seconds: float) -> socket:
    connection = socket(AF_UNIX, SOCK_STREAM)
    try:
        connection.settimeout(seconds)
        _dial(connection, path, time.monotonic() + seconds)
        _check_peer(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _dial(connection: socket, path: str, deadline: float) -> None:
    while True:
        try:
            connection.connect(path)
        except (BlockingIOError, TimeoutError):  # its queue of connections is full
            if time.monotonic() > deadline:
                raise UnreachableError(path, "it is too busy to accept a connection") from None
            time.sleep(BUSY_SECONDS)
        except FileNotFoundError:
            why = "there is no such socket; is jamaintd running? (systemctl start jamaintd, or --socket PATH)"
            raise UnreachableError(path, why) from None
        except ConnectionRefusedError:
            why = "nothing listens there; jamaintd has ended (systemctl status jamaintd)"
            raise UnreachableError(path, why) from None
        except PermissionError:
            raise UnreachableError(path, f"permission denied; {_who_may(path)}") from None
        except (OSError, ValueError) as error:
            raise UnreachableError(path, getattr(error, "strerror", None) or str(error)) from None
        else:
            return


def _check_peer(connection: socket, path: str) -> None:
    """An impostor's socket is refused before a word is said: a name in /tmp may be anybody's."""
    peer = int.from_bytes(connection.getsockopt(SOL_SOCKET, SO_PEERCRED, 12)[4:8], sys.byteorder)
    try:
        owner = os.stat(path).st_uid
    except OSError:
        owner = 0
    if peer not in {0, os.geteuid(), owner}:
        raise UnreachableError(path, f"refused: uid {peer} listens there, who is neither root, nor you, nor its owner")


def _who_may(path: str) -> str:
    try:
        found = os.stat(path)
    except OSError:
        return "you may not enter its directory; ask to be added to its group (ls -ld " + os.path.dirname(path) + ")"
    return f"only uid {found.st_uid} and the group {found.st_gid} may use it (getent group {found.st_gid})"
