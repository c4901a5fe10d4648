"""From wall times to instants: the one place in which a change of the clocks is decided.

A wall time that does not exist that day runs at the first instant after the gap, or not at all where the schedule says
so; one that comes twice runs the first time. What comes in every hour follows elapsed time: each match in a repeated
hour runs, and in a gap there is nothing to run. (The rule of cronie, made explicit; Debian's cron(8), "daylight
saving". What comes often but in some hours only, `*/10 2 * * *`, is a fixed time here: it is not lost.)
"""

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from jamaint.core.recurrence.schedule import Gap

DAYS_BESIDE = timedelta(days=2)
MOVED, REPEATED = "moved", "repeated"


class Pattern(NamedTuple):
    """Wall times, without a zone: `after` gives those after one of them, in order; whether they come in every hour."""

    after: Callable[[datetime], Iterable[datetime]]
    every_hour: bool


def next_instant(pattern: Pattern, zone: ZoneInfo, moment: datetime, gap: Gap) -> datetime | None:
    """The first instant after `moment` that the pattern means, in UTC, or None if there is none any more."""
    try:
        steady = _next_on_steady_days(pattern, zone, moment)
        if steady is not None:
            return steady
        found = _first(pattern.after(wall_of(moment, zone)), zone, moment, pattern.every_hour, gap)
        repeated = _repeated_hour(moment, zone) if pattern.every_hour else None
        if found is None or repeated is None:
            return found
        # In what the clocks show again, an earlier wall time can be a later instant.
        again = pattern.after(wall_of(repeated, zone) - timedelta(seconds=1))
        earlier = _first(again, zone, repeated - timedelta(microseconds=1), True, gap)
        return min(found, earlier or found)
    except OverflowError:  # the calendar ends
        return None


def wall_of(moment: datetime, zone: ZoneInfo) -> datetime:
    """What a clock in `zone` shows at that moment, without the zone."""
    return moment.astimezone(zone).replace(tzinfo=None)


def comes_twice(moment: datetime, zone: ZoneInfo) -> str | None:
    """REPEATED if the clocks show this moment's time twice, and it is the first."""
    wall = wall_of(moment, zone)
    first = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    second = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return REPEATED if moment == first < second else None


def clock_changes(start: datetime, end: datetime, zone: ZoneInfo) -> list[tuple[datetime, timedelta]]:
    """Each instant from `start` to `end` at which the clocks of the zone change, and by how much."""
    found, moment = [], start
    while moment < end:
        later = min(moment + timedelta(days=1), end)
        shift = _offset(later, zone) - _offset(moment, zone)
        if shift:
            found.append((_change(moment, later, zone), shift))
        moment = later
    return found


def _next_on_steady_days(pattern: Pattern, zone: ZoneInfo, moment: datetime) -> datetime | None:
    """The same, far from any change of the clocks, where an offset is all there is to it; None: look closer."""
    moment = moment.astimezone(UTC)
    offset = _steady_offset(zone, moment.date())
    if offset is None:
        return None
    match = next(iter(pattern.after(moment.replace(tzinfo=None) + offset)), None)
    offset = None if match is None else _steady_offset(zone, match.date())
    return None if match is None or offset is None else match.replace(tzinfo=UTC) - offset


@lru_cache(maxsize=65_536)
def _steady_offset(zone: ZoneInfo, day: date) -> timedelta | None:
    """The zone's offset if it is the same for all of this day and those beside it, in UTC and by any clock."""
    first = datetime(day.year, day.month, day.day, tzinfo=UTC) - DAYS_BESIDE
    offsets = {_offset(first + hours * timedelta(hours=6), zone) for hours in range(21)}
    return offsets.pop() if len(offsets) == 1 else None


def _first(
    matches: Iterable[datetime], zone: ZoneInfo, moment: datetime, every_hour: bool, gap: Gap
) -> datetime | None:
    """The first match's first instant after `moment`."""
    for match in matches:
        for instant in _instants(match, zone, every_hour, gap):
            if instant > moment:
                return instant
    return None


def _instants(wall: datetime, zone: ZoneInfo, every_hour: bool, gap: Gap) -> tuple[datetime, ...]:
    """The instants at which `wall` is due: at its second coming only what comes in every hour, in a gap only what
    does not."""
    first = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    second = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    if first == second:
        return (first,)
    if first < second:
        return (first, second) if every_hour else (first,)
    # fold=0 reads the gap with the offset before it, fold=1 with the one after: the gap's end lies between.
    return () if every_hour or gap == "skip" else (_change(second, first, zone),)


def _repeated_hour(moment: datetime, zone: ZoneInfo) -> datetime | None:
    """The instant within a day at which the clocks go back, or None."""
    later = moment + timedelta(days=1)
    if _offset(later, zone) >= _offset(moment, zone):
        return None
    return _change(moment, later, zone)


def _change(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The first instant with the new offset: `before` and `after` are instants on its two sides."""
    old = _offset(before, zone)
    low, high = int(before.timestamp()), int(after.timestamp())
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(datetime.fromtimestamp(middle, UTC), zone) == old:
            low = middle
        else:
            high = middle
    return datetime.fromtimestamp(high, UTC)


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta(0)
