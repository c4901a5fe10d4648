"""What was left alone and why: everything is counted, the first hundred are kept by name."""

import errno
import os
from typing import Any

from jamaint.files.access import syscalls

KEPT_BY_NAME = 100
KEPT_CHARACTERS = 64 << 10
"""Of the paths together: a hundred paths may have four thousand characters each."""
STOPS_EVERYTHING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
"""Errors that will meet the next file as well: the step ends with them."""


class Few:
    """The first of many paths, each with a reason."""

    def __init__(self) -> None:
        self.items: list[dict[str, str]] = []
        self._room = KEPT_CHARACTERS

    def add(self, path: str, why: str) -> None:
        """Keeps it as {path, why} while there is room."""
        self._room -= len(path)
        if len(self.items) < KEPT_BY_NAME and self._room >= 0:
            self.items.append({"path": path, "why": why})


class Skipped:
    """Files and directories left alone. Those of them where something went wrong are `problems` too."""

    def __init__(self) -> None:
        self.count = 0
        self.problems_count = 0
        self._items, self._problems = Few(), Few()

    @property
    def problems(self) -> list[dict[str, str]]:
        """{path, why} of the first of them."""
        return list(self._problems.items)

    def add(self, path: str, why: str, problem: bool = False) -> None:
        """Counts one; `why` completes the sentence "it was left alone because it …"."""
        self.count += 1
        self._items.add(path, why)
        if problem:
            self.problems_count += 1
            self._problems.add(path, why)

    def merge(self, other: "Skipped") -> None:
        """Adds what was left alone elsewhere."""
        self.count += other.count
        self.problems_count += other.problems_count
        for items, others in ((self._items, other._items), (self._problems, other._problems)):
            for item in others.items:
                items.add(item["path"], item["why"])

    @property
    def first(self) -> dict[str, str] | None:
        """{path, why} of the first one."""
        return self._items.items[0] if self._items.items else None

    def details(self) -> dict[str, Any]:
        """{skipped, skipped_count, problems, problems_count} as they go into a step's details."""
        return {
            "skipped": list(self._items.items),
            "skipped_count": self.count,
            "problems": self.problems,
            "problems_count": self.problems_count,
        }


def why_not(error: OSError, name: str, dir_fd: int) -> str:
    """Says in words why a file could not be dealt with; looks whether chattr is the reason."""
    if error.errno in (errno.EPERM, errno.EACCES):
        for place, what in ((name, "it is"), (".", "its directory is")):
            try:
                kind = syscalls.locked_by_attribute(place, dir_fd)
            except OSError:
                continue
            if kind is not None:
                return f"{what} {kind} (chattr)"
    if error.errno == errno.EXDEV:
        return "it is on another mount than the trash"
    return words(error)


def words(error: OSError) -> str:
    """What the system says of an error, to stand within a sentence."""
    return os.strerror(error.errno).lower() if error.errno else str(error)
