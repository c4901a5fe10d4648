"""Recurrence: from a schedule and a moment to the next instant, in UTC.

Wall times are matched on the naive calendar (cronsim) and mapped to instants here, so that a change of the clocks is
decided in one place: a wall time that does not exist that day runs at the first instant after the gap, one that comes
twice runs the first time. Schedules that fire more often than hourly, and intervals, follow elapsed time: every match
in a repeated hour runs. (The rule of cronie, made explicit; Debian's cron(8), "daylight saving".)
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
        matches = _matches(expression, datetime(2024, 1, 1))
        next(matches)
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
    if last is None or last > moment:
        return moment + timedelta(seconds=seconds)
    missed = (moment - last).total_seconds() // seconds
    return last + timedelta(seconds=(missed + 1) * seconds)


def _next_cron(expression: str, zone: ZoneInfo, moment: datetime) -> datetime | None:
    # One day early: around a change of the clocks, a later wall time can be an earlier instant.
    wall = moment.astimezone(zone).replace(tzinfo=None) - timedelta(days=1)
    frequent = _is_frequent(expression)
    best: datetime | None = None
    limit = moment.astimezone(zone).replace(tzinfo=None) + timedelta(days=1)
    try:
        for match in _matches(expression, wall):
            for instant in _instants(match, zone, frequent):
                if instant > moment and (best is None or instant < best):
                    best = instant
            if best is not None and match > limit:
                return best
            if best is not None and not _near_change(match, zone):
                return best
    except (StopIteration, OverflowError):
        pass
    return best


def _matches(expression: str, after: datetime) -> CronSim:
    return CronSim(ALIASES.get(expression.strip().lower(), expression), after)


def _is_frequent(expression: str) -> bool:
    """More often than hourly, or in every hour: the hour field is a wildcard."""
    fields = ALIASES.get(expression.strip().lower(), expression).split()
    return len(fields) >= 2 and fields[1].startswith("*") and fields[1] in ("*", "*/1")


def _instants(wall: datetime, zone: ZoneInfo, frequent: bool) -> tuple[datetime, ...]:
    """The instants at which a wall clock in `zone` shows `wall`; for one in a gap, the gap's end."""
    first = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    second = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    if first == second:
        return (first,)
    if first < second:
        return (first, second) if frequent else (first,)
    # fold=0 reads the gap with the offset before it, fold=1 with the one after: the gap's end lies between.
    return () if frequent else (_gap_end(second, first, zone),)


def _gap_end(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The first instant with the new offset: `before` and `after` are instants on its two sides."""
    old = before.astimezone(zone).utcoffset()
    low, high = int(before.timestamp()), int(after.timestamp())
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == old:
            low = middle
        else:
            high = middle
    return datetime.fromtimestamp(high, UTC)


def _near_change(wall: datetime, zone: ZoneInfo) -> bool:
    """Whether the zone's offset changes within a day of `wall`."""
    day = timedelta(days=1)
    return (wall - day).replace(tzinfo=zone).utcoffset() != (wall + day).replace(tzinfo=zone).utcoffset()
