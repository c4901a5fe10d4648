"""Carry out one step over all roots of a survey: delete, compress or archive files."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import Lock
from types import TracebackType
from typing import Any, Self

from jamaint.files.access.root import DirectoryRefusedError, Place, Root, RootRefusedError, open_root
from jamaint.files.access.skip_report import Skipped
from jamaint.files.access.thread_fanout import side_by_side
from jamaint.files.cleanup.survey import Found, free_bytes
from jamaint.files.rights.borrowed import acting_as
from jamaint.files.trash.inventory import Recording
from jamaint.files.trash.removal import DirectRemoval, Held, RemovalMethod, RemovalTally, Taken
from jamaint.files.trash.replacement import Copying, Made, Maker, Replacing, archive_place
from jamaint.files.trash.stops import DiskError
from jamaint.files.trash.trash import Trash
from jamaint.files.use.open_files import open_files
from jamaint.host.accounts import Account


@dataclass(frozen=True, slots=True)
class StepReporter:
    """How it speaks while it works: `checkpoint` may raise, and then what is done stands and can be undone.

    `portion` says how many of so many files may go before the next checkpoint.
    """

    checkpoint: Callable[[], None]
    progress: Callable[[int, int | None, str], None]
    portion: Callable[[int], int] = lambda most: most
    taken: Callable[[bytes], None] | None = None
    """Writes down a block of what is about to be taken: see files.trash.inventory."""

    def record(self, trash: str, step: str, root: str) -> Recording | None:
        """The record of what one step takes from one root; None where there is none."""
        return None if self.taken is None else Recording((trash, step, root), self.taken)

    def portions(self, names: Sequence[str], prints: Sequence[int]) -> Iterator[tuple[Sequence[str], Sequence[int]]]:
        """Files with their fingerprints, so many at a time."""
        while names:
            count = self.portion(len(names))
            yield names[:count], prints[:count]
            names, prints = names[count:], prints[count:]


class SurveyStep:
    """One step while it is carried out. `way_back` is Step.undo: roots that are not in it leave no way back.

    A context: its end makes durable what was done. Everything in it raises DiskError, when it is through with all
    others, where nothing more can be done on a disk; Busy; and what `telling.checkpoint` raises.
    """

    def __init__(
        self, what: str, found: Sequence[Found], way_back: Mapping[str, Any] | None, telling: StepReporter
    ) -> None:
        self._what, self._found, self._telling = what, [root for root in found if root.count(what)], telling
        self._way_back = way_back or {"roots": []}
        self._numbers = _numbers(self._way_back["roots"], found)
        self._open_files = open_files()
        self._roots = found
        self._free_before = free_bytes(found)
        self._stack = ExitStack()
        self._ways: dict[tuple[str, bool], RemovalMethod] = {}
        self._parts: list[tuple[bool, Taken, Made | None]] = []
        self._done = 0
        self._lock = Lock()
        self._total = sum(root.count(what) for root in found)
        self._total_bytes = sum(root.size(what) for root in found)
        self.skipped = Skipped()
        self._stopped: DiskError | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, at)

    def delete(self) -> None:
        """Deletes the files."""
        for found in self._found:
            with self._noting_refusal(found), found.acting():
                way = self._way(found)
                ledger = self._ledger(way.root)
                self._parts.append((self._keeps(found), ledger.taken, None))
                for place, names, prints in self._places(way.root, found):
                    for some, marks in self._telling.portions(names, prints):
                        way.take(place, some, marks, ledger)
                        self._done += len(some)
                        self._telling.progress(self._done, self._total, "items")
                        self._telling.checkpoint()
        self._end()

    def replace(self, maker: Maker) -> None:
        """Replaces each file by what `maker` makes of it, in the same directory."""
        for found in self._found:
            with self._noting_refusal(found), found.acting():
                way = self._way(found)
                replacing = self._replacing(maker, found, way, way)
                for place, names, prints in self._places(way.root, found):
                    self._replace_some(replacing, place, place, names, prints)
        self._end()

    def move(self, archive: str, prefix: str) -> None:
        """Moves each file to the archive, a root, under the same path; `prefix` has to be made below that."""
        for found in self._found:
            with self._noting_refusal(found), found.acting():
                if found.account is not None:
                    self.skipped.add(found.path, NO_ARCHIVE.format(found.account.name), problem=True)
                    continue
                way = self._way(found)
                arriving = self._opened(archive, self._keeps(found), lambda: open_root(archive))
                replacing = self._replacing(Copying(), found, way, arriving)
                for place, names, prints in self._places(way.root, found):
                    try:
                        target = archive_place(arriving, prefix, place)
                    except DirectoryRefusedError as refusal:
                        where = arriving.root.name("/".join(one for one in (prefix, place.rel) if one not in ("", ".")))
                        for name in names:
                            why = f"its place in the archive, {where}, cannot be used: {refusal.why}"
                            self.skipped.add(way.root.name(place.rel, name), why, problem=True)
                        continue
                    with target:
                        self._replace_some(replacing, place, target, names, prints)
        self._end()

    def details(self) -> dict[str, Any]:
        """The figures so far: files, bytes, freed_space, freed_on_purge, made_bytes, what was skipped, free space.

        freed_space is what the disk has more now, and negative where something was made while its source waits in the
        trash; freed_on_purge what emptying the trash will give; verified counts the files that were made, read back and
        found the same, by length and CRC-32, before their source went.
        """
        figures = dict.fromkeys(("files", "bytes", "freed_space", "freed_on_purge", "made_bytes", "verified"), 0)
        for keeps, taken, made in self._parts:
            figures["files"] += taken.files
            figures["bytes"] += taken.bytes
            figures["freed_on_purge" if keeps else "freed_space"] += taken.alone
            if made is not None:
                figures["freed_space"] -= made.blocks
                figures["made_bytes"] += made.bytes
                figures["verified"] += made.verified
        free = {"free_bytes_before": self._free_before, "free_bytes_after": free_bytes(self._roots)}
        return {**figures, **free, **self.skipped.details()}

    def _keeps(self, found: Found) -> bool:
        return found.path in self._numbers

    def _ledger(self, root: Root) -> RemovalTally:
        device = root.stat.st_dev
        return RemovalTally(Held(self._open_files.writers_on(device), self._open_files.any_on(device)), self.skipped)

    def _way(self, found: Found) -> RemovalMethod:
        return self._opened(found.path, self._keeps(found), found.open, found.account)

    def _opened(
        self, path: str, keeps: bool, opening: Callable[[], Root], account: Account | None = None
    ) -> RemovalMethod:
        """Return the way out of a root: one for each, which is ended with the step, with its owner's rights."""
        if (path, keeps) not in self._ways:
            root = self._stack.enter_context(opening())
            way: RemovalMethod = self._trash(root) if keeps else DirectRemoval(root)
            self._stack.callback(_finish, way, account)
            self._ways[path, keeps] = way
        return self._ways[path, keeps]

    def _trash(self, root: Root) -> Trash:
        trash = self._way_back["trash"]
        return Trash(root, trash, self._what, record=self._telling.record(trash, self._what, root.path))

    def _replacing(self, maker: Maker, found: Found, leaving: RemovalMethod, arriving: RemovalMethod) -> Replacing:
        number = self._numbers.get(found.path, 0)
        replacing = Replacing(maker, leaving, arriving, number, self._ledger(leaving.root))
        self._parts.append((self._keeps(found), replacing.ledger.taken, replacing.made))
        return replacing

    @contextmanager
    def _noting_refusal(self, found: Found) -> Iterator[None]:
        try:
            yield
        except RootRefusedError as refusal:
            self.skipped.add(found.path, refusal.why, problem=True)
        except DiskError as reason:  # another root may be on another disk
            self.skipped.add(found.path, str(reason), problem=True)
            self._stopped = self._stopped or reason

    def _end(self) -> None:
        """Raises DiskError where nothing more could be done in one of the roots."""
        if self._stopped is not None:
            raise self._stopped

    def _places(self, root: Root, found: Found) -> Iterator[tuple[Place, Sequence[str], Sequence[int]]]:
        for rel, names, prints in found.work[self._what]:
            try:
                place = root.descend(rel)
            except DirectoryRefusedError as refusal:
                for name in names:
                    self.skipped.add(root.name(rel, name), refusal.why, problem=refusal.failed)
                continue
            with place:
                yield place, names, prints

    def _replace_some(
        self, replacing: Replacing, place: Place, target: Place, names: Sequence[str], prints: Sequence[int]
    ) -> None:
        try:
            side_by_side(
                lambda file: replacing.replace(place, target, *file, self._tick),
                list(zip(names, prints, strict=True)),
                self._total_bytes // max(self._total, 1),
            )
        finally:
            replacing.settle(place, target)

    def _tick(self, count: int) -> None:
        with self._lock:
            self._done += count
            self._telling.progress(self._done, self._total_bytes, "bytes")
            self._telling.checkpoint()


