"""Capacity: what is measured, how it grows, when a disk is full, and what would help. Sizes in bytes, times in UTC."""

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from jamaint.core.cleanup_kinds import KINDS, SYSTEM
from jamaint.core.executor_table import ROWS, row_of
from jamaint.core.owner_rights import OWNER
from jamaint.core.plans import Step, parts_of
from jamaint.core.secrets import written
from jamaint.core.tasks import Task
from jamaint.core.worker_kinds import sides

DAY = timedelta(days=1)
LEAST_SAMPLES = 3
LEAST_SPAN = timedelta(hours=6)
"""With fewer samples, or in a shorter time, no growth is told: it would be noise."""
HORIZON = timedelta(days=3650)
FULL_SOON, FULL_IN_SIGHT = timedelta(days=7), timedelta(days=30)
ALMOST_FULL, FULLISH = 0.95, 0.80
WORTH_SHARE, WORTH_BYTES = 0.10, 64 << 20
"""What could be freed is worth a word from this share of the whole on, or from so many bytes."""

LATER = "; the space is freed when the trash is purged"

DIRECTORIES = {row.key: row.works_on for row in ROWS if row.works_on in ("logs", "temp", "files")}
TENDING = frozenset(row.key for row in ROWS if row.frees)
"""Executors whose plan tells what could be freed, or put in order."""
MEMCACHED = "memcached:"
_WILDCARD = re.compile(r"[*?\[]")


class Target(NamedTuple):
    """One thing that is measured: `kind` is storage, logs, temp, files, database or cache; `name` says which one."""

    kind: str
    name: str

    @property
    def is_address(self) -> bool:
        """Whether the name is one of those that workers check; memcached only tells its statistics."""
        return self.kind in ("database", "cache") and not self.name.startswith(MEMCACHED)


class Measurer(NamedTuple):
    """Who can measure something: the kind of worker that does a task's work, and the user that the task names."""

    kind: str
    user: str | None


class Sample(NamedTuple):
    """How large something was at a moment."""

    at: datetime
    bytes: int


class Gain(NamedTuple):
    """What a cleanup would free: bytes, and whether some of them are only free when the trash is purged."""

    bytes: int
    later: bool = False
    files: int = 0
    """How many go, each with its inode."""


@dataclass(frozen=True, slots=True)
class Trend:
    """How something grows: bytes a day, None while that cannot be told, with the reason."""

    per_day: float | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Advice:
    """A recommendation: its light is green, yellow or red; `task` is what would help, `frees` how much, if known."""

    kind: str
    name: str
    light: str
    reason: str
    task: str | None = None
    frees: int | None = None
    later: bool = False
    files: int = 0


def targets(tasks: Iterable[Task], state_dir: str) -> tuple[Target, ...]:
    """What is to be measured: every directory, database and cache that an enabled task works on, and their disks."""
    found: dict[Target, None] = {}
    for task in tasks:
        if task.enabled:
            for executor, config in _works(task):
                found |= dict.fromkeys(_of(executor, config))
    places = [target.name for target in found if target.kind in ("logs", "temp", "files")]
    storage = [Target("storage", path) for path in dict.fromkeys(["/", state_dir, *places])]
    return (*storage, *sorted(found))


def measurers(tasks: Iterable[Task]) -> Mapping[Target, tuple[Measurer, ...]]:
    """By target, the workers of the enabled tasks that work on it, those without a user of their own first."""
    found: dict[Target, dict[Measurer, None]] = {}
    for task in tasks:
        if not task.enabled:
            continue
        user = task.config.get("user")
        user = None if user == OWNER else user
        with suppress(ValueError):  # a user's name that no unit can have: the task is refused, and told of
            for kind, config in sides(task.executor, task.config, task.config.get("user")).items():
                part = replace(task, config=config)
                for executor, sub in _works(part):
                    for target in _of(executor, sub):
                        found.setdefault(target, {})[Measurer(kind, user)] = None
    return {target: tuple(sorted(who, key=lambda one: (one.user or "", one.kind))) for target, who in found.items()}


def _works(task: Task) -> Iterable[tuple[str, Mapping[str, Any]]]:
    if task.executor == SYSTEM:
        return [(KINDS[one["kind"]].executor, one["config"]) for one in task.config["kinds"]]
    return [(task.executor, task.config)]


