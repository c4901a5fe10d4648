"""calendar: systemd's OnCalendar, as systemd.time(7) describes it: lists, ranges, steps, `~` from a month's end, words.

    Mon..Fri *-*-* 02:00     Sat *-*~07/1 03:30     *-01,07-01     quarterly     *:0/15

A weekday and the date must both match (where cron takes either). The zone at the end is a matter of the configuration.
"""

from bisect import bisect_left
from calendar import monthrange
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from jamaint.core.recurrence.schedule import Schedule
from jamaint.core.recurrence.wall_time import Pattern, next_instant

ALIASES = {
    "minutely": "*-*-* *:*:00",
    "hourly": "*-*-* *:00:00",
    "daily": "*-*-* 00:00:00",
    "weekly": "Mon *-*-* 00:00:00",
    "monthly": "*-*-01 00:00:00",
    "quarterly": "*-01,04,07,10-01 00:00:00",
    "semiannually": "*-01,07-01 00:00:00",
    "semi-annually": "*-01,07-01 00:00:00",
    "biannually": "*-01,07-01 00:00:00",
    "bi-annually": "*-01,07-01 00:00:00",
    "annually": "*-01-01 00:00:00",
    "anually": "*-01-01 00:00:00",
    "yearly": "*-01-01 00:00:00",
}
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
FIRST_YEAR, LAST_YEAR = 1970, 2199
HOURS = 24
EARLIEST_FROM_END = 28
"""Each month has so many days, so that what is told from a month's end is always in it."""
SHORT_YEAR, CENTURY_TURN = 100, 70


class Span(NamedTuple):
    """`start..stop/step` of a component; `stop` None: to the component's end, if there is a step, else just `start`."""

    start: int
    stop: int | None
    step: int


class Moments(NamedTuple):
    """What an expression matches: the days as spans, the rest as the numbers themselves, in order."""

    weekdays: frozenset[int]
    years: tuple[int, ...]
    months: tuple[int, ...]
    days: tuple[Span, ...]
    from_end: bool
    hours: tuple[int, ...]
    minutes: tuple[int, ...]
    seconds: tuple[int, ...]


def check_calendar(expression: str) -> str | None:
    """What is wrong with an expression (without its zone), or None; one that never comes (30 February) is wrong too."""
    try:
        found = parse(expression)
    except ValueError as error:
        return str(error)
    return None if next(_following(found, datetime(FIRST_YEAR, 1, 1)), None) else "never comes"


def next_after(schedule: Schedule, moment: datetime, _last: datetime | None) -> datetime | None:
    """The first instant after `moment`, or None."""
    return next_instant(_pattern(schedule.calendar or ""), ZoneInfo(schedule.timezone), moment, schedule.dst_gap)


@lru_cache(maxsize=4096)
def _pattern(expression: str) -> Pattern:
    moments = parse(expression)
    return Pattern(lambda wall: _following(moments, wall), len(moments.hours) == HOURS)


@lru_cache(maxsize=4096)
def parse(expression: str) -> Moments:
    """The moments that an expression matches. Raises ValueError, in words."""
    words = ALIASES.get(expression.strip().lower(), expression).split()
    if not words:
        raise ValueError("it is empty")
    weekdays = frozenset(range(7))
    if words[0][0].isalpha():
        weekdays = _weekdays(words.pop(0))
    date, time = _date_and_time(words, expression)
    years, months, days, from_end = _date(date)
    hours, minutes, seconds = _time(time)
    return Moments(weekdays, years, months, days, from_end, hours, minutes, seconds)


def _date_and_time(words: list[str], expression: str) -> tuple[str, str]:
    """The date and the time of day; one that is left out is every day, or midnight."""
    times = [word for word in words if ":" in word]
    dates = [word for word in words if ":" not in word]
    if len(times) > 1 or len(dates) > 1 or words != dates + times:
        raise ValueError(
            f"{expression.strip()!r} is not a weekday, a date such as *-*-01, a time such as 02:00, in this order"
        )
    return next(iter(dates), "*-*-*"), next(iter(times), "00:00:00")


