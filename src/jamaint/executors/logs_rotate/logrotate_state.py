"""logrotate beside us: whether it is at work now, and which logs it rotates too."""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

STATE = "/var/lib/logrotate/status"
_LINE = re.compile(rb'"((?:[^"\\]|\\.)*)" (\d{4})-(\d{1,2})-(\d{1,2})')
_SIZE_LIMIT = 16 << 20


@contextmanager
def keeping_out(state: str | None = None) -> Iterator[bool]:
    """While it lasts, logrotate does not start; gives False when it is at work, and then nobody waits.

    It locks its state file, and so do we. Where everybody may open that file, anybody could lock it for ever: there
    the lock says nothing and is not taken.
    """
    try:
        fd = os.open(state or STATE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        yield True
        return
    try:
        if os.fstat(fd).st_mode & 0o007:
            yield True
            return
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(fd)


def rotated_by_it(since: tuple[int, int, int], state: str | None = None) -> frozenset[str]:
    """Paths that logrotate has had in hand on or after that day, as far as we may read its state."""
    try:
        with open(state or STATE, "rb") as file:
            content = file.read(_SIZE_LIMIT)
    except OSError:
        return frozenset()
    found = (line for line in map(_LINE.match, content.splitlines()) if line is not None)
    return frozenset(
        os.fsdecode(re.sub(rb"\\(.)", rb"\1", line[1]))
        for line in found
        if (int(line[2]), int(line[3]), int(line[4])) >= since
    )