def _of(executor: str, config: Mapping[str, Any]) -> Iterable[Target]:
    if executor in DIRECTORIES:
        # What is no pattern is the file itself among logs, and the directory elsewhere.
        logs = [directory_of(path if _WILDCARD.search(path) else f"{path}*") for path in config.get("log_paths", ())]
        paths = [*logs, *(directory_of(one["path"]) for one in config.get("paths", ()))]
        return [Target(DIRECTORIES[executor], path) for path in paths]
    if row_of(executor).works_on == "database":
        return [Target("database", written(config["dsn"]))]
    if row_of(executor).works_on == "cache":
        paths = (config.get("directories") or {"paths": ()})["paths"]
        servers = [Target("cache", written(config["redis"]["url"]))] if config.get("redis") else []
        servers += [Target("cache", f"{MEMCACHED}{config['memcached']}")] if config.get("memcached") else []
        return [*servers, *(Target("files", directory_of(one["path"])) for one in paths)]
    return []


def cleaned_by(task: Task) -> Mapping[Target, str]:
    """Which kind of a system cleanup works on which target."""
    found: dict[Target, str] = {}
    for one in task.config["kinds"]:
        found |= dict.fromkeys(_of(KINDS[one["kind"]].executor, one["config"]), one["kind"])
    return found


def tended_by(tasks: Iterable[Task]) -> dict[Target, list[Task]]:
    """Return, by target, the enabled tasks that take something away from it, but for the system cleanup."""
    found: dict[Target, list[Task]] = {}
    for task in tasks:
        if task.enabled and task.executor in TENDING:
            for target in dict.fromkeys(_of(task.executor, task.config)):
                found.setdefault(target, []).append(task)
    return found


def of_task(
    target: Target, name: str, size: int, task: Task, steps: Sequence[Step] | str, *, inodes: float | None = None
) -> Advice:
    """Return what to say of a target by the plan of a task that works on it: its steps, or why it has none."""
    command = f"execute {task.name}"
    if isinstance(steps, str):
        return of_kind(target.kind, name, size, None, command, refusal=steps)
    due = [step for step in steps if step.name != "analysis" and step.items]
    if task.executor == "database.optimize":
        if not due:
            return of_kind(target.kind, name, size, Gain(0), command)
        says = ", ".join(f"{step.items:,} for {step.name.replace('_', ' ')}" for step in due)
        return Advice(target.kind, name, "yellow", f"its task has work to do: {says}", command)
    gains = [gain(step, target) for step in due]
    whole = Gain(sum(one.bytes for one in gains), any(one.later for one in gains), sum(one.files for one in gains))
    return of_kind(target.kind, name, size, whole, command, inodes=inodes)


LIGHTS = ("red", "yellow", "green")


def most_urgent(found: Iterable[Advice]) -> Advice | None:
    """Return the one with the worst light, of equals the one that would free most."""
    return min(found, key=lambda one: (LIGHTS.index(one.light), -(one.frees or 0)), default=None)


def gain(step: Step, target: Target | None = None) -> Gain:
    """What a step of a planned system cleanup would free, in all or of one target.

    Of directories only what is deleted from them counts: what compressing gives is known when it is done.
    """
    if step.name == "analysis":
        return Gain(0)
    parts, frees = parts_of(step), step.args.get("frees")
    if parts:
        found = [gain(part, target) for part in parts]
        return Gain(sum(one.bytes for one in found), any(one.later for one in found), sum(one.files for one in found))
    if frees is None:  # rows and keys
        return Gain(step.bytes if target is None or target.kind in ("database", "cache") else 0)
    here = {root: size for root, size in frees.items() if target is None or _is_in(root, target.name)}
    files = {
        root: count for root, count in step.args.get("files", {}).items() if target is None or _is_in(root, target.name)
    }
    going = [root for root in {**here, **files} if here.get(root) or files.get(root)]
    return Gain(sum(here.values()), any(root not in step.args["direct"] for root in going), sum(files.values()))


def disk_of(path: str, disks: Iterable[str]) -> str | None:
    """The one of these mounts that a path lies on."""
    return max((disk for disk in disks if _is_in(path, disk)), key=len, default=None)


def _is_in(path: str, directory: str) -> bool:
    return path == directory or path.startswith(f"{directory.rstrip('/')}/")


def directory_of(path: str) -> str:
    """The directory that a pattern is about: all before the first part with a wildcard."""
    found = _WILDCARD.search(path)
    return path if found is None else posixpath.dirname(path[: found.start()]) or "/"


