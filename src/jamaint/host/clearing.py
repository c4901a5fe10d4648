"""Clearing: what is old below the roots of a task is counted for a plan, and taken by the step that was planned."""

import errno
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, Self

from jamaint.core.mass_deletion import Filesystem, Sighting
from jamaint.host import syscalls
from jamaint.host.filesystems import filesystem_of
from jamaint.host.inuse import in_use
from jamaint.host.judging import Judge, Rule
from jamaint.host.leaving import Telling
from jamaint.host.openfiles import OpenFiles, open_files
from jamaint.host.roots import Place, Root, RootRefused, open_root
from jamaint.host.sharing import Sharing
from jamaint.host.skipped import STOPS_EVERYTHING, Skipped, why_not, words
from jamaint.host.statuses import Statuses
from jamaint.host.survey import SAMPLE, free_share
from jamaint.host.sweep import Met, Sweep, Tally
from jamaint.host.taking import Direct, DiskStopped, Held, Ledger, Taken
from jamaint.host.trash import Displaced, Moved, Trash
from jamaint.host.units import take_units
from jamaint.host.whole import Looked, Whole, look_again

UNITS = 100_000
"""Directories of a plan that are remembered by name; more are found again when it is carried out."""


@dataclass(slots=True)
class Area:
    """What one rule found below its root. `units` are the topmost directories that go whole, by their paths.

    `times` are the root's times of access and modification in nanoseconds, as it was looked at.
    """

    path: str
    rule: Rule
    stat: os.stat_result
    free_share: float
    met: Met = field(default_factory=Met)
    tally: Tally = field(default_factory=Tally)
    units: list[str] = field(default_factory=list)
    sample: list[Mapping[str, Any]] = field(default_factory=list)
    skipped: Skipped = field(default_factory=Skipped)
    filesystem: Filesystem | None = None

    @property
    def times(self) -> list[int]:
        return [self.stat.st_atime_ns, self.stat.st_mtime_ns]

    def sighting(self, at: str) -> Sighting:
        """What was seen of it, for the guard against mass deletion; `at` is when."""
        return Sighting(self.path, self.met.files, self.filesystem, self.tally.files, at)

    def reopen(self) -> Root:
        """Opens the root again, checked anew. Raises RootRefused, also when it is another directory by now."""
        root = open_root(self.path, shared=True)
        if not os.path.samestat(root.stat, self.stat):
            os.close(root.fd)
            raise RootRefused(self.path, f"{self.path} was replaced since it was looked at", "unsafe")
        return root


class Counting:
    """The taking of a plan: it counts, keeps a sample, and remembers which directories go whole."""

    direct = False
    changes = False
    marks = False

    def __init__(self, area: Area, root: Root, now_ns: int) -> None:
        self._area, self._root, self._now_ns = area, root, now_ns

    def files(self, place: Place, names: Sequence[str], prints: Sequence[int], tally: Tally) -> bool:  # noqa: ARG002
        """See sweep.Taking."""
        self._area.tally.add(tally)
        for name in names[: SAMPLE - len(self._area.sample)]:
            try:
                seen = os.lstat(name, dir_fd=place.fd)
            except OSError:
                continue
            self._note(place.rel, name, seen.st_blocks * 512, seen.st_mtime_ns)
        return True

    def directory(self, place: Place, name: str, expected: os.stat_result, tally: Tally) -> bool:
        """See sweep.Taking."""
        self._area.tally.add(tally)
        if len(self._area.units) < UNITS:
            self._area.units.append(name if place.rel == "." else f"{place.rel}/{name}")
        if len(self._area.sample) < SAMPLE:
            self._note(place.rel, f"{name}/", tally.bytes, expected.st_mtime_ns)
        return True

    def _note(self, rel: str, name: str, size: int, written_ns: int) -> None:
        age = (self._now_ns - written_ns) / 10**9
        self._area.sample.append({"path": self._root.name(rel, name), "bytes": size, "age_seconds": age})


def look(
    path: str,
    rule: Rule,
    *,
    held: OpenFiles,
    checkpoint: Callable[[], None],
    alone: Callable[[], bool],
    now_ns: int,
) -> Area:
    """What that rule finds below its path; changes nothing, access times included. Raises RootRefused.

    `alone`: whether no second process may help.
    """
    with open_root(path, shared=True) as root:
        refuse_mount(root)
        area = Area(path, rule, root.stat, free_share(root))
        area.filesystem = filesystem_of(root.path, root.fd)
        judge = Judge(root, rule, in_use(root.stat.st_dev, held))
        sweep = Sweep(judge, Counting(area, root, now_ns), area.skipped, checkpoint)
        area.met = sweep.met
        begin, merge = partial(_begin_apart, judge, area, now_ns), partial(_merge, sweep, area)
        sweep.go(Sharing(begin, merge, alone) if rule.forgets and not rule.unit else None)
        return area


