"""Who is at the other end of a Unix socket: the kernel's word, taken once, when the connection is accepted."""

import errno
import grp
import pwd
import socket
import struct
from collections.abc import Callable
from typing import NamedTuple

SO_PEERGROUPS = 59
_CREDENTIALS = struct.Struct("3i")
_GROUPS = 256
"""As many as Python's getsockopt has room for; of who is in more, only the primary group counts."""


class Peer(NamedTuple):
    """uid, gids and pid as the kernel tells them; no identity is ever taken from a message."""

    pid: int
    uid: int
    gids: frozenset[int]


def peer_of(getsockopt: Callable[[int, int, int], bytes]) -> Peer:
    """The peer's credentials, by a connection's getsockopt. Raises OSError when the kernel does not tell them."""
    raw = getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, gid = struct.unpack("iII", raw)
    return Peer(pid, uid, frozenset({gid, *_groups(getsockopt)}))


def _groups(getsockopt: Callable[[int, int, int], bytes]) -> list[int]:
    try:
        raw = getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, 4 * _GROUPS)
    except OSError as error:
        if error.errno == errno.ERANGE:
            return []
        raise
    return [gid for (gid,) in struct.iter_unpack("I", raw)]


def uid_of(name: str) -> int | None:
    """The uid of a user's name, or None if there is none."""
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def gid_of(name: str) -> int | None:
    """The gid of a group's name, or None if there is none."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None


def name_of(uid: int) -> str:
    """The user's name, or `uid N` for one without."""
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return f"uid {uid}"
