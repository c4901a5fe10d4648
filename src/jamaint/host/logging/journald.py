"""journald's native protocol: one record is one datagram of fields, or a sealed memory file when it is too large.

Our own socket, because libsystemd's waits while journald stalls, and holds the interpreter's lock meanwhile.
"""

import errno
import fcntl
import os
import socket
import struct
from array import array
from collections.abc import Iterable

SOCKET = "/run/systemd/journal/socket"

_length = struct.Struct("<Q").pack
_ALL_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class Journal:
    """A way into the journal that never waits."""

    def __init__(self, path: str = SOCKET) -> None:
        self._path = path
        self._channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def send(self, record: bytes) -> bool:
        """Hands over an encoded record; False when journald is away or does not keep up. Never waits, never raises."""
        try:
            # By name each time, not connected: journald may have been restarted since.
            self._channel.sendto(record, socket.MSG_NOSIGNAL, self._path)
        except OSError as error:
            if error.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
                return False
            return self._send_large(record)
        return True

    def close(self) -> None:
        """Gives the socket back."""
        self._channel.close()

    def _send_large(self, record: bytes) -> bool:
        try:
            fd = os.memfd_create("jamaint-record", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        except OSError:
            return False
        try:
            view = memoryview(record)
            while view:
                view = view[os.write(fd, view) :]
            # journald takes only what can change no more.
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _ALL_SEALS)
            passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [fd]))]
            self._channel.sendmsg([], passed, socket.MSG_NOSIGNAL, self._path)
        except OSError:
            return False
        finally:
            os.close(fd)
        return True


def encode(fields: Iterable[tuple[str, str]]) -> bytes:
    """Fields as one record. Names must be right already; values may hold anything, line breaks too."""
    return b"".join([_field(name, value) for name, value in fields])


def _field(name: str, value: str) -> bytes:
    try:
        data = value.encode("utf-8", "surrogateescape")  # a file name's bytes stay what they are
    except UnicodeEncodeError:
        data = value.encode("utf-8", "backslashreplace")
    if b"\n" in data:
        return b"%s\n%s%s\n" % (name.encode(), _length(len(data)), data)
    return b"%s=%s\n" % (name.encode(), data)
