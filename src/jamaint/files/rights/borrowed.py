"""Borrowed rights: act as another user for a while and come back: files by their owner, scripts by root.

Prior art: logrotate's `su`, and file servers that answer with their client's rights. The effective ids and the groups
change, in all threads of the process at once (glibc sees to it); the real and the saved user stay root's, so that no
process of that user can signal or trace this one. What must hold: nothing is started with borrowed rights, for a child
could take root's again. Scripts, and looks at other users' processes, are made within `own_rights`.
"""

import ctypes
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from jamaint.host.accounts import Account, check_reachable

_setfsuid = ctypes.CDLL(None).setfsuid
_setfsuid.argtypes = (ctypes.c_uint,)
_Ids = tuple[int, int, tuple[int, ...]]
_own_groups: list[tuple[int, ...]] = []
"""The groups of this process before the first loan; empty until then."""


def can_lend() -> bool:
    """Whether this process is root with its own rights, and so may act as another user and come back."""
    return os.getresuid() == (0, 0, 0)


@contextmanager
def acting_as(account: Account | None) -> Iterator[None]:
    """Act with a user's ids and groups within the block; None, and the user that this is already, change nothing.

    Raises PermissionError when this process is not root.
    """
    if account is None or account.is_own:
        yield
        return
    if os.getuid() != 0:
        check_reachable(account)
    with _ids(account.uid, account.gid, account.groups):
        yield


@contextmanager
def own_rights() -> Iterator[None]:
    """Act with the rights that this process was started with within the block."""
    if os.geteuid() == os.getuid():
        yield
        return
    with _ids(os.getuid(), os.getgid(), _own_groups[0]):
        yield


@contextmanager
def raised() -> Iterator[None]:
    """Act on open files with root's rights within the block, in this thread alone; nothing may be done there by name.

    Without root's rights to come back to, nothing changes.
    """
    uid = os.geteuid()
    if uid == 0 or os.getuid() != 0:
        yield
        return
    _setfsuid(0)
    try:
        yield
    finally:
        _setfsuid(uid)


@contextmanager
def _ids(uid: int, gid: int, groups: Sequence[int]) -> Iterator[None]:
    before: _Ids = os.geteuid(), os.getegid(), tuple(os.getgroups())
    if not _own_groups:
        _own_groups.append(before[2])
    try:
        _switch((uid, gid, tuple(groups)))
        yield
    finally:
        _switch(before)


def _switch(ids: _Ids) -> None:
    """Set the effective ids and the groups. Raises PermissionError also when the kernel did not do all of it."""
    uid, gid, groups = ids
    os.seteuid(os.getuid())  # only root may set the groups
    os.setgroups(groups)
    os.setegid(gid)
    os.seteuid(uid)
    if (os.geteuid(), os.getegid()) != (uid, gid):
        raise PermissionError(f"this process could not take the rights of uid {uid}")
