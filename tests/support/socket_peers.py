"""Other users at the socket: connections as the kernel sees them when somebody else connects."""

import ctypes
import grp
import os
import pwd
import socket
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

_libc = ctypes.CDLL(None, use_errno=True)
_NUMBERS = {"x86_64": (116, 119, 117), "aarch64": (159, 149, 147)}
"""setgroups, setresgid and setresuid, which each kind of machine has by its own numbers."""
_SETGROUPS, _SETRESGID, _SETRESUID = _NUMBERS.get(os.uname().machine, (0, 0, 0))

ME = pwd.getpwuid(os.geteuid()).pw_name
CAN_BE_OTHERS = os.geteuid() == 0 and _SETGROUPS != 0


class Who(NamedTuple):
    """A user as the kernel knows one."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


def users(count: int) -> list[pwd.struct_passwd]:
    """Users of this machine that are not root, each with a group of its own."""
    found = {one.pw_gid: one for one in pwd.getpwall() if one.pw_uid != 0 and one.pw_gid != 0}
    return sorted(found.values(), key=lambda one: one.pw_uid)[:count]


def groups(count: int) -> list[grp.struct_group]:
    """Groups of this machine that are no user's own."""
    taken = {one.pw_gid for one in pwd.getpwall()}
    return [one for one in grp.getgrall() if one.gr_gid not in taken][:count]


def connecting_as(who: Who, bound: bytes | None = None) -> Callable[[Path], socket.socket]:
    """Connects as somebody else, from a socket that has that name of its own. Only for root.

    In a thread that ends: by bare system calls a thread alone becomes another user, which glibc would do for all.
    """

    def connect(path: Path) -> socket.socket:
        found: list[socket.socket | OSError] = []

        def run() -> None:
            connection = socket.socket(socket.AF_UNIX)
            try:
                _become(who)
                if bound is not None:
                    connection.bind(bound)
                connection.connect(str(path))
                found.append(connection)
            except OSError as error:
                connection.close()
                found.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        if isinstance(found[0], OSError):
            raise found[0]
        return found[0]

    return connect


def _become(who: Who) -> None:
    array = (ctypes.c_uint32 * len(who.groups))(*who.groups)
    _call(_SETGROUPS, len(who.groups), array)
    _call(_SETRESGID, *_same(who.gid))
    _call(_SETRESUID, *_same(who.uid))


def _same(number: int) -> Sequence[ctypes.c_uint32]:
    return [ctypes.c_uint32(number)] * 3


def _call(number: int, *args: object) -> None:
    if _libc.syscall(number, *args) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
