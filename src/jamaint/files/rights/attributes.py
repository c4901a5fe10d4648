"""Attributes: owner, group, mode, access list and label of a file that is made, like those of the one it stands for.

A new file takes its group from a setgid directory, and an access list and a label from its directory: who may read it
would be decided by where it lies. So what is made has its attributes while it is open, nameless and empty; writing may
clear some (setuid, capabilities), so they are given again and compared with what is wanted, before it gets its name.
"""

import errno
import os
import stat
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from jamaint.files.access.skip_report import words
from jamaint.files.rights.borrowed import raised

MUST_STAY = ("user.", "system.posix_acl_", "security.capability")
"""Attributes without which a copy is not the same file; others are kept where possible."""
ACCESS_LISTS = ("system.posix_acl_access", "system.posix_acl_default")
_LABELS = {
    "security.selinux": "/sys/fs/selinux/enforce",
    "security.SMACK64": "/sys/fs/smackfs/load2",
}
"""Labels, each with what is there where the kernel decides by it."""
_OF_CONTENT = ("security.ima", "security.evm")
"""Signatures, which another content has not."""
_MODE_BITS = 0o7777
_OWNING_GROUP, _MASK = 4, 16
_NO_ATTRIBUTES = frozenset({errno.ENODATA, errno.EOPNOTSUPP})


class AttributesDifferError(Exception):
    """A copy cannot be made like its source, and why."""


@dataclass(frozen=True, slots=True)
class FileAttributes:
    """What a file is to be like: `mode` in the twelve bits of chmod, `extended` by name."""

    uid: int
    gid: int
    mode: int
    extended: Mapping[str, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, fd: int, seen: os.stat_result) -> "FileAttributes":
        """Return those of an open file; `seen` is its status. Raises OSError."""
        names = [name for name in _names(fd) if name not in _OF_CONTENT]
        extended = {name: os.getxattr(fd, name) for name in names}
        return cls(seen.st_uid, seen.st_gid, stat.S_IMODE(seen.st_mode), extended)

    def changed(self, uid: int | None, gid: int | None, mode: int | None) -> "FileAttributes":
        """Return them with another owner, group or mode; with a mode that is said, there is no access list."""
        extended = self.extended
        if mode is not None:
            extended = {name: value for name, value in extended.items() if name not in ACCESS_LISTS}
        return replace(
            self,
            uid=self.uid if uid is None else uid,
            gid=self.gid if gid is None else gid,
            mode=self.mode if mode is None else mode,
            extended=extended,
        )

    def give(self, fd: int) -> None:
        """Set them on an open file, and take away what it has beside them. Raises AttributesDifferError; OSError
        ENOSPC."""
        now = os.fstat(fd)
        try:
            _give_owner(fd, now, self.uid, self.gid)
            drop_access_lists(fd, but=self.extended)
            os.fchmod(fd, self.mode)
        except OSError as error:
            raise AttributesDifferError(
                f"its owner, group or mode could not be kept{self._only_root(now, error)}"
            ) from None
        for name, value in self.extended.items():
            try:
                os.setxattr(fd, name, value)
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    raise
                if _must_stay(name):
                    raise AttributesDifferError(f"{name} could not be kept: {words(error)}") from None

    def _only_root(self, now: os.stat_result, error: OSError) -> str:
        """Return why, and the remedy where it takes root's rights."""
        if error.errno != errno.EPERM or (now.st_uid, now.st_gid) == (self.uid, self.gid) or os.geteuid() == 0:
            return f": {words(error)}"
        return f": only root may give it to uid {self.uid} and gid {self.gid}, which this task's user may not"

    def settle(self, fd: int, times: tuple[int, int]) -> None:
        """Set them again on what has its content now, with access and modification time, and compare.

        Raises AttributesDifferError; OSError ENOSPC.
        """
        if self.differs(fd):
            self.give(fd)
        os.utime(fd, ns=times)
        different = self.differs(fd)
        if different:
            raise AttributesDifferError(f"it would have another {different} than its original")

    def differs(self, fd: int) -> str:
        """Return which of them an open file has not, in words; "" when it has them all."""
        now = os.fstat(fd)
        found = {name: os.getxattr(fd, name) for name in _names(fd) if _must_stay(name)}
        wanted = {name: value for name, value in self.extended.items() if _must_stay(name)}
        found = {name: value for name, value in found.items() if name in wanted or name not in _LABELS}
        different = [
            what
            for what, is_right in (
                ("owner", now.st_uid == self.uid),
                ("group", now.st_gid == self.gid),
                ("mode", now.st_mode & _MODE_BITS == self.mode),
                ("access list, label or attribute", found == wanted),
            )
            if not is_right
        ]
        return " and ".join(different)


def drop_access_lists(fd: int, but: Mapping[str, bytes] | None = None) -> None:
    """Take away the access lists that an open file or directory has from its directory. Raises OSError."""
    for name in set(_names(fd)) & set(ACCESS_LISTS) - (but or {}).keys():
        try:
            os.removexattr(fd, name)
        except OSError as error:
            if error.errno not in _NO_ATTRIBUTES:
                raise


def mode_without_list(fd: int, mode: int) -> int:
    """Return the mode that gives an open directory's owner, group and others what they have, without its access list.

    With one, the group's bits are its mask: what the others named in it may, and not what the group may.
    """
    try:
        acl = os.getxattr(f"/proc/self/fd/{fd}", ACCESS_LISTS[0])
    except OSError:
        return mode
    may: dict[int, int] = {tag: bits for tag, bits, _ in struct.iter_unpack("<HHI", acl[4:])}
    return mode & ~0o070 | (may.get(_OWNING_GROUP, 0) & may.get(_MASK, 7)) << 3


def _give_owner(fd: int, now: os.stat_result, uid: int, gid: int) -> None:
    """Set owner and group where they are not right already: a member of no such group may keep one, and not set it.

    Of a file of the user that this process acts as, root sets the group: its original has it.
    """
    if (now.st_uid, now.st_gid) == (uid, gid):
        return
    try:
        os.fchown(fd, uid, gid)
    except PermissionError:
        if not now.st_uid == uid == os.geteuid():
            raise
        with raised():
            os.fchown(fd, -1, gid)


def _must_stay(name: str) -> bool:
    decides = _LABELS.get(name)
    return name.startswith(MUST_STAY) or (decides is not None and os.path.exists(decides))


def _names(fd: int) -> list[str]:
    try:
        return os.listxattr(fd)
    except OSError:  # a file system without
        return []
