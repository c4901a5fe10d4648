"""Rotation: from a log, the rotated ones beside it and the rules to what is renamed, compressed and removed.

When a log was last rotated stands in the daemon's record of it. A log without one, or one whose rotation was cut short
before it could be recorded, is read from the disk: the newest date among the names beside it, or the moment the log's
own file was made, whichever is later, for a rotation makes a new file.
"""

from calendar import monthrange
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from jamaint.core.formatting import span
from jamaint.core.held_places import USUAL_SECONDS
from jamaint.files.rules.rotated_names import Dates, Naming, Numbers, Stamp

ROTATION, COMPRESSION, EXPIRY = "rotation", "compression", "expiry"
PERIODS = ("hourly", "daily", "weekly", "monthly", "yearly")
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DATE, NUMBER = "date", "number"
_DAY = 86_400.0
_INTERVALS = {"hourly": 3600.0, "daily": _DAY, "weekly": 7 * _DAY, "monthly": 31 * _DAY, "yearly": 366 * _DAY}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SLACK = timedelta(hours=25)
"""How far in the future the last rotation may lie: a clock that was right again after that is believed, it is not."""
_EARLY = 0.1
"""Of an interval: what comes every six hours is not put off to twelve because it came a second early."""


@dataclass(frozen=True, slots=True)
class LogSeen:
    """A log as it was looked at. `born_ns` is None where the file system does not tell when a file was made.

    `recorded` is when it was last rotated, as the daemon keeps it; None for a log that it has not rotated yet.
    `is_doubtful`: a rotation since may have been cut short before it could be recorded, so that the disk counts too.
    `held`: why neither it nor its rotated ones are touched, for an undo has put some of them back; else empty.
    """

    name: str
    size: int
    links: int = 1
    born_ns: int | None = None
    mtime_ns: int = 0
    recorded: datetime | None = None
    is_doubtful: bool = False
    held: str = ""


@dataclass(frozen=True, slots=True)
class Rotated:
    """A rotated log as it was looked at, with what its name says."""

    name: str
    stamp: Stamp
    size: int
    mtime_ns: int
    links: int = 1


@dataclass(frozen=True, slots=True)
class Turn:
    """What becomes of one log and those rotated before. Names in `compress` and `expire` are those after the `moves`.

    `moves` are renames in their order; the last of them is the log's own. `compress_fresh` and `expire_fresh` are for
    what the log becomes now. `left` are rotated ones, by the names they have now, that are not compressed, and why.
    """

    log: str
    due: bool
    why: str
    moves: tuple[tuple[str, str], ...] = ()
    compress: tuple[str, ...] = ()
    compress_fresh: bool = False
    expire: tuple[str, ...] = ()
    expire_fresh: bool = False
    left: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class RotationRules:
    """When and how logs are rotated: sizes in bytes, ages in seconds, None where that is not asked for."""

    now: datetime
    keep: int
    zone: ZoneInfo
    every: str | None = None
    every_seconds: float | None = None
    min_size: int | None = None
    max_size: int | None = None
    max_age_seconds: float | None = None
    naming: Naming = field(default_factory=Numbers)
    compress: bool = False
    delay: bool = False
    copy_truncate: bool = False
    """Whether the log keeps its file: it is copied, and truncated or not."""
    min_age_seconds: float | None = None
    if_empty: bool = False
    weekday: int = 0
    """The first day of a week, from Monday (0) on."""
    month_day: int = 1

    @classmethod
    def of(cls, config: Mapping[str, Any], now: datetime) -> "RotationRules":
        """The rules of a normalised logs.rotate config."""
        zone, compress = ZoneInfo(config["timezone"]), config["compress"] or {}
        extension = config.get("extension") or ""
        return cls(
            now,
            config["keep"],
            zone,
            config["every"],
            config["every_seconds"],
            config["min_size"],
            config["max_size"],
            config["max_age_seconds"],
            Dates(config["date_format"], zone, extension) if config["names"] == DATE else Numbers(extension),
            bool(compress),
            compress.get("delay", False),
            config["copy_truncate"] or bool(config.get("copy")),
            config.get("min_age_seconds"),
            bool(config.get("if_empty")),
            WEEKDAYS.index(config.get("weekday") or WEEKDAYS[0]),
            config.get("month_day") or 1,
        )

    def read(self, name: str) -> Stamp | None:
        """What a name says of a rotated log; None for any other name."""
        return self.naming.read(name)

    def names(self, base: str) -> Iterator[str]:
        """Names for a log that is rotated now, the best first."""
        return self.naming.names(base, self.now)

    @property
    def hold_seconds(self) -> float:
        """For how long a log is left alone that an undo gave its name back: another interval, or a day."""
        if self.every_seconds is not None:
            return self.every_seconds
        return _INTERVALS.get(self.every or "", USUAL_SECONDS)

    @property
    def are_numbers(self) -> bool:
        """Whether the names are numbers, which move up at each rotation."""
        return isinstance(self.naming, Numbers)

    @property
    def steps(self) -> tuple[str, ...]:
        """The steps, in their order: what is older goes only when the newer is in its place."""
        return (ROTATION, COMPRESSION, EXPIRY) if self.compress else (ROTATION, EXPIRY)


