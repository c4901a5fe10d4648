"""Protects what an undo has put back from the next cleanup: see core.held_places.

To rename a file back is a change of it, and its time of change tells so: no list of files is needed, only the time in
which the undo worked. A directory's moves on when somebody uses it, and so does a log's; those are known by inode, as
long as what has it now was not made later than that.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from jamaint.core import held_places
from jamaint.core.held_places import HeldPlace, HoldRecord

INODES = 1000
"""Directories of one undo that are known by inode; more are known by their time of change alone."""
_COARSE_NS = 20_000_000
"""How far the clock that files are stamped with may be behind."""


@dataclass(slots=True)
class Restored:
    """Tally of an undo: from which moment on it puts things back, how many items by root, and inodes to know by."""

    began_ns: int = field(default_factory=lambda: time.time_ns() - _COARSE_NS)
    items: dict[str, int] = field(default_factory=dict)
    inodes: list[int] = field(default_factory=list)

    def add(self, root: str, items: int, inodes: Sequence[int] = ()) -> None:
        """Adds what is back in one root."""
        self.items[root] = self.items.get(root, 0) + items
        self.inodes += inodes


def record(restored: Restored, way_back: Mapping[str, Any]) -> list[HoldRecord]:
    """What an undo of `way_back` (Step.undo) that has just ended tells.

    Nothing came back: no record. A way back of an older version does not say how long that is held: no places.
    """
    ended = time.time_ns()
    back = {path: items for path, items in restored.items.items() if items > 0}
    if not back:
        return []
    found: HoldRecord = {"from_ns": restored.began_ns, "until_ns": ended, "inodes": restored.inodes[:INODES]}
    roots = [root for root in way_back["roots"] if root["path"] in back]
    if all("hold" in root for root in roots):
        found["places"] = [
            HeldPlace(path=path, items=back[path], unit="file", until_ns=held_places.until(ended, root["hold"]))
            for root in roots
            for path in (root["path"],)
        ]
    return [found]


def noted(outcome: Mapping[str, Any], restored: Restored, way_back: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of an undo, or of its dry run, with what is held from now on."""
    found = record(restored, way_back)
    return {**outcome, "held": found} if found else dict(outcome)


Born = Callable[[], int | None]
"""Asks when a directory was made, in nanoseconds; None where its file system does not tell."""
PutBack = Callable[[Any, Born | None], bool]
"""Whether something was put back: by its status and, for what is known by inode, by when it was made."""


@dataclass(frozen=True, slots=True)
class Hold:
    """What undos have put back, as a test; `why` is what is said of something that is held."""

    test: PutBack
    why: str

    def __call__(self, seen: Any, born: Born | None) -> bool:
        """Whether it was put back."""
        return self.test(seen, born)


def test(records: Sequence[HoldRecord], path: str, before: int | None, now_ns: int) -> Hold | None:
    """A test for what was put back at a path and is held still; None where nothing is.

    `before` is the rule's age ago from `now_ns`: it counts for records that do not say how long they hold.
    """
    young = [
        one
        for one in held_places.at(records, path, now_ns)
        if "places" in one or before is None or one["until_ns"] >= before
    ]
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

    return Hold(held, _why(young, before, now_ns))


def _why(young: Sequence[HoldRecord], before: int | None, now_ns: int) -> str:
    last = max(young, key=lambda one: _until(one, before, now_ns) or 0)
    until, execution = _until(last, before, now_ns), last.get("execution", "")[:8]
    ends = "" if until is None else f" until {_moment(until)}"
    by = f"the rollback of {execution}" if execution else "an undo"
    remedy = f" (jamaintctl held release {execution} lets go of it)" if execution else ""
    return f"it was put back by {by}, and is held{ends}{remedy}"


def _until(record: HoldRecord, before: int | None, now_ns: int) -> int | None:
    if "places" in record:
        return max(place["until_ns"] for place in record["places"])
    return None if before is None else record["until_ns"] + now_ns - before


def _moment(ns: int) -> str:
    return f"{datetime.fromtimestamp(ns // 10**9, UTC):%Y-%m-%d %H:%M} UTC"
