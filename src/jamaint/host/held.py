"""Held: what an undo has put back is old still, and would be the first to go again; so it is left alone for a while.

To rename a file back is a change of it, and its time of change tells so: no list of files is needed, only the time in
which the undo worked. A directory's moves on when somebody uses it; those that came back whole are known by inode,
as long as what has it now was not made later than that.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

INODES = 1000
"""Directories of one undo that are known by inode; more are known by their time of change alone."""
_COARSE_NS = 20_000_000
"""How far the clock that files are stamped with may be behind."""


def begin() -> int:
    """The moment in nanoseconds from which on an undo puts things back."""
    return time.time_ns() - _COARSE_NS


def record(began: int, inodes: Sequence[int]) -> dict[str, Any]:
    """What an undo that began then and has just ended tells: {from_ns, until_ns, inodes}."""
    return {"from_ns": began, "until_ns": time.time_ns(), "inodes": list(inodes[:INODES])}


Born = Callable[[], int | None]
"""Asks when a directory was made, in nanoseconds; None where its file system does not tell."""
PutBack = Callable[[Any, Born | None], bool]
"""Whether something was put back: by its status and, for a directory, by when it was made."""


@dataclass(frozen=True, slots=True)
class Hold:
    """What undos have put back, as a test; `why` is what is said of something that is held."""

    test: PutBack
    why: str

    def __call__(self, seen: Any, born: Born | None) -> bool:
        """Whether it was put back."""
        return self.test(seen, born)


def test(records: Sequence[Mapping[str, Any]], before: int | None, now_ns: int | None) -> Hold | None:
    """A test for what was put back later than `before`, which is the age ago from `now_ns`; None where nothing was."""
    young = [one for one in records if before is None or one["until_ns"] >= before]
    if not young:
        return None
    spans = [(one["from_ns"], one["until_ns"]) for one in young]
    ended_of: dict[int, int] = {}
    for one in young:
        ended_of |= {inode: max(one["until_ns"], ended_of.get(inode, 0)) for inode in one["inodes"]}

    def held(seen: Any, born: Born | None) -> bool:
        if born is not None and seen.st_ino in ended_of:
            made = born()  # a new one may have the number of one that is gone since
            if made is None or made <= ended_of[seen.st_ino]:
                return True
        return any(begun <= seen.st_ctime_ns <= ended for begun, ended in spans)

    return Hold(held, _why(max(ended for _, ended in spans), before, now_ns))


def _why(ended: int, before: int | None, now_ns: int | None) -> str:
    why = f"it was put back by an undo, and is held (the last undo ended at {_moment(ended)}"
    if before is None or now_ns is None:
        return f"{why})"
    return f"{why}, what it put back is held until {_moment(ended + now_ns - before)})"


def _moment(ns: int) -> str:
    return f"{datetime.fromtimestamp(ns // 10**9, UTC):%Y-%m-%d %H:%M} UTC"