def decide(log: LogSeen, rotated: Iterable[Rotated], taken: Callable[[str], bool], rules: RotationRules) -> Turn:
    """What becomes of a log and of those rotated before; `taken` says whether a name stands in its directory."""
    if log.held:
        return Turn(log.name, False, log.held)
    others = sorted(rotated, key=lambda one: (_is_believed(one.stamp.moment, rules), one.stamp.order), reverse=True)
    due, why = _due(log, others, rules)
    moves = _moves(log, others, taken, rules) if due else ()
    after = dict(moves)
    order = [(after.get(one.name, one.name), one) for one in others]  # the newest first
    kept = max(0, rules.keep - due)
    expire = [name for at, (name, one) in enumerate(order) if at >= kept or _too_old(one, rules)]
    compress: list[str] = []
    left: list[tuple[str, str]] = []
    for name, one in order[1 if rules.delay and not due else 0 :] if rules.compress else ():
        if one.stamp.packed or one.size == 0 or name in expire:
            continue
        obstacle = _obstacle(one, others)
        if obstacle:
            left.append((one.name, obstacle))
        else:
            compress.append(name)
    gone = due and not rules.keep
    fresh = due and rules.compress and not rules.delay and not gone
    return Turn(log.name, due, why, moves, tuple(compress), fresh, tuple(expire), gone, tuple(left))


def _obstacle(one: Rotated, others: Iterable[Rotated]) -> str:
    """Why a rotated log is not compressed, or the empty text."""
    if one.links != 1:
        return f"it has {one.links} names (hard links): not compressed"
    if one.stamp.moment is None:  # with a date there is always another name
        for other in others:
            if other.stamp.packed and other.stamp.order == one.stamp.order:
                return f"{other.name} is there too: not compressed; remove the one of the two that is not needed"
    return ""


def _is_believed(moment: datetime | None, rules: RotationRules) -> bool:
    return moment is None or moment <= rules.now + _SLACK


def last_rotation(log: LogSeen, rotated: Sequence[Rotated], rules: RotationRules) -> datetime | None:
    """When a log was last rotated: as recorded, else as the disk tells. What lies in the future is not believed."""
    if log.recorded is not None and not log.is_doubtful and _is_believed(log.recorded, rules):
        return log.recorded
    found = [one.stamp.moment for one in rotated if one.stamp.moment is not None]
    if rules.are_numbers and (log.born_ns is None or rules.copy_truncate):  # one was last written right before
        found += [_moment(one.mtime_ns) for one in rotated if 0 <= one.mtime_ns < 1 << 63]
    if log.born_ns is not None and not (rules.copy_truncate and found):
        found.append(_moment(log.born_ns))
    if log.recorded is not None:
        found.append(log.recorded)
    return max((moment for moment in found if _is_believed(moment, rules)), default=None)


