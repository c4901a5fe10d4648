"""Directory cursor: descend into a tree and up again by open directories, each checked as it is entered.

Never through a link, never into another mount, at any depth.

Only the deepest levels are kept open. A level above is opened again from the one below it, and must be the very same
directory then: where somebody has moved one away meanwhile, the way up is lost, and known to be.
"""

import os
from dataclasses import dataclass

from jamaint.files.access.root import DirectoryRefusedError, Root, readable

OPEN_LEVELS = 100
_UP = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
MOVED = "it was moved while it was looked through"


@dataclass(slots=True)
class Level:
    """One directory on the way: open for listing, but for `fd` -1; `seen` as it was when it was entered."""

    name: str
    fd: int
    seen: os.stat_result


class Descent:
    """The way from a directory below a root to where we are. Owns all descriptors in it."""

    def __init__(self, root: Root, fd: int) -> None:
        self._root = root
        self.levels = [Level("", fd, os.fstat(fd))]

    @property
    def here(self) -> Level:
        """Where we are."""
        return self.levels[-1]

    @property
    def rel(self) -> str:
        """The path to here from where it began; "." for that."""
        return "/".join(level.name for level in self.levels[1:]) or "."

    def enter(self, name: str) -> Level:
        """Goes into a directory. Raises DirectoryRefusedError, OSError."""
        passing, seen = self._root.look_in(self.here.fd, name)
        try:
            fd = readable(passing)
        finally:
            os.close(passing)
        level = Level(name, fd, seen)
        self.levels.append(level)
        if len(self.levels) > OPEN_LEVELS + 1:
            far = self.levels[-OPEN_LEVELS - 1]
            if far.fd >= 0:
                os.close(far.fd)
                far.fd = -1
        return level

    def leave(self) -> Level:
        """Goes up, and returns the level that was left, closed. Raises DirectoryRefusedError when the way up is lost.

        We are at a level that is open then: those in between are given up.
        """
        gone = self.levels.pop()
        try:
            above = self.here
            if above.fd < 0:
                above.fd = self._up(gone.fd, above.seen)
        finally:
            os.close(gone.fd)
            gone.fd = -1
        return gone

    def close(self) -> None:
        """Lets go of all."""
        for level in self.levels:
            if level.fd >= 0:
                os.close(level.fd)
        self.levels = []

    def _up(self, below: int, expected: os.stat_result) -> int:
        try:
            fd = os.open("..", _UP | os.O_NOATIME, dir_fd=below)
        except PermissionError:
            fd = os.open("..", _UP, dir_fd=below)
        if os.path.samestat(os.fstat(fd), expected):
            return fd
        os.close(fd)
        while self.here.fd < 0:
            self.levels.pop()
        raise DirectoryRefusedError(MOVED)
