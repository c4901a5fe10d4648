"""What was left alone and why: everything is counted, the first hundred are kept by name."""

import errno
import os
from typing import Any

from jamaint.host import syscalls

KEPT_BY_NAME = 100
STOPS_EVERYTHING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
"""Errors that will meet the next file as well: the step ends with them."""


class Skipped:
    """Files and directories left alone. Those of them where something went wrong are `problems` too."""

    def __init__(self) -> None:
        self.count = 0
        self.items: list[dict[str, str]] = []
        self.problems_count = 0
        self.problems: list[dict[str, str]] = []

    def add(self, path: str, why: str, problem: bool = False) -> None:
        """Counts one; `why` completes the sentence "it was left alone because it …"."""
        self.count += 1
        item = {"path": path, "why": why}
        if len(self.items) < KEPT_BY_NAME:
            self.items.append(item)
        if problem:
            self.problems_count += 1
            if len(self.problems) < KEPT_BY_NAME:
                self.problems.append(item)

    def details(self) -> dict[str, Any]:
        """{skipped, skipped_count, problems, problems_count} as they go into a step's details."""
        return {
            "skipped": list(self.items),
            "skipped_count": self.count,
            "problems": list(self.problems),
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