def _weekdays(text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        low, dots, high = part.replace("-", "..").partition("..")
        first = _weekday(low)
        last = _weekday(high) if dots else first
        if last < first:
            raise ValueError(f"{part} runs over the week's end, which is Sunday: name its days one by one")
        found.update(range(first, last + 1))
    return frozenset(found)


def _weekday(text: str) -> int:
    for number, name in enumerate(WEEKDAYS):
        if text.lower() in (name, name[:3]):
            return number
    raise ValueError(f"{text!r} is no weekday, such as Mon, and no word such as {', '.join(list(ALIASES)[:5])}")


def _date(text: str) -> tuple[tuple[int, ...], tuple[int, ...], tuple[Span, ...], bool]:
    before, tilde, day = text.rpartition("~")
    if not tilde:
        before, _, day = text.rpartition("-")
    year, dash, month = before.rpartition("-")
    if not before or (not dash and not month):
        raise ValueError(f"{text!r} is no date, such as *-*-01, and no time, such as 02:00")
    days = _spans(day, "day", 1, EARLIEST_FROM_END if tilde else 31)
    if tilde and day == "*":
        tilde = ""
    years = _years(year or "*")
    return years, _numbers(month, "month", 1, 12), days, bool(tilde)


def _years(text: str) -> tuple[int, ...]:
    if text == "*":
        return tuple(range(FIRST_YEAR, LAST_YEAR + 1))
    spans = [
        Span(_whole_year(start), None if stop is None else _whole_year(stop), step)
        for start, stop, step in _spans(text, "year", 0, LAST_YEAR)
    ]
    if any(span.start < FIRST_YEAR for span in spans):
        raise ValueError(f"the year must be from {FIRST_YEAR} to {LAST_YEAR}")
    return _expanded(spans, LAST_YEAR)


def _whole_year(year: int) -> int:
    """Of two digits, those from 70 on are of the last century, as systemd has it."""
    return year if year >= SHORT_YEAR else year + (1900 if year >= CENTURY_TURN else 2000)


def _time(text: str) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    parts = text.split(":")
    if len(parts) > 3:
        raise ValueError(f"{text!r} is not a valid time, such as 02:00 or 02:00:30")
    hour, minute, second = [*parts, "00"][:3]
    if "." in second.replace("..", ""):
        raise ValueError("a second is the shortest step there is")
    return _numbers(hour, "hour", 0, 23), _numbers(minute, "minute", 0, 59), _numbers(second, "second", 0, 59)


def _numbers(text: str, what: str, least: int, most: int) -> tuple[int, ...]:
    return _expanded(_spans(text, what, least, most), most)


def _expanded(spans: Iterable[Span], most: int) -> tuple[int, ...]:
    found: set[int] = set()
    for start, stop, step in spans:
        found.update(range(start, (most if stop is None else stop) + 1, step))
    return tuple(sorted(found))


def _spans(text: str, what: str, least: int, most: int) -> tuple[Span, ...]:
    return tuple(_span(part, what, least, most) for part in text.split(","))


def _span(text: str, what: str, least: int, most: int) -> Span:
    bounds, slash, pace = text.partition("/")
    step = _number(pace, what, 1, most) if slash else 1
    if bounds == "*" and slash:
        raise ValueError(f"a step needs a beginning: write {least}/{step} for {text} in the {what}")
    if bounds == "*":
        return Span(least, None, 1)
    low, dots, high = bounds.partition("..")
    start = _number(low, what, least, most)
    if not dots:
        return Span(start, None if slash else start, step)
    stop = _number(high, what, least, most)
    if stop < start:
        raise ValueError(f"{bounds} in the {what} runs backwards")
    return Span(start, stop - (stop - start) % step, step)


def _number(text: str, what: str, least: int, most: int) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 4 or not least <= int(text) <= most:
        raise ValueError(f"the {what} must be from {least} to {most}, and {text!r} is not")
    return int(text)


def _following(moments: Moments, wall: datetime) -> Iterator[datetime]:
    """The matches after `wall`, in order."""
    today = (wall.year, wall.month, wall.day)
    for year in moments.years[bisect_left(moments.years, wall.year) :]:
        for month in moments.months:
            if (year, month) < today[:2]:
                continue
            for day in _days(moments, year, month):
                if (year, month, day) > today:
                    yield from _times(moments, year, month, day)
                elif (year, month, day) == today:
                    yield from _times_after(moments, wall)


def _days(moments: Moments, year: int, month: int) -> list[int]:
    first, length = monthrange(year, month)
    found: set[int] = set()
    for start, stop, step in moments.days:
        low, high = start, length if stop is None else stop
        if moments.from_end:  # the last day is 1, and a step goes towards it
            low, high = length + 1 - (start if stop is None else stop), length if stop is None else length + 1 - start
        found.update(range(low, min(high, length) + 1, step))
    return sorted(day for day in found if (first + day - 1) % 7 in moments.weekdays)


def _times(moments: Moments, year: int, month: int, day: int) -> Iterator[datetime]:
    for hour in moments.hours:
        for minute in moments.minutes:
            for second in moments.seconds:
                yield datetime(year, month, day, hour, minute, second)


def _times_after(moments: Moments, wall: datetime) -> Iterator[datetime]:
    """Those of the day of `wall` that come after it, without going through those that came before."""
    day = (wall.year, wall.month, wall.day)
    for hour in moments.hours[bisect_left(moments.hours, wall.hour) :]:
        for minute in moments.minutes:
            if (hour, minute) < (wall.hour, wall.minute):
                continue
            for second in moments.seconds:
                match = datetime(*day, hour, minute, second)
                if match > wall:
                    yield match