def _numbers(roots: Sequence[Mapping[str, Any]], found: Sequence[Found]) -> dict[str, int]:
    """Return the number of each root of a way back. A plan of before they had one numbers those of each owner."""
    owners = {root.path: root.account.name for root in found if root.account is not None}
    counts: dict[str | None, int] = {}
    numbers = {}
    for entry in roots:
        owner = owners.get(entry["path"])
        numbers[entry["path"]] = entry.get("number", counts.get(owner, 0))
        counts[owner] = counts.get(owner, 0) + 1
    return numbers


def _finish(way: RemovalMethod, account: Account | None) -> None:
    with acting_as(account):
        way.finish()


NO_ARCHIVE = (
    "it is owned by {0}, who may not write in the archive: give it a task with `user: {0}` and an archive of {0}'s"
)


def open_archive(directory: str) -> tuple[Root, str]:
    """Opens an archive, or the nearest directory above it that is there, and says what has to be made below that.

    Raises RootRefusedError.
    """
    prefix: list[str] = []
    path = directory
    while True:
        try:
            return open_root(path), "/".join(prefix)
        except RootRefusedError as refusal:
            above, _, name = path.rpartition("/")
            if refusal.kind != "missing" or not above:
                raise
            prefix.insert(0, name)
            path = above


def is_in(path: str, directory: str) -> bool:
    """Whether a path is a directory or below it."""
    return path == directory or path.startswith(directory + os.sep)