def _moment(nanoseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=nanoseconds // 1000)


def _due(log: LogSeen, rotated: Sequence[Rotated], rules: RotationRules) -> tuple[bool, str]:
    if log.size == 0 and not rules.if_empty:
        return False, "it is empty"
    if log.links != 1:
        return False, f"it has {log.links} names (hard links)"
    if rules.min_age_seconds is not None and log.mtime_ns > _before(rules, rules.min_age_seconds):
        return False, f"it was written to less than {span(rules.min_age_seconds)} ago (min_age)"
    if rules.max_size is not None and log.size >= rules.max_size:
        return True, f"it has {log.size} bytes, and {rules.max_size} are the limit"
    if rules.min_size is not None and log.size < rules.min_size:
        return False, f"it has {log.size} bytes, and is rotated from {rules.min_size} on"
    return _due_by_time(log, last_rotation(log, rotated, rules), rules)


def _due_by_time(log: LogSeen, last: datetime | None, rules: RotationRules) -> tuple[bool, str]:
    if rules.every is None and rules.every_seconds is None:
        if rules.max_size is not None:
            return False, f"it has {log.size} bytes, and is rotated from {rules.max_size} on"
        return True, "it is rotated at each execution"
    if last is None:
        return True, "nothing tells of an earlier rotation"
    if rules.every_seconds is not None:
        due = (rules.now - last).total_seconds() >= rules.every_seconds * (1 - _EARLY)
        often = f"every {span(rules.every_seconds)}"
    else:
        assert rules.every is not None
        due = _period(last, rules) < _period(rules.now, rules)
        often = rules.every
    told = last.astimezone(rules.zone).strftime("%Y-%m-%d %H:%M")
    return due, f"it was last rotated or made at {told}, and is rotated {often}"


def _period(moment: datetime, rules: RotationRules) -> tuple[int, ...]:
    local = moment.astimezone(rules.zone)
    if rules.every == "weekly":
        return ((local.toordinal() - 1 - rules.weekday) // 7,)
    if rules.every == "monthly":
        begins = min(rules.month_day, monthrange(local.year, local.month)[1])
        return (local.year * 12 + local.month - (local.day < begins),)
    parts = (local.year, local.month, local.day, local.hour)
    return parts[: {"hourly": 4, "daily": 3, "yearly": 1}[rules.every or "yearly"]]


def _moves(
    log: LogSeen, rotated: Sequence[Rotated], taken: Callable[[str], bool], rules: RotationRules
) -> tuple[tuple[str, str], ...]:
    if not isinstance(rules.naming, Numbers):
        stands = {one.name.removesuffix(one.stamp.packed) for one in rotated}
        name = next(name for name in rules.names(log.name) if name not in stands and not taken(name))
        return ((log.name, name),)
    shifts: list[tuple[str, str]] = []
    number = 0
    for one in rotated:  # from 1 up, as far as there is no gap
        mine = -one.stamp.order[0]
        if mine > number + 1:
            break
        number = mine
        shifts.append((one.name, rules.naming.name(log.name, number + 1, one.stamp.packed)))
    return (*reversed(shifts), (log.name, rules.naming.name(log.name, 1)))


def _too_old(one: Rotated, rules: RotationRules) -> bool:
    return rules.max_age_seconds is not None and one.mtime_ns < _before(rules, rules.max_age_seconds)


def _before(rules: RotationRules, seconds: float) -> int:
    """The moment so many seconds ago, in nanoseconds since 1970."""
    return (rules.now - timedelta(seconds=seconds) - _EPOCH) // timedelta(microseconds=1) * 1000