@dataclass(frozen=True, slots=True)
class _Apart:
    """What a second process has found in its directories of a root: what an Area has of them, and its files' links."""

    tally: Tally
    met: Met
    units: Sequence[str]
    sample: Sequence[Mapping[str, Any]]
    skipped: Skipped
    links: Taken


def _begin_apart(judge: Judge, whole: Area, now_ns: int) -> Callable[[str | None], _Apart | None]:
    area = Area(whole.path, whole.rule, whole.stat, whole.free_share)
    sweep = Sweep(judge, Counting(area, judge.root, now_ns), area.skipped, lambda: None)

    def act(name: str | None) -> _Apart | None:
        if name is None:
            return _Apart(area.tally, sweep.met, area.units, area.sample, area.skipped, sweep.links)
        sweep.only(name)
        return None

    return act


def _merge(sweep: Sweep, area: Area, apart: _Apart) -> None:
    """Adds what was found apart. The space of a file with names on both sides goes when all of them do."""
    area.tally.add(apart.tally)
    area.met.add(apart.met)
    area.units += apart.units[: UNITS - len(area.units)]
    area.sample += apart.sample[: SAMPLE - len(area.sample)]
    area.skipped.merge(apart.skipped)
    known = sweep.links.alone + apart.links.alone
    sweep.links.merge(apart.links)
    area.tally.bytes += sweep.links.alone - known


def refuse_mount(root: Root) -> None:
    """Raises RootRefused for a place where a file system is mounted, but for those that are made to be cleaned."""
    if root.path not in TEMPORARY and syscalls.is_mount_root(root.fd):
        why = f"{root.path} is where a file system is mounted: name a directory below it"
        raise RootRefused(root.path, why, "unsafe")


TEMPORARY = frozenset({"/tmp", "/var/tmp"})  # noqa: S108 - named, not used


@dataclass(frozen=True, slots=True)
class Bounds:
    """What it keeps to. `stopping` raises as Telling.checkpoint does, and never waits: for the midst of things.

    `alone`: whether no second process may help.
    """

    stopping: Callable[[], object]
    alone: Callable[[], bool]


