"""cron: five fields, names, `L`, `#`, and words for an expression. Read by cronsim, which says which days match."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from jamaint.core.recurrence.schedule import Schedule
from jamaint.core.recurrence.wall_time import Pattern, next_instant

ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
HOURS = 24
HORIZON_YEARS = 41
"""A 29 February that is a certain weekday comes within 40 years, also where 2100 lies between."""
ONE_DAY = timedelta(days=1)


class Parsed(NamedTuple):
    """An expression, and its times of day in order."""

    cron: CronSim
    months: frozenset[int]
    hours: frozenset[int]
    times: tuple[tuple[int, int], ...]


def check_cron(expression: str) -> str | None:
    """What is wrong with a cron expression, or None; one that never comes (30 February) is wrong too."""
    try:
        parsed = _parsed(expression)
    except CronSimError as error:
        return str(error)
    return None if next(_following(parsed, datetime(2024, 1, 1)), None) else "never comes"


def next_after(schedule: Schedule, moment: datetime, _last: datetime | None) -> datetime | None:
    """The first instant after `moment`, or None."""
    return next_instant(_pattern(schedule.cron or ""), ZoneInfo(schedule.timezone), moment, schedule.dst_gap)


@lru_cache(maxsize=16_384)
def _pattern(expression: str) -> Pattern:
    parsed = _parsed(expression)
    return Pattern(lambda wall: _following(parsed, wall), len(parsed.hours) == HOURS)


def _following(parsed: Parsed, wall: datetime) -> Iterator[datetime]:
    """The matches after `wall`. cronsim says which days match; it would get there hour by hour."""
    day, last = wall.date(), wall.year + HORIZON_YEARS
    floor = (wall.hour, wall.minute)
    while day.year <= last:
        if day.month not in parsed.months:
            day = _first_of_next_month(day)
        elif parsed.cron.match_day(day):
            for hour, minute in parsed.times if day > wall.date() else _from(parsed.times, floor):
                match = datetime(day.year, day.month, day.day, hour, minute)
                if match > wall:
                    yield match
            day += ONE_DAY
        else:
            day += ONE_DAY


def _from(times: Sequence[tuple[int, int]], floor: tuple[int, int]) -> Sequence[tuple[int, int]]:
    return times[bisect_left(times, floor) :]


def _first_of_next_month(day: date) -> date:
    return (day.replace(day=1) + 32 * ONE_DAY).replace(day=1)


@lru_cache(maxsize=16_384)  # to parse one costs more than to find its next match
def _parsed(expression: str) -> Parsed:
    cron = CronSim(ALIASES.get(expression.strip().lower(), expression), datetime(2024, 1, 1))
    times = _times(frozenset(cron.hours), frozenset(cron.minutes))
    parsed = Parsed(cron, _shared(frozenset(cron.months)), _shared(frozenset(cron.hours)), times)
    # Thousands are kept, and a set of sixty numbers is eight kilobytes: what is not asked of it again goes.
    cron.seconds, cron.minutes, cron.hours, cron.months = set(), set(), set(), set()
    cron.days = _shared(frozenset(cron.days))  # type: ignore[assignment]  # it is only looked into
    cron.weekdays = _shared(frozenset(cron.weekdays))  # type: ignore[assignment]
    return parsed


@lru_cache(maxsize=4096)
def _times(hours: frozenset[int], minutes: frozenset[int]) -> tuple[tuple[int, int], ...]:
    return tuple((hour, minute) for hour in sorted(hours) for minute in sorted(minutes))


@lru_cache(maxsize=4096)
def _shared(found: frozenset[Any]) -> frozenset[Any]:
    """The first of all sets that are the same."""
    return found
