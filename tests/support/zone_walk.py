"""The wall clock of a zone, walked minute by minute: the plain, slow answer that the quick one is held to.

It knows nothing of offsets, folds or gaps. It writes down what a clock on the wall shows at each minute of UTC around
a change, and reads from that which minutes an expression names.
"""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
DAYS = 2
CHANGES = {
    "New York, spring": ("America/New_York", datetime(2026, 3, 8, 7)),
    "New York, autumn": ("America/New_York", datetime(2026, 11, 1, 6)),
    "Berlin, spring": ("Europe/Berlin", datetime(2026, 3, 29, 1)),
    "Berlin, autumn": ("Europe/Berlin", datetime(2026, 10, 25, 1)),
    "Dublin, spring": ("Europe/Dublin", datetime(2026, 3, 29, 1)),
    "Dublin, autumn": ("Europe/Dublin", datetime(2026, 10, 25, 1)),
    "Lord Howe, autumn: half an hour back": ("Australia/Lord_Howe", datetime(2026, 4, 4, 15)),
    "Lord Howe, spring: half an hour on": ("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 30)),
    "Chatham, autumn": ("Pacific/Chatham", datetime(2026, 4, 4, 14)),
    "Chatham, spring": ("Pacific/Chatham", datetime(2026, 9, 26, 14)),
    "Sao Paulo, autumn: midnight to 23:00": ("America/Sao_Paulo", datetime(2018, 2, 18, 2)),
    "Sao Paulo, spring: no midnight": ("America/Sao_Paulo", datetime(2018, 11, 4, 3)),
    "Apia, a day left out": ("Pacific/Apia", datetime(2011, 12, 30, 10)),
    "Apia, autumn": ("Pacific/Apia", datetime(2012, 3, 31, 14)),
    "Jakarta, new year 1964: half an hour back": ("Asia/Jakarta", datetime(1963, 12, 31, 16, 30)),
    "Jakarta today: never": ("Asia/Jakarta", datetime(2026, 6, 1)),
}


@dataclass(frozen=True)
class Cron:
    """An expression, and the sets that whoever wrote it had in mind; `either_day` is cron's rule of the two days."""

    text: str
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool

    def names(self, wall: datetime) -> bool:
        """Whether a clock that shows `wall` shows a minute of this expression."""
        day, weekday = wall.day in self.days, wall.isoweekday() % 7 in self.weekdays
        return (
            wall.minute in self.minutes
            and wall.hour in self.hours
            and wall.month in self.months
            and ((day or weekday) if self.either_day else (day and weekday))
        )


@cache
def walk(change: str) -> list[tuple[datetime, datetime]]:
    """Each minute of UTC around a change, with what the wall clock shows then."""
    name, middle = CHANGES[change]
    zone, first = ZoneInfo(name), middle.replace(tzinfo=UTC) - DAYS * 1440 * MINUTE
    minutes = (first + count * MINUTE for count in range(2 * DAYS * 1440))
    return [(instant, instant.astimezone(zone).replace(tzinfo=None)) for instant in minutes]


@cache
def first_shown(change: str) -> dict[datetime, datetime]:
    """Each wall time around a change with the instant that it means: a missing one means the first that is shown."""
    walked = walk(change)
    shown: dict[datetime, datetime] = {}
    for instant, wall in walked:
        shown.setdefault(wall, instant)
    wanted, end = walked[0][1], walked[-1][1]
    while wanted <= end:
        if wanted not in shown:
            shown[wanted] = next(instant for instant, wall in walked if wall > wanted)
        wanted += MINUTE
    return shown


def due(cron: Cron, change: str) -> list[datetime]:
    """All instants around a change at which `cron` is due."""
    if len(cron.hours) == 24:
        return [instant for instant, wall in walk(change) if cron.names(wall)]
    return sorted({instant for wall, instant in first_shown(change).items() if cron.names(wall)})


def next_of(instants: list[datetime], moment: datetime) -> datetime | None:
    """The first of them after `moment`."""
    at = bisect_right(instants, moment)
    return instants[at] if at < len(instants) else None
