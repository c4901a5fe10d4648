"""cron: five fields, names, `L`, `#` and the words that stand for an expression. Matched by cronsim."""

from copy import copy
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from jamaint.core.recurrence.schedule import Schedule
from jamaint.core.recurrence.walltime import Pattern, next_instant

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


def check_cron(expression: str) -> str | None:
    """What is wrong with a cron expression, or None; one that never comes (30 February) is wrong too."""
    try:
        next(_matches(expression, datetime(2024, 1, 1)))
    except CronSimError as error:
        return str(error)
    except StopIteration:
        return "never comes"
    return None


def next_after(schedule: Schedule, moment: datetime, _last: datetime | None) -> datetime | None:
    """The first instant after `moment`, or None."""
    return next_instant(_pattern(schedule.cron or ""), ZoneInfo(schedule.timezone), moment, schedule.dst_gap)


def _pattern(expression: str) -> Pattern:
    return Pattern(lambda wall: _matches(expression, wall), len(_parsed(expression).hours) == HOURS)


def _matches(expression: str, after: datetime) -> CronSim:
    found = copy(_parsed(expression))
    found.dt = after.replace(microsecond=0)
    return found


@lru_cache(maxsize=4096)  # to parse one costs more than to find its next match
def _parsed(expression: str) -> CronSim:
    return CronSim(ALIASES.get(expression.strip().lower(), expression), datetime(2024, 1, 1))
