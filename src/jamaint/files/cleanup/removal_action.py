"""Remove expired entries, via the trash or directly, and count them."""

import errno
import os
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from jamaint.files.access.batch_stat import Statuses
from jamaint.files.access.root import Place
from jamaint.files.access.skip_report import STOPS_EVERYTHING, why_not, words
from jamaint.files.cleanup.directory_recheck import RecheckResult, Whole, look_again
from jamaint.files.cleanup.eligibility import Judge
from jamaint.files.cleanup.sweep import Tally
from jamaint.files.trash.removal import DirectRemoval, RemovalTally
from jamaint.files.trash.stops import DiskError
from jamaint.files.trash.trash import Moved, Trash, TrashDisplacedError


class RunHooks(NamedTuple):
    """How it goes about it. `tell` is called when something has gone, with whether it may wait; `stopping` in the midst
    of things, and never waits. Both raise to stop. `portions` are the files that may go between two calls of `tell`."""

    tell: Callable[[bool], None]
    stopping: Callable[[], object]
    portions: Callable[[Sequence[str], Sequence[int]], Iterable[tuple[Sequence[str], Sequence[int]]]]


class RemovalAction:
    """The taking of a step below one root: through the trash, or at once."""

    changes = True
    marks = True

    def __init__(self, way: Trash | DirectRemoval, judge: Judge, ledger: RemovalTally, manner: RunHooks) -> None:
        self.way, self.judge, self.stopping = way, judge, manner.stopping
        self._ledger, self._tell, self._portions = ledger, manner.tell, manner.portions
        self._open_moves = 0
        """Directories that are moved, and of which it is not known whether they may go: nothing waits meanwhile."""
        self._seen = Statuses()
        self._immovable: set[str] = set()
        self.direct = isinstance(way, DirectRemoval)

    def files(self, place: Place, names: Sequence[str], prints: Sequence[int], tally: Tally) -> bool:  # noqa: ARG002
        """See sweep.Taking."""
        left: list[str] = []
        for some, marks in self._portions(names, prints):
            left += self.way.take(place, some, marks, self._ledger)
            self._tell(not self._open_moves)
        return not left

    def directory(self, place: Place, name: str, expected: os.stat_result, tally: Tally) -> bool:
        """See sweep.Taking."""
        way = self.way
        if isinstance(way, Trash):
            return self._guarded(place, name, lambda: self._take_whole(way, place, name, expected))
        return self._guarded(place, name, lambda: not tally.files and self._remove(way, place, name))

    @property
    def files_taken(self) -> int:
        """How many so far."""
        return self._ledger.taken.files

    def move(self, way: Trash, place: Place, name: str, expected: os.stat_result) -> Moved | None:
        """Takes a directory until settle() says what becomes of it; None when it cannot be taken."""
        moved: list[Moved] = []

        def act() -> bool:
            moved.append(way.move_directory(place, name, expected))
            return True

        self._guarded(place, name, act)
        self._open_moves += len(moved)
        return moved[0] if moved else None

    def settle(self, way: Trash, moved: Moved, looked: RecheckResult) -> None:
        """Keeps or puts back what was moved, by what was found in it."""
        self._open_moves -= 1
        self._guarded(moved.place, moved.name, lambda: self._settle(way, moved, looked))

    def put_back(self, way: Trash, moved: Moved) -> None:
        """Puts back what was moved, without a look at it."""

        def act() -> bool:
            way.put_back(moved)
            return False

        self._open_moves -= 1
        self._guarded(moved.place, moved.name, act)

    def look_again(self, moved: Moved) -> RecheckResult:
        """Looks through what was moved. Raises StopRequestedError."""
        lists = isinstance(self.way, Trash) and self.way.records
        whole = Whole(self.judge, moved.rel, self._seen, self.stopping, lists)
        return look_again(whole, (moved.gone, moved.name), moved.expected)

    def _guarded(self, place: Place, name: str, act: Callable[[], bool]) -> bool:
        rel = name if place.rel == "." else f"{place.rel}/{name}"
        try:
            return act()
        except (FileNotFoundError, NotADirectoryError):
            return True
        except FileExistsError:  # something of it is in the trash already
            return False
        except TrashDisplacedError as displaced:
            self._ledger.skipped.add(self.way.root.name(rel), str(displaced), problem=True)
            return True
        except OSError as error:
            self._note(error, self.way.root.name(rel), name, place.fd)
            return False

    def _remove(self, way: DirectRemoval, place: Place, name: str) -> bool:
        try:
            way.remove_directory(place, name)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            return False  # somebody has put something into it
        self._ledger.directories += 1
        return True

    def _take_whole(self, way: Trash, place: Place, name: str, expected: os.stat_result) -> bool:
        moved = way.move_directory(place, name, expected)
        try:
            looked = self.look_again(moved)
        except BaseException:  # asked to stop in the midst of it
            way.put_back(moved)
            raise
        return self._settle(way, moved, looked)

    def _settle(self, way: Trash, moved: Moved, looked: RecheckResult) -> bool:
        why = way.settle(moved, looked.found, looked.parts)
        if why is None:
            self._ledger.taken.merge(looked.taken)
            self._ledger.directories += looked.directories
            self._tell(not self._open_moves)
            return True
        if self.judge.rule.unit:
            self._ledger.skipped.add(way.root.name(moved.rel), f"it goes whole or not at all, and {why}")
        return False

    def _note(self, error: OSError, path: str, name: str, fd: int) -> None:
        if error.errno == errno.EXDEV:
            self._note_immovable(path)
            return
        self._ledger.skipped.add(path, why_not(error, name, fd), problem=True)
        if error.errno in STOPS_EVERYTHING:
            raise DiskError(f"{path}: {words(error)}") from None

    def _note_immovable(self, path: str) -> None:
        """It is no failure: what may go of a directory that cannot be moved goes file by file."""
        if path not in self._immovable:
            self._immovable.add(path)
            why = "its file system cannot move it (on overlayfs: it is of a lower layer); what is old in it goes alone"
            why += ", and it goes in a later run, once it is empty"
            self._ledger.skipped.add(path, why)
