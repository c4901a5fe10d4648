"""Recurrence: from a schedule and a moment to the next instant, in UTC.

Wall times are matched on the naive calendar (cronsim) and mapped to instants here, so that a change of the clocks is
decided in one place: a wall time that does not exist that day runs at the first instant after the gap, one that comes
twice runs the first time. Schedules that fire in every hour, and intervals, follow elapsed time: every match in a
repeated hour runs, and in a gap there is nothing to run. (The rule of cronie, made explicit; Debian's cron(8),
"daylight saving". What fires often but in some hours only, `*/10 2 * * *`, is a fixed time here: it is not lost.)
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

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


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a task comes due, or a window opens: exactly one of `cron`, `every_seconds`, `at` and `window`.

    `window` names a window: due at each of its openings. `timezone` is the zone of `cron`'s wall times.
    """

    cron: str | None = None
    every_seconds: float | None = None
    at: datetime | None = None
    window: str | None = None
    timezone: str = "UTC"


def check_cron(expression: str) -> str | None:
    """What is wrong with a cron expression, or None; one that never comes (30 February) is wrong too."""
    try:
        next(_matches(expression, datetime(2024, 1, 1)))
    except CronSimError as error:
        return str(error)
    except StopIteration:
        return "never comes"
    return None


def next_after(schedule: Schedule, moment: datetime, last: datetime | None = None) -> datetime | None:
    """The first instant after `moment` at which `schedule` is due, or None if there is none any more.

    `last` is when an `every` schedule was due last; without it, `every` counts from `moment`.
    A `window` schedule has no instants of its own: its window has (see core.windows).
    """
    if schedule.at is not None:
        return schedule.at if schedule.at > moment else None
    if schedule.every_seconds is not None:
        return _next_every(schedule.every_seconds, moment, last)
    if schedule.cron is not None:
        return _next_cron(schedule.cron, ZoneInfo(schedule.timezone), moment)
    return None


def _next_every(seconds: float, moment: datetime, last: datetime | None) -> datetime:
    step = timedelta(seconds=seconds)
    if last is None or last > moment:
        return moment + step
    # In whole microseconds: seconds as floats would now and then answer with `moment` itself.
    return last + ((moment - last) // step + 1) * step


def _next_cron(expression: str, zone: ZoneInfo, moment: datetime) -> datetime | None:
    matches = _matches(expression, _wall(moment, zone))
    hourly = len(matches.hours) == HOURS
    try:
        found = _first(matches, zone, moment, hourly)
        repeated = _repeated_hour(moment, zone) if hourly else None
        if found is None or repeated is None:
            return found
        # In what the clocks show again, an earlier wall time can be a later instant.
        matches = _matches(expression, _wall(repeated, zone) - timedelta(seconds=1))
        return min(found, _first(matches, zone, repeated - timedelta(microseconds=1), hourly) or found)
    except OverflowError:  # the calendar ends
        return None


def _first(matches: CronSim, zone: ZoneInfo, moment: datetime, hourly: bool) -> datetime | None:
    """The first match's first instant after `moment`."""
    for match in matches:
        for instant in _instants(match, zone, hourly):
            if instant > moment:
                return instant
    return None


def _matches(expression: str, after: datetime) -> CronSim:
    return CronSim(ALIASES.get(expression.strip().lower(), expression), after)


def _wall(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None)


def _instants(wall: datetime, zone: ZoneInfo, hourly: bool) -> tuple[datetime, ...]:
    """The instants at which `wall` is due: at its second coming only what is `hourly`, in a gap only what is not."""
    first = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    second = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    if first == second:
        return (first,)
    if first < second:
        return (first, second) if hourly else (first,)
    # fold=0 reads the gap with the offset before it, fold=1 with the one after: the gap's end lies between.
    return () if hourly else (_change(second, first, zone),)


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
