"""The survey of a rotation: looks once through the directories of its logs, and decides what becomes of each."""

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from jamaint.core.rotation_records import OpenRotation, RotationRecord
from jamaint.executors.logs_rotate.logrotate_state import rotated_by_it
from jamaint.executors.logs_rotate.rules import LogSeen, Rotated, Turn, decide, last_rotation
from jamaint.executors.logs_rotate.rules import RotationRules as Rules
from jamaint.executors.shared.executor import Host, Work
from jamaint.executors.shared.log_matcher import LogMatcher, as_glob, join
from jamaint.executors.shared.recent_undos import hold_at
from jamaint.executors.shared.removal_methods import writable
from jamaint.files.access import syscalls
from jamaint.files.access.globs import is_glob, split_root
from jamaint.files.access.root import DirectoryRefusedError, Place, Root, RootRefusedError
from jamaint.files.access.skip_report import Skipped, words
from jamaint.files.cleanup.survey import Found, Survey, survey
from jamaint.files.rules.rotated_names import Stamp, read_any
from jamaint.files.trash.recently_restored import Hold
from jamaint.files.trash.removal import held_by
from jamaint.files.use.open_files import OpenFiles

_A_DAY = timedelta(hours=25)
"""A name that holds a date tells no more than the day, in some zone."""


@dataclass(slots=True)
class LogTurn:
    """One log of a root, with what is to become of it and of those rotated before, by the names they have now."""

    found: Found
    rel: str
    aside: str
    """The directory of the rotated ones: `rel`, or the one that `olddir` names in it."""
    seen: os.stat_result
    turn: Turn
    rotated: Mapping[str, os.stat_result]
    newest: str | None = None
    """The rotated one that it became last."""
    fresh: str | None = None
    """The name it got."""

    @property
    def path(self) -> str:
        """The log's own path."""
        return join(self.found.path, self.rel, self.turn.log)

    @property
    def happens(self) -> bool:
        """True while what was planned for those rotated before still holds: not when the log was to be rotated and
        was not."""
        return self.fresh is not None or not self.turn.due

    def path_of(self, name: str) -> str:
        """The path of a rotated log."""
        return join(self.found.path, self.aside, name)

    def judged(self, name: str) -> os.stat_result:
        """How a rotated log was, by the name that it has after the moves."""
        before = {new: old for old, new in self.turn.moves}
        return self.rotated[before.get(name, name)]


@dataclass(slots=True)
class _Listing:
    """The files of one directory of a root: logs and rotated ones, by name.

    `stamps` are what the names of this task's rotated ones say. `alike` are matched as logs and named as those are;
    `strange` as those of another program or of other settings.
    """

    logs: dict[str, os.stat_result] = field(default_factory=dict)
    others: dict[str, os.stat_result] = field(default_factory=dict)
    stamps: dict[str, Stamp] = field(default_factory=dict)
    alike: list[str] = field(default_factory=list)
    strange: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class RotationSurvey:
    """The findings: the roots, each log with its turn, what was left alone, and warnings for the plan.

    `untold` are records of rotations whose writers have not been told, `learned` those of a rotation that was cut short
    before it was reported. `behind` are logs that stay empty while the rotated one is still written to: the process of
    each, by the log's path.
    """

    survey: Survey
    logs: Sequence[LogTurn]
    skipped: Skipped
    warnings: list[str]
    untold: Sequence[RotationRecord] = ()
    learned: Sequence[RotationRecord] = ()
    behind: Mapping[str, int] = field(default_factory=dict)

    @property
    def to_tell(self) -> list[str]:
        """The logs whose writers are to be told though these are not rotated now."""
        due = {log.path for log in self.logs if log.turn.due}
        return sorted({one.path for one in self.untold}.union(self.behind) - due)