class Clearing:
    """One step while it is carried out. `way_back` is Step.undo: roots that are not in it leave no way back.

    A context: its end makes durable what was done. `clear` raises DiskStopped when nothing more can be done, Busy, and
    what `telling.checkpoint` raises.
    """

    def __init__(
        self,
        areas: Sequence[Area],
        way_back: Mapping[str, Any] | None,
        total: int,
        telling: Telling,
        bounds: Bounds,
    ) -> None:
        self._areas, self._telling, self._total = areas, telling, total
        self.bounds = bounds
        self._way_back = way_back or {"roots": []}
        self._kept_roots = {entry["path"] for entry in self._way_back["roots"]}
        self._stack = ExitStack()
        self._ways: dict[str, tuple[Trash | Direct, Ledger]] = {}
        self._open_files = open_files()
        self._free_before = free_bytes(areas)
        self.skipped = Skipped()
        self.kept: Counter[str] = Counter()
        self.directories = 0
        self.open_moves = 0
        """Directories that are moved, and of which it is not known whether they may go: nothing waits meanwhile."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, at)

    def clear(self) -> None:
        """Takes what is old: what the plan found whole at first, then what a second look finds."""
        for area in self._areas:
            if not (area.tally.files or area.tally.directories):
                self.kept += area.met.kept
                self.skipped.merge(area.skipped)
                continue
            try:
                way, ledger = self._way(area)
                use = in_use(way.root.stat.st_dev, self._open_files)
                taking = Taker(way, Judge(way.root, area.rule, use), ledger, self)
                if isinstance(way, Trash):
                    take_units(area.units, way, taking, self.bounds.alone)
                met = Sweep(Judge(way.root, area.rule, use), taking, self.skipped, self._telling.checkpoint).go()
                self.kept += met.kept
            except RootRefused as refusal:
                self.skipped.add(area.path, refusal.why, problem=True)

    def tell(self) -> None:
        """Says how far it is, and lets itself be stopped."""
        done = sum(ledger.taken.files for _, ledger in self._ways.values())
        self._telling.progress(min(done, self._total), self._total, "items")
        if self.open_moves:
            self.bounds.stopping()
        else:
            self._telling.checkpoint()

    def details(self) -> dict[str, Any]:
        """The figures so far: files, directories, bytes, freed_space now and freed_on_purge, why what was kept was."""
        figures = dict.fromkeys(("files", "bytes", "freed_space", "freed_on_purge"), 0)
        for path, (_, ledger) in self._ways.items():
            figures["files"] += ledger.taken.files
            figures["bytes"] += ledger.taken.bytes
            figures["freed_on_purge" if path in self._kept_roots else "freed_space"] += ledger.taken.alone
        free = {"free_bytes_before": self._free_before, "free_bytes_after": free_bytes(self._areas)}
        return {
            **figures,
            "directories": self.directories,
            "kept_by": dict(sorted(self.kept.items())),
            **free,
            **self.skipped.details(),
        }

    def _way(self, area: Area) -> tuple[Trash | Direct, Ledger]:
        """One way out for each root, which is ended with the step."""
        if area.path not in self._ways:
            root = self._stack.enter_context(area.reopen())
            refuse_mount(root)
            way: Trash | Direct = Direct(root, durable=False)
            if area.path in self._kept_roots:
                way = Trash(root, self._way_back["trash"], self._way_back["step"])
            self._stack.callback(way.finish)
            device = root.stat.st_dev
            held = Held(self._open_files.writers_on(device), self._open_files.any_on(device))
            self._ways[area.path] = way, Ledger(held, self.skipped)
        return self._ways[area.path]


class Taker:
    """The taking of a step: through the trash, or at once."""

    changes = True
    marks = True

    def __init__(self, way: Trash | Direct, judge: Judge, ledger: Ledger, clearing: Clearing) -> None:
        self.way, self.judge, self._ledger, self._clearing = way, judge, ledger, clearing
        self._seen = Statuses()
        self.direct = isinstance(way, Direct)

    def files(self, place: Place, names: Sequence[str], prints: Sequence[int], tally: Tally) -> bool:  # noqa: ARG002
        """See sweep.Taking."""
        left = self.way.take(place, names, prints, self._ledger)
        self._clearing.tell()
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
        self._clearing.open_moves += len(moved)
        return moved[0] if moved else None

    def settle(self, way: Trash, moved: Moved, looked: Looked) -> None:
        """Keeps or puts back what was moved, by what was found in it."""
        self._clearing.open_moves -= 1
        self._guarded(moved.place, moved.name, lambda: self._settle(way, moved, looked))

    def put_back(self, way: Trash, moved: Moved) -> None:
        """Puts back what was moved, without a look at it."""

        def act() -> bool:
            way.put_back(moved)
            return False

        self._clearing.open_moves -= 1
        self._guarded(moved.place, moved.name, act)

    def stopping(self) -> None:
        """Raises Stopped if the step is to stop."""
        self._clearing.bounds.stopping()

    def look_again(self, moved: Moved) -> Looked:
        """Looks through what was moved. Raises Stopped."""
        whole = Whole(self.judge, moved.rel, self._seen, self._clearing.bounds.stopping)
        return look_again(whole, (moved.gone, moved.name), moved.expected)

    def _guarded(self, place: Place, name: str, act: Callable[[], bool]) -> bool:
        rel = name if place.rel == "." else f"{place.rel}/{name}"
        try:
            return act()
        except (FileNotFoundError, NotADirectoryError):
            return True
        except FileExistsError:  # something of it is in the trash already
            return False
        except Displaced as displaced:
            self._clearing.skipped.add(self.way.root.name(rel), str(displaced), problem=True)
            return True
        except OSError as error:
            self._note(error, self.way.root.name(rel), name, place.fd)
            return False

    def _remove(self, way: Direct, place: Place, name: str) -> bool:
        try:
            way.remove_directory(place, name)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            return False  # somebody has put something into it
        self._clearing.directories += 1
        return True

    def _take_whole(self, way: Trash, place: Place, name: str, expected: os.stat_result) -> bool:
        moved = way.move_directory(place, name, expected)
        try:
            looked = self.look_again(moved)
        except BaseException:  # asked to stop in the midst of it
            way.put_back(moved)
            raise
        return self._settle(way, moved, looked)

    def _settle(self, way: Trash, moved: Moved, looked: Looked) -> bool:
        why = way.settle(moved, looked.found)
        if why is None:
            self._ledger.taken.merge(looked.taken)
            self._clearing.directories += looked.directories
            self._clearing.tell()
            return True
        if self.judge.rule.unit:
            self._clearing.skipped.add(way.root.name(moved.rel), f"it goes whole or not at all, and {why}")
        return False

    def _note(self, error: OSError, path: str, name: str, fd: int) -> None:
        self._clearing.skipped.add(path, why_not(error, name, fd), problem=True)
        if error.errno in STOPS_EVERYTHING:
            raise DiskStopped(f"{path}: {words(error)}") from None


def free_bytes(areas: Iterable[Area]) -> int:
    """What is free for us now on the file systems of these roots, each counted once."""
    free = {}
    for area in areas:
        try:
            status = os.statvfs(area.path)
        except OSError:
            continue
        free[area.stat.st_dev] = status.f_bavail * status.f_frsize
    return sum(free.values())