def trend(samples: Sequence[Sample]) -> Trend:
    """The slope of the line that fits the samples best (least squares)."""
    if len(samples) < LEAST_SAMPLES:
        return Trend(None, f"{len(samples)} samples so far, and {LEAST_SAMPLES} are needed")
    begin = min(sample.at for sample in samples)
    span = max(sample.at for sample in samples) - begin
    if span < LEAST_SPAN:
        hours, needed = span.total_seconds() / 3600, LEAST_SPAN.total_seconds() / 3600
        return Trend(None, f"the samples span {hours:.1f} h, and {needed:g} h are needed")
    days = [(sample.at - begin) / DAY for sample in samples]
    sizes = [float(sample.bytes) for sample in samples]
    middle_day, middle_size = sum(days) / len(days), sum(sizes) / len(sizes)
    spread = sum((day - middle_day) ** 2 for day in days)
    covered = sum((day - middle_day) * (size - middle_size) for day, size in zip(days, sizes, strict=True))
    return Trend(covered / spread)


def full_on(free: int, growth: Trend, now: datetime) -> datetime | None:
    """When nothing is free any more at this growth; None where it does not grow, or not in ten years."""
    if growth.per_day is None or growth.per_day <= 0:
        return None
    days = free / growth.per_day
    return None if days > HORIZON / DAY else now + DAY * days


def of_storage(
    name: str,
    used: int,
    total: int,
    *,
    full: datetime | None,
    helps: Sequence[Advice],
    now: datetime,
    inodes: float | None = None,
) -> Advice:
    """What to say of a disk; `helps` is what could be freed on it, `inodes` the used share of them, if known."""
    share = used / total if total else 0.0
    soon = full is not None and full - now <= FULL_SOON
    in_sight = full is not None and full - now <= FULL_IN_SIGHT
    when = f"; full on {full:%Y-%m-%d} at its growth" if full is not None and in_sight else ""
    if is_scarce(inodes):
        best = max((one for one in helps if one.files), key=lambda one: one.files, default=None)
    else:
        best = max((one for one in helps if one.frees), key=lambda one: one.frees or 0, default=None)
    when += LATER if best is not None and best.later else ""
    task, frees = (best.task, best.frees) if best is not None else (None, None)
    says = f"{share:.0%} is used{_inodes_used(inodes)}"
    if max(share, inodes or 0.0) >= ALMOST_FULL or soon:
        return Advice("storage", name, "red", f"{says}{when}", task, frees)
    if max(share, inodes or 0.0) >= FULLISH or in_sight:
        return Advice("storage", name, "yellow", f"{says}{when}", task, frees)
    return Advice("storage", name, "green", f"{says}: no action is needed")


def is_scarce(inodes: float | None) -> bool:
    """Return True if so large a share of a disk's inodes is used that files are to go, whatever their size."""
    return inodes is not None and inodes >= FULLISH


def _inodes_used(share: float | None) -> str:
    """How much of a disk's inodes is used, where that is worth a word: without one, no file can be made."""
    if share is None or not is_scarce(share):
        return ""
    return ", and no inodes are left: no file can be made" if share >= 1 else f", and {share:.0%} of the inodes"


def of_kind(
    kind: str,
    name: str,
    size: int,
    found: Gain | None,
    task: str | None,
    *,
    refusal: str | None = None,
    inodes: float | None = None,
) -> Advice:
    """What to say of logs, temporary files, a database or a cache; `refusal` is why `task` would do nothing.

    `inodes` is the used share of those of its disk, if known: where they are scarce, each file counts.
    """
    reclaimable = None if found is None else found.bytes
    if refusal is not None:
        return Advice(kind, name, "yellow", f"its cleanup would be refused: {refusal}", task)
    if found is None or reclaimable is None:
        return Advice(
            kind, name, "green", "cleaned by its own task, not by `cleanup`" if task is None else "not planned"
        )
    if is_scarce(inodes) and found.files:
        count = "1 file is" if found.files == 1 else f"{found.files:,} files are"
        later = LATER if found.later else ""
        reason = f"{count} old enough to go, and each has one of the inodes that its disk lacks{later}"
        return Advice(kind, name, "yellow", reason, task, reclaimable, found.later, found.files)
    if reclaimable and (reclaimable >= WORTH_BYTES or (size and reclaimable / size >= WORTH_SHARE)):
        share = f" ({reclaimable / size:.0%})" if size and reclaimable <= size else ""
        reason = f"a part{share} is old enough to go{LATER if found.later else ''}"
        return Advice(kind, name, "yellow", reason, task, reclaimable, found.later, found.files)
    return Advice(kind, name, "green", "no action is needed")
