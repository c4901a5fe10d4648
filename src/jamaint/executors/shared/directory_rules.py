"""Directory rules of filesystem.cleanup, one for each path of its config.

What goes is what is older than the age, by its times or by the date in its name; what is beyond a limit; and, where a
disk is to have so much free, of what may go the oldest until then. The newest stay in any case.
"""

import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jamaint.executors.shared.age_cleanup import Place, nested
from jamaint.executors.shared.executor import Work
from jamaint.executors.shared.recent_undos import hold_at
from jamaint.executors.shared.wording import over
from jamaint.files.access import syscalls
from jamaint.files.access.globs import OURS, Globs, exclusion, is_glob
from jamaint.files.access.root import Root, RootRefusedError, open_root
from jamaint.files.access.wildcards import directories
from jamaint.files.cleanup.eligibility import DATED, NEWEST, OTHER, UNDATED, Judge, Rule, alone_and_below, newborn
from jamaint.files.cleanup.limits_and_duplicates import Bounds, Limits, Mark, Newest, beyond
from jamaint.files.rules.ages import BIRTH, Ages, Old, asks_for_birth, limit, old
from jamaint.files.rules.name_dates import NameDate, name_date
from jamaint.files.use.in_use import in_use
from jamaint.files.use.open_files import OpenFiles

_BY = ("modification",)
"""Of a config that was made before there was `age_by` here."""
Also = Callable[[Any, str, int], str]


