"""Obstacles to a trash, found by looking alone: what a plan can foresee of a directory in which nothing can be kept."""

import os
import stat
from dataclasses import dataclass

from jamaint.files.access.filesystem_id import kind_of
from jamaint.files.access.globs import TRASH
from jamaint.files.access.root import Root, RootRefusedError, open_root
from jamaint.files.rights.owners import opened
from jamaint.files.trash.trash import open_private

WITHOUT_MODES = frozenset({"vfat", "msdos", "exfat", "hfs", "ntfs"})
"""File systems in which everything has the owner and the mode that the mount gives."""
PERHAPS_WITHOUT_MODES = frozenset({"fuseblk", "ntfs3", "cifs", "smb3", "smbfs", "9p"})
"""File systems that keep modes as they are mounted, which cannot be seen from here."""
CURE = "set `rollback: {enabled: false}` on the task"


@dataclass(frozen=True, slots=True)
class TrashPlace:
    """What stands against a trash in a root: `read_only`, so that nothing can go from there at all; `unfit`, why there
    can be none; `doubt`, why there may be none. Empty texts: nothing is known against it."""

    read_only: bool = False
    unfit: str = ""
    doubt: str = ""


def look_at(path: str, by_owner: bool = False) -> TrashPlace:
    """Look at a root; changes nothing. `by_owner`: its trash is made with its owner's rights. Raises OSError,
    RootRefusedError."""
    if is_read_only(path):
        return TrashPlace(read_only=True)
    if by_owner:
        with opened(path) as (root, _):
            return _look(root)
    with open_root(path, shared=True) as root:
        return _look(root)


def is_read_only(path: str) -> bool:
    """Return whether nothing can be written where a path lies, by its mount or its file system. Raises OSError."""
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def _look(root: Root) -> TrashPlace:
    kind, is_foreign = kind_of(root.path), False
    try:
        fd = open_private(root.fd, TRASH, root)
    except RootRefusedError as refusal:
        if kind not in WITHOUT_MODES | PERHAPS_WITHOUT_MODES:
            return TrashPlace(unfit=refusal.why)
        fd, is_foreign = None, True
    if fd is not None:
        os.close(fd)
        return TrashPlace()
    is_ours_alone = root.stat.st_uid == os.geteuid() and not stat.S_IMODE(root.stat.st_mode) & 0o077
    if is_foreign or (kind in WITHOUT_MODES and not is_ours_alone):
        return TrashPlace(unfit=_modeless(root.path, kind))
    if not os.access(root.path, os.W_OK | os.X_OK, effective_ids=True):
        return TrashPlace(unfit=f"{root.path} may not be written by uid {os.geteuid()}: a trash cannot be made there")
    doubt = kind in PERHAPS_WITHOUT_MODES and not is_ours_alone
    return TrashPlace(doubt=f"{_perhaps(root.path, kind)}; {CURE} then" if doubt else "")


def _modeless(path: str, kind: str) -> str:
    why = f"{path} is on a file system ({kind}) that keeps no modes or owners: a trash there would be open to others"
    return f"{why}; {CURE}, or mount it with the worker's uid and umask=077"


def _perhaps(path: str, kind: str) -> str:
    why = f"{path} is on a file system ({kind}) that may keep no modes or owners, as it is mounted"
    return f"{why}: nothing is taken there if so, for a trash would be open to others"