class LogSurveyor:
    """Looks through the directories that `log_paths` name; changes nothing."""

    def __init__(self, work: Work, host: Host, rules: Rules) -> None:
        self._work, self._host, self._rules = work, host, rules
        self._skipped = Skipped()
        self._warnings: list[str] = []
        self._learned: list[RotationRecord] = []
        self._listings: dict[tuple[str, str], _Listing] = {}

    def look(self, held: OpenFiles) -> RotationSurvey:
        """Surveys the logs; `held` are the files that processes have open."""
        config, match = self._work.config, LogMatcher(self._work.config["log_paths"])

        def sort(root: Root, rel: str, name: str, seen: os.stat_result) -> str:
            if (seen.st_dev, seen.st_ino) in held.kernel:
                self._skipped.add(root.name(rel, name), held_by(-held.kernel[seen.st_dev, seen.st_ino]))
                return ""
            self._sort(match, root.path, rel, name, seen)
            return ""

        found = writable(
            survey(
                [one for pattern in config["log_paths"] for one in self._patterns(pattern)],
                config["exclude"],
                sort=sort,
                held=held,
                skipped=self._skipped,
                checkpoint=self._host.checkpoint,
            )
        )
        logs = [log for root in found.found for log in self._decide_below(root)]
        self._warn_of_strange()
        self._warn_of_missing(found)
        self._warnings += [*_rotated_by_logrotate(self._work, logs), *_rotated_by_others(self._work, logs)]
        records = {**self._work.rotations.of_logs, **{one.path: one for one in self._learned}}
        untold = [one for one in records.values() if not one.is_told and match.matches(one.path)]
        behind = {} if self._rules.copy_truncate else _behind(logs, held)
        return RotationSurvey(found, logs, self._skipped, self._warnings, untold, self._learned, behind)

    def _patterns(self, pattern: str) -> Iterator[str]:
        """A pattern of logs, and those that find the rotated ones too."""
        directory, _, name = pattern.rpartition("/")
        asides = [f"{directory}/{as_glob(olddir)}"] if (olddir := self._work.config.get("olddir")) else []
        extension = self._work.config.get("extension")
        yield pattern
        for place in (directory, *asides):
            yield f"{place}/{name}?*"
            if extension and name.endswith(extension):
                yield f"{place}/{name.removesuffix(extension)}?*"

    def _sort(self, match: "LogMatcher", path: str, rel: str, name: str, seen: os.stat_result) -> None:
        listing = self._listings.setdefault((path, rel), _Listing())
        is_matched = match(path, rel, name) and not self._is_aside(rel)
        stamp = self._rules.read(name)
        is_rotated = stamp is not None
        if stamp is not None:
            listing.stamps[name] = stamp
        other = None
        if is_matched and not is_rotated and not match.is_named(name):
            other = read_any(name)
        (listing.logs if is_matched and not is_rotated and other is None else listing.others)[name] = seen
        if is_matched and is_rotated:
            listing.alike.append(name)
        if other is not None:
            listing.strange[name] = other.base

    def _decide_below(self, found: Found) -> Iterator[LogTurn]:
        for (path, rel), listing in sorted(self._listings.items()):
            if path == found.path:
                yield from self._decide(found, rel, listing)

    def _is_aside(self, rel: str) -> bool:
        """True of a directory into which is rotated: nothing in it is a log."""
        return bool(olddir := self._work.config.get("olddir")) and f"/{rel}".endswith(f"/{olddir}")

    def _decide(self, found: Found, rel: str, listing: _Listing) -> Iterator[LogTurn]:
        if self._is_aside(rel):
            return
        olddir = self._work.config.get("olddir")
        aside = rel if not olddir else olddir if rel == "." else f"{rel}/{olddir}"
        away = self._listings.get((found.path, aside), _Listing()) if olddir else listing
        rotated = self._rotated(found, aside, away, listing.logs)
        if not listing.logs:
            return
        hold = hold_at(self._work, found.path, self._rules.hold_seconds)
        if olddir:
            self._warn_of_beside(found, rel, listing)
        try:
            with found.reopen() as root, self._enter_aside(root, aside) as there, root.descend(rel) as place:
                for name, seen in sorted(listing.logs.items()):
                    stats = {one.name: away.others[one.name] for one in rotated.get(name, ())}
                    others = rotated.get(name, ())
                    held = _why_held(hold, {name: seen}, place) or _why_held(hold, stats, there)
                    turn = self._turn(root.name(rel, name), seen, others, (place, there), held=held)
                    if turn is not None:
                        for left, why in turn.left:
                            self._skipped.add(root.name(aside, left), why)
                        newest = max(others, key=lambda one: one.stamp.order, default=None)
                        yield LogTurn(found, rel, aside, seen, turn, stats, newest.name if newest else None)
        except (DirectoryRefusedError, RootRefusedError) as refusal:
            path = refusal.path if isinstance(refusal, RootRefusedError) else found.path
            self._skipped.add(path, refusal.why, problem=True)

    def _warn_of_beside(self, found: Found, rel: str, listing: _Listing) -> None:
        """Warns of rotated ones that lie beside their logs, and not where they go now."""
        names = sorted(name for name, stamp in listing.stamps.items() if stamp.base in listing.logs)
        if names:
            count = "1 rotated log is" if len(names) == 1 else f"{len(names)} rotated logs are"
            self._warnings.append(
                f"{count} beside the log and not in {self._work.config['olddir']}, such as "
                f"{join(found.path, rel, names[0])}: not counted by keep and never removed until you move them there"
            )

    def _enter_aside(self, root: Root, aside: str) -> Place:
        """Open the directory of the rotated ones. Raises RootRefusedError that names it."""
        try:
            return root.descend(aside)
        except DirectoryRefusedError as refusal:
            missing = "does not exist: make it, with the owner of the logs' directory"
            why = missing if refusal.missing else f"cannot be used: {refusal.why}"
            raise RootRefusedError(
                root.name(aside), f"rotated logs go there (olddir), and it {why}", "failed"
            ) from None

    def _turn(
        self, path: str, seen: os.stat_result, rotated: Sequence[Rotated], places: tuple[Place, Place], *, held: str
    ) -> Turn | None:
        name = path.rpartition("/")[2]
        place, there = places
        record, half_done = self._work.rotations.of_logs.get(path), self._work.rotations.open_rotation
        recorded = record.rotated_at if record is not None else None
        born = _born(name, place)
        log = LogSeen(name, seen.st_size, seen.st_nlink, born, seen.st_mtime_ns, recorded, half_done is not None, held)
        if half_done is not None:
            self._learn(path, last_rotation(log, rotated, self._rules), recorded, half_done)
        try:
            turn = decide(log, rotated, lambda other: _stands(other, there), self._rules)
        except OSError as error:
            self._skipped.add(path, words(error), problem=True)
            return None
        if not turn.due:
            self._skipped.add(path, turn.why)
        return turn

    def _learn(self, path: str, last: datetime | None, recorded: datetime | None, half_done: OpenRotation) -> None:
        """Notes a rotation that the disk tells of and no record does: its writers may not have been told."""
        if last is None or (recorded is not None and last <= recorded):
            return
        is_told = self._rules.copy_truncate or last < half_done.begun_at - _A_DAY
        self._learned.append(RotationRecord(path, last, is_told, half_done.execution))

    def _rotated(
        self, found: Found, rel: str, listing: _Listing, logs: Mapping[str, os.stat_result]
    ) -> Mapping[str, Sequence[Rotated]]:
        """The rotated ones of each log, of those in one directory; what is named so and is none is told."""
        rotated: dict[str, list[Rotated]] = {}
        for name, seen in listing.others.items():
            stamp = listing.stamps.get(name)
            if stamp is not None and stamp.base in logs:
                one = Rotated(name, stamp, seen.st_size, seen.st_mtime_ns, seen.st_nlink)
                rotated.setdefault(stamp.base, []).append(one)
            elif stamp is not None and name in listing.alike:
                why = f"it is named as a rotated log of {stamp.base} is, and there is no such log"
                self._skipped.add(join(found.path, rel, name), why)
            elif name in listing.strange:
                why = f"it is named as a rotated log of {listing.strange[name]}, and not as this task names them"
                self._skipped.add(join(found.path, rel, name), why)
        return rotated

    def _warn_of_strange(self) -> None:
        """Warns of rotated logs of another kind: they are neither rotated nor counted nor removed."""
        names = [
            join(path, rel, name)
            for (path, rel), listing in self._listings.items()
            for name in listing.others
            if name not in listing.stamps and self._is_of_a_log(name, listing)
        ]
        if names:
            count = "1 file is" if len(names) == 1 else f"{len(names)} files are"
            theirs = "numbers" if not self._rules.are_numbers else "dates"
            self._warnings.append(
                f"{count} named as rotated logs, and not as this task names them, such as {min(names)}: left alone, "
                f"not counted by keep and never removed. If all have {theirs}, `names` or `date_format` can say so; "
                "else remove them, or let filesystem.cleanup do that"
            )

    def _is_of_a_log(self, name: str, listing: _Listing) -> bool:
        stamp = read_any(name)
        return stamp is not None and (name in listing.strange or stamp.base in listing.logs)

    def _warn_of_missing(self, found: Survey) -> None:
        """Warns of each pattern that matches no log."""
        looked = {root.path for root in found.found}
        logs = {(path, rel): listing.logs for (path, rel), listing in self._listings.items() if listing.logs}
        for pattern in self._work.config["log_paths"]:
            path, rest = split_root(pattern)
            if path not in looked:
                continue  # its refusal says so
            matches = LogMatcher([pattern])
            if not any(matches(where, rel, name) for (where, rel), names in logs.items() for name in names):
                self._warnings.append(
                    f"no log matches {pattern}: nothing of it is rotated"
                    if is_glob(rest)
                    else f"{pattern} does not exist: nothing is rotated there until it does"
                )