def expanded(paths: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the paths of a config with each pattern replaced by the directories that it means now.

    One that is named itself goes by its own rule, and one that two patterns mean by that of the first.
    """
    found = {one["path"]: one for one in paths if not is_glob(one["path"])}
    for one in paths:
        if is_glob(one["path"]):
            meant = directories(one["path"]) or [one["path"]]  # the pattern itself, for the plan to tell
            for path in meant:
                found.setdefault(path, {**one, "path": path})
    return list(found.values())


class FilePlaces:
    """Makes places from the paths of a config; `told` is called now and then, and may raise to stop."""

    def __init__(self, work: Work, opened: OpenFiles, told: Callable[[], None]) -> None:
        self._work, self._opened, self._told = work, opened, told
        self.refused: list[str] = []
        """Why paths could not be looked at: nothing of them goes."""

    def places(self) -> list[Place]:
        """All of them."""
        paths = expanded(self._work.config["paths"])
        return [self._place(one, [other["path"] for other in paths]) for one in paths]

    def _place(self, one: Mapping[str, Any], paths: Sequence[str]) -> Place:
        rule = self._rule(one, paths)
        found = _Choice(one, self._work, rule)
        try:
            with open_root(one["path"], shared=True) as root:
                judge = Judge(root, rule, in_use(root.stat.st_dev, self._opened))
                return found.place(judge, self._told)
        except RootRefusedError as refusal:
            if refusal.kind != "missing":  # the plan tells it, and of a pattern in words of its own
                self.refused.append(refusal.why)
            return Place(one["path"], replace(rule, old=lambda _seen: False), one["age_seconds"])

    def _rule(self, one: Mapping[str, Any], paths: Sequence[str]) -> Rule:
        config, unit = self._work.config, one.get("unit") == "directory"
        below, alone = alone_and_below(one["exclude"], one["path"])
        age, by = one["age_seconds"], one.get("age_by") or {"files": _BY, "directories": _BY}
        ending = limit(self._work.now, age or config["directory_age_seconds"])
        everything = unit and (age is None or one.get("age_from_name") is not None)
        return Rule(
            ages=Ages(age or 0, by["files"], by["directories"]),
            before=None if everything else ending,
            pattern=None if unit or not patterns_of(one) else Globs(map(_below, patterns_of(one)), hidden=True),
            spared=below,
            alone=alone,
            nested=nested(one["path"], paths),
            least_bytes=one["min_size"],
            directories=unit or config["remove_empty_directories"],
            unit=unit,
            whole_only=unit,
            live=True,
            mount=one.get("mount", False),
            held=hold_at(self._work, one["path"], age or config["directory_age_seconds"]),
        )


def patterns_of(one: Mapping[str, Any]) -> list[str]:
    """The patterns of a path; none where all is meant."""
    pattern = one["pattern"]
    return [pattern] if isinstance(pattern, str) else list(pattern or ())


def _below(pattern: str) -> str:
    return exclusion(pattern).lstrip("/")


@dataclass(frozen=True, slots=True)
class _Choice:
    """What of one directory goes."""

    one: Mapping[str, Any]
    work: Work
    rule: Rule

    def place(self, judge: Judge, told: Callable[[], None]) -> Place:
        """Look at all of it as far as limits ask for that."""
        one, age, hold = self.one, self.one["age_seconds"], self.work.config["directory_age_seconds"]
        reasons, free, note = over(one["max_files"], one["max_size"]), *self._to_free(judge.root)
        starts = note is None
        if one.get("unit") == "directory":
            rule = replace(self.rule, kept=self._kept(judge) if starts else dict.fromkeys(_inodes(judge.root), OTHER))
            reasons = reasons or ([f"beyond the {one['keep_newest']:,} newest"] if age is None else [])
            return Place(one["path"], rule, age, reasons, note=note or "", hold=hold)
        dates = self._dates()
        newest = Newest(one["keep_newest"], self._group(), patterns_of(one))
        limits = Limits(one["max_files"], one["max_size"], free)
        bounds = Bounds()
        aged = self._is_aged(dates)
        if starts and (limits != Limits() or newest.count):
            bounds = beyond(judge, limits, newest, told, dates=dates, aged=aged)
        if free is not None:
            reasons = [*reasons, "as far as the disk needs it"]
        goes = _Goes(aged if starts else _never, bounds, dates)
        chosen = self._chosen(goes, newest, dates)
        return Place(one["path"], chosen, age, reasons, note=note or "", full=free is not None, hold=hold)

    def _chosen(self, goes: "_Goes", newest: Newest, dates: NameDate | None) -> Rule:
        """The rule with what makes a file go, and what keeps one that would."""
        rule, also = self.rule, _also(newest, self.work.config["broken_links"], dates)
        if dates is not None:
            return replace(
                rule, ages=replace(rule.ages, files_by=_BY), old=lambda _seen: True, also=_if_dated(goes, also)
            )
        if goes.is_age_alone and self.one["age_seconds"] is not None:
            return replace(rule, also=also)
        # Only of those that go by their age the birth is asked, which is why the rule itself does not ask for it.
        names, has_age = [name for name in rule.ages.files_by if name != BIRTH], self.one["age_seconds"] is not None

        def stays(seen: Any, name: str, fd: int) -> str:
            asks = has_age and asks_for_birth(rule.ages.files_by, seen, rule.before)
            if not goes.is_beyond(seen, name) and asks and newborn(rule, name, fd):
                return BIRTH
            return also(seen, name, fd)

        ages = replace(rule.ages, files_by=names)
        return replace(rule, ages=ages, old=lambda seen: goes.test(seen, ""), also=stays)

    def _is_aged(self, dates: NameDate | None) -> Callable[[Any, str], bool]:
        """A test of (status, name): whether a file is older than the age; without one all are, to free a disk."""
        if self.one["age_seconds"] is None:
            return _always if self.one.get("free_until") is not None else _never
        before = self.rule.before or 0
        if dates is not None:
            return lambda _seen, name: (dates(name) or before) < before
        is_old: Old = old([name for name in self.rule.ages.files_by if name != BIRTH], before)
        return lambda seen, _name: is_old(seen)

    def _dates(self) -> NameDate | None:
        form = self.one.get("age_from_name")
        return None if form is None else name_date(form)

    def _group(self) -> str:
        return str(self.one.get("keep_per", "path"))

    def _to_free(self, root: Root) -> tuple[int | None, str | None]:
        """(bytes that the disk lacks, or None where none are asked for; why nothing goes now, or None)."""
        until, when = self.one.get("free_until"), self.one.get("when_used")
        if until is None and when is None:
            return None, None
        status = os.fstatvfs(root.fd)
        free, used = status.f_bavail, status.f_blocks - status.f_bfree
        size, whole = status.f_frsize, max(1, used + free)
        lacks = 0 if until is None else max(0, int(until * whole) + 1 - free)
        share = used / whole
        if when is not None and share < when:
            return None, f"The disk of {root.path} is used to {share:.1%}, and this begins at {when:.1%} (`when_used`)."
        if until is not None and free >= until * whole:
            return (
                None,
                f"Of the disk of {root.path} {free / whole:.1%} is free, and {until:.1%} is required (`free_until`).",
            )
        return (None if until is None else lacks * size), None

    def _kept(self, judge: Judge) -> dict[int, str]:
        """Directories right below the root that stay whole, by inode, and why: the newest of each group, and those that
        their names do not let go."""
        dates, before = self._dates(), limit(self.work.now, self.one["age_seconds"] or 0)
        newest = Newest(self.one["keep_newest"], self._group(), patterns_of(self.one))
        kept, stays = dict[int, str](), judge.stays(judge.start())
        found = []
        for name, seen in _directories(judge.root):
            if stays is not None and (stays[0](name) or stays[1](name)):
                continue
            moment = seen.st_mtime_ns if dates is None else dates(name)
            if patterns_of(self.one) and not newest.is_meant(name):
                kept[seen.st_ino] = OTHER
            elif moment is None:
                kept[seen.st_ino] = UNDATED
            else:
                newest.add((moment, seen.st_ino), name, judge.root.fd)
                found.append(((moment, seen.st_ino), name))
                if dates is not None and self.one["age_seconds"] is not None and moment >= before:
                    kept[seen.st_ino] = DATED
        newest.close()
        return kept | {mark[1]: NEWEST for mark, name in found if newest.keeps(mark, name, judge.root.fd)}


def _directories(root: Root) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(root.fd) as entries:
        names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    for name in names:
        try:
            seen = os.lstat(name, dir_fd=root.fd)
        except OSError:  # gone since
            continue
        if stat.S_ISDIR(seen.st_mode) and not name.startswith(OURS):
            yield name, seen


def _inodes(root: Root) -> list[int]:
    return [seen.st_ino for _, seen in _directories(root)]


@dataclass(frozen=True, slots=True)
class _Goes:
    """Whether a file goes: by its age, beyond a limit, or among the oldest that a disk needs."""

    aged: Callable[[Any, str], bool]
    bounds: Bounds
    dates: NameDate | None

    @property
    def is_age_alone(self) -> bool:
        return self.bounds == Bounds() and self.aged is not _never and self.aged is not _always

    def is_beyond(self, seen: Any, name: str) -> bool:
        floor = self.bounds.floor
        return floor is not None and self._mark(seen, name) < floor

    def test(self, seen: Any, name: str) -> bool:
        if self.is_beyond(seen, name):
            return True
        until = self.bounds.until
        return self.aged(seen, name) and (until is None or self._mark(seen, name) < until)

    def _mark(self, seen: Any, name: str) -> Mark:
        moment = seen.st_mtime_ns if self.dates is None else self.dates(name)
        return (moment or 0), seen.st_ino


def _never(_seen: Any, _name: str) -> bool:
    return False


def _always(_seen: Any, _name: str) -> bool:
    return True


def _if_dated(goes: _Goes, also: Also) -> Also:
    """Why a file stays whose age is the date in its name."""

    def test(seen: Any, name: str, fd: int) -> str:
        why = also(seen, name, fd)
        return why or ("" if goes.test(seen, name) else DATED)

    return test


def _also(newest: Newest, broken_links: bool, dates: NameDate | None) -> Also:
    """Why a file that is old stays: it is among the newest, or neither a regular file nor a broken link."""

    def test(seen: Any, name: str, fd: int) -> str:
        if stat.S_ISLNK(seen.st_mode):
            if not broken_links:
                return "it is a symbolic link"
            return "it is a link that leads somewhere" if syscalls.leads_somewhere(name, fd) else ""
        if not stat.S_ISREG(seen.st_mode):
            return "it is not a regular file"
        moment = seen.st_mtime_ns if dates is None else dates(name)
        if moment is None:
            return UNDATED
        return NEWEST if newest.count and newest.keeps((moment, seen.st_ino), name, fd) else ""

    return test
