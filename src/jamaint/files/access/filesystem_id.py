"""File systems: which one an open directory lies on, and from where it is mounted."""

import os
import re

from jamaint.core.safety.deletion_guard import Filesystem

_ESCAPED = re.compile(r"\\([0-7]{3})")


def filesystem_of(path: str, fd: int) -> Filesystem:
    """The file system of an open directory; `path` is its whole path, without links. Unknown parts are empty."""
    status = os.fstatvfs(fd)
    mount, kind, source = _mount_of(path)
    return Filesystem(id=f"{status.f_fsid & (1 << 64) - 1:x}", source=source, type=kind, mount=mount)


def kind_of(path: str) -> str:
    """The type of the file system that a path lies on, such as ext4; the empty text where that is not known."""
    return _mount_of(path)[1]


def _mount_of(path: str) -> tuple[str, str, str]:
    """(where, type, source) of the mount that a path is in: the longest that leads to it, of several the topmost."""
    best = ("", "", "")
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:
                left, _, right = line.partition(" - ")
                mount = _ESCAPED.sub(lambda match: chr(int(match[1], 8)), left.split(" ")[4])
                if len(mount) >= len(best[0]) and (path == mount or path.startswith(mount.rstrip("/") + "/")):
                    kind, source = right.split(" ")[:2]
                    best = (mount, kind, source)
    except (OSError, IndexError, ValueError):
        return best
    return best
