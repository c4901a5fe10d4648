"""Writers of logs that open them anew for each line: whether one could make its log again once it has gone."""

import os
from collections.abc import Collection

from jamaint.files.access.root import DirectoryRefusedError, Root
from jamaint.files.rules.rotated_names import looks_live
from jamaint.host.accounts import account_of

_ACCESS_LIST = "system.posix_acl_access"
_MAY_MAKE = 0o3
"""Of the bits of a class: what makes a file in a directory."""


class LiveLogs:
    """Finds logs that look live and whose owner could not make them anew in their directory.

    Such a log is written to by name, so that nobody holds it open; without it the writer gets "Permission denied" from
    then on. What a directory's access list allows is not known, and counts as nothing.
    """

    def __init__(self) -> None:
        self._directories: dict[tuple[str, str], os.stat_result | None] = {}
        self._verdicts: dict[tuple[int, int, int, int], bool] = {}

    def objection(self, root: Root, rel: str, name: str, seen: os.stat_result) -> str | None:
        """Why the file has to stay; None where it may go."""
        if seen.st_uid == 0 or not looks_live(name):
            return None
        directory = self._directory(root, rel)
        if directory is not None and self._may_make(seen, directory):
            return None
        return (
            f"nothing in its name says that it was rotated, and its owner {_named(seen.st_uid)} could not make it anew "
            f"in {root.name(rel)}: have logs.rotate rotate it, or give its owner the directory"
        )

    def _directory(self, root: Root, rel: str) -> os.stat_result | None:
        """The directory as it is; None where more than its mode may count, or it cannot be looked at."""
        if (root.path, rel) not in self._directories:
            self._directories[root.path, rel] = _plain_stat(root, rel)
        return self._directories[root.path, rel]

    def _may_make(self, log: os.stat_result, directory: os.stat_result) -> bool:
        key = (log.st_uid, directory.st_uid, directory.st_gid, directory.st_mode)
        if key not in self._verdicts:
            self._verdicts[key] = may_make(log.st_uid, _groups(log.st_uid), directory)
        return self._verdicts[key]


def may_make(uid: int, groups: Collection[int], directory: os.stat_result) -> bool:
    """True if the mode of a directory lets a user with these groups make a file in it."""
    shift = 6 if directory.st_uid == uid else 3 if directory.st_gid in groups else 0
    return directory.st_mode >> shift & _MAY_MAKE == _MAY_MAKE


def _plain_stat(root: Root, rel: str) -> os.stat_result | None:
    try:
        with root.descend(rel) as place:
            path = f"/proc/self/fd/{place.fd}"
            return None if _ACCESS_LIST in os.listxattr(path) else os.stat(path)
    except (DirectoryRefusedError, OSError):
        return None


def _groups(uid: int) -> tuple[int, ...]:
    try:
        return account_of(uid).groups
    except LookupError:
        return ()


def _named(uid: int) -> str:
    try:
        return account_of(uid).name
    except LookupError:
        return str(uid)
