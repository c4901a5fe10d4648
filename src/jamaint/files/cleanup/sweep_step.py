"""Sweep step: count what is old below a task's roots for a plan, and take it in the planned step."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, Self

from jamaint.core.safety.deletion_guard import Filesystem, RootObservation
from jamaint.files.access import syscalls
from jamaint.files.access.filesystem_id import filesystem_of
from jamaint.files.access.globs import is_glob
from jamaint.files.access.mounts import is_mount_point
from jamaint.files.access.parallel_walk import ParallelWalk
from jamaint.files.access.root import Place, Root, RootRefusedError, open_root
from jamaint.files.access.skip_report import Skipped, words
from jamaint.files.cleanup.eligibility import Judge, Rule
from jamaint.files.cleanup.removal_action import RemovalAction, RunHooks
from jamaint.files.cleanup.survey import SAMPLE
from jamaint.files.cleanup.survey_step import StepReporter
from jamaint.files.cleanup.sweep import Met, Sweep, Tally
from jamaint.files.cleanup.whole_directories import take_units
from jamaint.files.trash.removal import DirectRemoval, Held, RemovalTally, Taken
from jamaint.files.trash.stops import DiskError
from jamaint.files.trash.trash import Trash
from jamaint.files.use.in_use import in_use
from jamaint.files.use.open_files import OpenFiles, open_files

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
    met: Met = field(default_factory=Met)
    tally: Tally = field(default_factory=Tally)
    units: list[str] = field(default_factory=list)
    sample: list[Mapping[str, Any]] = field(default_factory=list)
    skipped: Skipped = field(default_factory=Skipped)
    filesystem: Filesystem | None = None

    @property
    def times(self) -> list[int]:
        return [self.stat.st_atime_ns, self.stat.st_mtime_ns]

    def observation(self, at: str) -> RootObservation:
        """What was seen of it, for the guard against mass deletion; `at` is when."""
        return RootObservation(self.path, self.met.files, self.filesystem, self.tally.files, at)

    def reopen(self) -> Root:
        """Opens the root again, checked anew. Raises RootRefusedError, also when it is another directory by now."""
        root = open_root(self.path, shared=True)
        if not os.path.samestat(root.stat, self.stat):
            os.close(root.fd)
            raise RootRefusedError(self.path, f"{self.path} was replaced since it was looked at", "unsafe")
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
    """What that rule finds below its path; changes nothing, access times included. Raises RootRefusedError.

    `alone`: whether no second process may help.
    """
    if is_glob(path):
        raise RootRefusedError(path, f"no directory matches {path}", "missing")
    with open_root(path, shared=True) as root:
        check_mount(root, rule.mount)
        if rule.whole_only:
            _check_beside(root)
        area = Area(path, rule, root.stat)
        area.filesystem = filesystem_of(root.path, root.fd)
        judge = Judge(root, rule, in_use(root.stat.st_dev, held))
        sweep = Sweep(judge, Counting(area, root, now_ns), area.skipped, checkpoint)
        area.met = sweep.met
        begin, merge = partial(_begin_apart, judge, area, now_ns), partial(_merge, sweep, area)
        sweep.go(ParallelWalk(begin, merge, alone) if rule.forgets and not rule.unit else None)
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
    area = Area(whole.path, whole.rule, whole.stat)
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


def check_mount(root: Root, meant: bool) -> None:
    """Raise RootRefusedError for a mount point that is not meant, and for a directory that is meant to be one and
    is not.

    `meant` is the key `mount`. /tmp and /var/tmp are made to be cleaned, mounted or not.
    """
    if root.path in TEMPORARY and not meant:
        return
    try:
        mounted = is_mount_point(root)
    except OSError as error:
        why = f"whether a file system is mounted on {root.path} cannot be told: {words(error)}"
        raise RootRefusedError(root.path, why, "failed") from None
    if meant and not mounted:
        why = f"{root.path} is no mount point now, and `mount: true` says that it is one: mount its file system"
        raise RootRefusedError(root.path, why, "unsafe")
    if mounted and not meant:
        why = f"{root.path} is where a file system is mounted: set `mount: true` on the path if you mean all of it, "
        raise RootRefusedError(root.path, f"{why}or name a directory below it", "unsafe")


def _check_beside(root: Root) -> None:
    """Raise RootRefusedError where links beside the root cannot be seen: a unit that has been given this directory
    alone."""
    if syscalls.is_mount_root(root.fd) and not is_mount_point(root):
        above = os.path.dirname(root.path)
        why = f"links in {above}, such as `current`, cannot be seen by this worker, and what they lead to must not go"
        cure = f"run `jamaintctl config apply` as root; if {above} is protected, move {root.path} further down"
        raise RootRefusedError(root.path, f"{root.path}: {why}: {cure}", "unsafe")


TEMPORARY = frozenset({"/tmp", "/var/tmp"})  # noqa: S108 - named, not used


@dataclass(frozen=True, slots=True)
class Bounds:
    """What it keeps to. `stopping` raises as Telling.checkpoint does, and never waits: for the midst of things.

    `alone`: whether no second process may help.
    """

    stopping: Callable[[], object]
    alone: Callable[[], bool]


class SweepStep:
    """One step while it is carried out. `way_back` is Step.undo: roots that are not in it leave no way back.

    A context: its end makes durable what was done. `clear` raises DiskError, when it is through with all others,
    where nothing more can be done on a disk; Busy; and what `telling.checkpoint` raises.
    """

    def __init__(
        self,
        areas: Sequence[Area],
        way_back: Mapping[str, Any] | None,
        total: int,
        telling: StepReporter,
        bounds: Bounds,
    ) -> None:
        self._areas, self._telling, self._total = areas, telling, total
        self._bounds = bounds
        self._way_back = way_back or {"roots": []}
        self._kept_roots = {entry["path"] for entry in self._way_back["roots"]}
        self._stack = ExitStack()
        self._ways: dict[str, tuple[Trash | DirectRemoval, RemovalTally]] = {}
        self._open_files = open_files()
        self._free_before = free_bytes(areas)
        self.skipped = Skipped()
        self.kept: Counter[str] = Counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.__exit__(kind, error, at)

    def clear(self) -> None:
        """Takes what is old: what the plan found whole at first, then what a second look finds."""
        manner = RunHooks(self._tell, self._bounds.stopping, self._telling.portions)
        stopped: list[DiskError] = []
        for area in self._areas:
            if not (area.tally.files or area.tally.directories):
                self.kept += area.met.kept
                self.skipped.merge(area.skipped)
                continue
            try:
                way, ledger = self._way(area)
                use = in_use(way.root.stat.st_dev, self._open_files)
                taking = RemovalAction(way, Judge(way.root, area.rule, use), ledger, manner)
                if isinstance(way, Trash):
                    take_units(area.units, way, taking, self._bounds.alone)
                met = Sweep(Judge(way.root, area.rule, use), taking, self.skipped, self._telling.checkpoint).go()
                self.kept += met.kept
            except RootRefusedError as refusal:
                self.skipped.add(area.path, refusal.why, problem=True)
            except DiskError as reason:  # another root may be on another disk
                self.skipped.add(area.path, str(reason), problem=True)
                stopped.append(reason)
        if stopped:
            raise stopped[0]

    def _tell(self, waits: bool) -> None:
        """Says how far it is, and lets itself be stopped; where it may wait, also held."""
        done = sum(ledger.taken.files for _, ledger in self._ways.values())
        self._telling.progress(min(done, self._total), self._total, "items")
        if waits:
            self._telling.checkpoint()
        else:
            self._bounds.stopping()

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
            "directories": sum(ledger.directories for _, ledger in self._ways.values()),
            "kept_by": dict(sorted(self.kept.items())),
            **free,
            **self.skipped.details(),
        }

    def _way(self, area: Area) -> tuple[Trash | DirectRemoval, RemovalTally]:
        """One way out for each root, which is ended with the step."""
        if area.path not in self._ways:
            root = self._stack.enter_context(area.reopen())
            check_mount(root, area.rule.mount)
            way: Trash | DirectRemoval = DirectRemoval(root, durable=False)
            if area.path in self._kept_roots:
                trash, step = self._way_back["trash"], self._way_back["step"]
                way = Trash(root, trash, step, True, self._telling.record(trash, step, root.path))
            self._stack.callback(way.finish)
            device = root.stat.st_dev
            held = Held(self._open_files.writers_on(device), self._open_files.any_on(device))
            self._ways[area.path] = way, RemovalTally(held, self.skipped)
        return self._ways[area.path]


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
