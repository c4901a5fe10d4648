"""Free space of a path's file system, and the device each path lies on, by the mount table."""

import os

from jamaint.core.purges import FreeSpace, device_of
from jamaint.files.access.filesystem_id import kind_of
from jamaint.files.access.mounts import MOUNTINFO, plain


def mounted_devices(path: str = MOUNTINFO) -> list[tuple[str, str]]:
    """Return (mount point, device) of all that is mounted. Raises OSError.

    A mount that does not answer keeps nobody waiting here, and no right is needed to look.
    """
    found = []
    with open(path, encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            fields = line.split(" ", 5)
            if len(fields) > 5:
                found.append((plain(fields[4]), fields[2]))
    return found


def disk_of(path: str) -> str:
    """Return the device that a path lies on, links on the way followed. Raises OSError."""
    return device_of(os.path.realpath(path), mounted_devices())


def free_space(path: str) -> FreeSpace:
    """Return what the file system of a path has free for an ordinary user. Raises OSError."""
    status = os.statvfs(path)
    size = status.f_frsize
    return FreeSpace(status.f_bavail * size, status.f_blocks * size, status.f_favail, status.f_files)


def own_space(path: str) -> FreeSpace:
    """Return what the file system of a path has free for us: for root, with what is reserved for it. Raises OSError."""
    status = os.statvfs(path)
    reserved = os.geteuid() == 0
    free, inodes = (status.f_bfree, status.f_ffree) if reserved else (status.f_bavail, status.f_favail)
    return FreeSpace(free * status.f_frsize, status.f_blocks * status.f_frsize, inodes, status.f_files)


def takes_blocks(path: str) -> bool:
    """Return whether a directory takes a block where a path lies: not in memory (tmpfs)."""
    return kind_of(path) != "tmpfs"
