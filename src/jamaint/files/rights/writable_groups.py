"""Writable groups: who may write in a directory beside its owner, and whether they are to be trusted.

Who may write in a directory may swap what is in it under us, and have us act on another file. Nobody is to be feared

- in a group that root's own configuration trusts (`trust: {groups: […]}`);
- in a private group: it has at least one account, and each account in it (as a member, or by its primary group) is
  root's (uid 0) or the one whose rights this process acts with.

The user table is asked at the moment of the act. Where it cannot tell all who are in a group (a directory service may
leave accounts out of a listing), no group is private.
"""

import grp
import os
import pwd
import struct
from collections.abc import Iterable, Iterator

from jamaint.host.accounts import user_name

_ACL = "system.posix_acl_access"
_USER, _OWNING_GROUP, _GROUP, _MASK = 2, 4, 8, 16
_WRITE = 2
_COMPLETE = frozenset({"files", "compat", "systemd", "altfiles"})
"""Sources of accounts that tell all they know when they are asked for a listing."""
_NSSWITCH = "/etc/nsswitch.conf"
_trusted: set[str] = set()


def trust(groups: Iterable[str]) -> None:
    """Set the groups that root's configuration trusts; for a worker to call once, before it looks at anything."""
    _trusted.clear()
    _trusted.update(groups)


def other_writer(fd: int, seen: os.stat_result) -> tuple[str, str] | None:
    """Return (who else may write in an open directory by its group or access list, what to do), or None for nobody.

    `seen` is its status; its owner, and what everyone may, are not looked at.
    """
    if not seen.st_mode & 0o020:  # the group's bits are the mask of an access list, if there is one
        return None
    mode = f"mode {seen.st_mode & 0o7777:04o}"
    for kind, number in _group_writers(fd, seen):
        if kind == _USER and number not in (0, os.geteuid()):
            return f"may be written by {user_name(number)} (access list)", "setfacl -x that entry, if nothing needs it"
        if kind == _GROUP and not (number == 0 or is_trusted(number) or is_private(number)):
            return _of_group(number, mode)
    return None


def is_trusted(gid: int) -> bool:
    """Return whether the configuration trusts a group."""
    return any(_gid(name) == gid for name in _trusted)


def is_private(gid: int) -> bool:
    """Return whether all who are in a group are root's or the one that this process acts as, and that is known."""
    try:
        members = grp.getgrgid(gid).gr_mem
        if not _knows_all_accounts():
            return False
        accounts = [entry.pw_uid for entry in pwd.getpwall() if entry.pw_gid == gid]
        accounts += [pwd.getpwnam(name).pw_uid for name in members]
    except (KeyError, OSError):  # no such group, or a member that nobody knows
        return False
    return bool(accounts) and set(accounts) <= {0, os.geteuid()}


def _group_writers(fd: int, seen: os.stat_result) -> Iterator[tuple[int, int]]:
    """Yield (_USER or _GROUP, id) of those who may write by the group's bits or by an access list."""
    try:
        acl = os.getxattr(f"/proc/self/fd/{fd}", _ACL)
    except OSError:
        yield _GROUP, seen.st_gid
        return
    entries = list(struct.iter_unpack("<HHI", acl[4:]))
    mask = next((may for tag, may, _ in entries if tag == _MASK), 7)
    for tag, may, number in entries:
        if may & mask & _WRITE and tag in (_USER, _OWNING_GROUP, _GROUP):
            yield (_USER if tag == _USER else _GROUP), (seen.st_gid if tag == _OWNING_GROUP else number)


def _of_group(gid: int, mode: str) -> tuple[str, str]:
    try:
        name = grp.getgrgid(gid).gr_name
    except KeyError:
        return f"may be written by the group {gid} ({mode}), which has no name", "give it a group that has one"
    advice = f"if its members may decide what is in it, add `trust: {{groups: [{name}]}}` to root's configuration"
    return f"may be written by the group {name} ({mode})", advice


def _gid(name: str) -> int | None:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None


def _knows_all_accounts() -> bool:
    """Return whether each source of users and groups of this machine is one that lists all of them."""
    try:
        with open(_NSSWITCH, encoding="utf-8", errors="replace") as file:
            lines = [line.partition("#")[0].partition(":") for line in file]
    except FileNotFoundError:  # the C library looks into the files then
        return True
    except OSError:
        return False
    sources = {
        word
        for name, _, rest in lines
        if name.strip() in ("passwd", "group", "initgroups")
        for word in _without_actions(rest).split()
    }
    return sources <= _COMPLETE


def _without_actions(rest: str) -> str:
    """Return a line's sources without what stands in brackets: [NOTFOUND=return]."""
    while "[" in rest:
        before, _, after = rest.partition("[")
        rest = f"{before} {after.partition(']')[2]}"
    return rest