def _rotated_by_logrotate(work: Work, logs: Sequence[LogTurn]) -> list[str]:
    """Warnings of logs that logrotate rotates too."""
    day = work.now - timedelta(days=7)
    theirs = rotated_by_it((day.year, day.month, day.day))
    return [f"logrotate rotates {log.path} too: take it out of one of the two" for log in logs if log.path in theirs]


def _rotated_by_others(work: Work, logs: Sequence[LogTurn]) -> Iterator[str]:
    """Warnings of logs that another task rotates too."""
    for other in work.rotations.neighbours:
        match, spared = LogMatcher(other.patterns), frozenset(other.exclude)
        found = [log.path for log in logs if log.turn.log not in spared and match.matches(log.path)]
        if found:
            more = f" and {len(found) - 1} more" if len(found) > 1 else ""
            yield f"{found[0]}{more}: task {other.task} rotates it too; take it out of one of the two"


def _behind(logs: Sequence[LogTurn], held: OpenFiles) -> dict[str, int]:
    """Logs that stay empty, while a process still writes to what they were before the rotation."""
    found = {}
    for log in logs:
        seen = log.rotated.get(log.newest or "")
        if seen is not None and not log.seen.st_size and not log.turn.due:
            pid = held.writers.get((seen.st_dev, seen.st_ino))
            if pid is not None:
                found[log.path] = pid
    return found


def _why_held(hold: Hold | None, files: Mapping[str, os.stat_result], place: Place) -> str:
    """Why a log with its rotated ones is left alone because an undo has put one of them back; else empty."""
    if hold is None or not any(hold(seen, partial(_born, name, place)) for name, seen in files.items()):
        return ""
    return hold.why


def _born(name: str, place: Place) -> int | None:
    try:
        return syscalls.born(name, place.fd)
    except OSError:
        return None


def _stands(name: str, place: Place) -> bool:
    try:
        os.lstat(name, dir_fd=place.fd)
        return True
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return False  # that it is too long is told when the log would get it
