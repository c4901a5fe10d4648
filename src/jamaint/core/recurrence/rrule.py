"""rrule: the recurrence rule of RFC 5545, matched by python-dateutil on wall times without a zone.

Its DTSTART is the schedule's `start`, as the clocks of the zone show it. Without one, a rule must say by itself what it
would take from there. The rule is followed from near the moment that is asked about, not from its start, where that
makes no difference: only a COUNT has to be counted out.
"""

from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from dateutil.rrule import DAILY, HOURLY, MINUTELY, MONTHLY, SECONDLY, WEEKLY, YEARLY, rrule, rrulestr

from jamaint.core.recurrence.schedule import Schedule
from jamaint.core.recurrence.wall_time import Pattern, next_instant, wall_of

NO_START = datetime(2001, 1, 1)
"""A Monday and the first of a month and of a year: the phase of a rule without a start."""
HORIZON = timedelta(days=366 * 41)
"""How far ahead is looked: a 29 February that is a Monday comes within 40 years, also where 2100 lies between."""
HOUR_SECONDS = 3600
LENGTHS = {HOURLY: timedelta(hours=1), MINUTELY: timedelta(minutes=1), SECONDLY: timedelta(seconds=1)}
DAYS = {DAILY: 1, WEEKLY: 7}
SAID_BY = {
    "WEEKLY": ("BYDAY",),
    "MONTHLY": ("BYDAY", "BYMONTHDAY"),
    "YEARLY": ("BYDAY", "BYMONTHDAY", "BYMONTH", "BYYEARDAY", "BYWEEKNO", "BYEASTER"),
}
LEAP_YEARS = 4
RANGES = {
    "BYMONTH": (1, 12), "BYMONTHDAY": (1, 31), "BYYEARDAY": (1, 366), "BYWEEKNO": (1, 53), "BYHOUR": (0, 23),
    "BYMINUTE": (0, 59), "BYSECOND": (0, 59), "BYSETPOS": (1, 366), "COUNT": (1, 10_000), "INTERVAL": (1, 10_000),
}  # fmt: skip
FROM_THE_END = ("BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYSETPOS")
OF_A_DAY = ("BYMONTH", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYDAY")
YEAR_MONTHS = 12
SURE_DAY = 28
"""The last day that every month has."""


def check_rrule(text: str, start: datetime | None, zone: str) -> str | None:
    """What is wrong with a rule, or None; `start` is a wall time. One that never comes is wrong too."""
    parts = _parts(text)
    if isinstance(parts, str):
        return parts
    problem = next(_wrong(parts, start), None)
    if problem is not None:
        return problem
    try:
        rule = _rule(text, start, zone)
        if not _has_days(parts):
            return "never comes"
        found = next(iter(_following(rule, (start or datetime(2024, 1, 1)) - timedelta(seconds=1))), None)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        return f"it cannot be understood: {error}"
    return "never comes" if found is None else None


def next_after(schedule: Schedule, moment: datetime, _last: datetime | None) -> datetime | None:
    """The first instant after `moment`, or None."""
    zone = ZoneInfo(schedule.timezone)
    start = None if schedule.start is None else wall_of(schedule.start, zone)
    rule = _rule(schedule.rrule or "", start, schedule.timezone)
    pattern = Pattern(lambda wall: _following(rule, wall), _comes_every_hour(rule))
    return next_instant(pattern, zone, moment, schedule.dst_gap)


def _parts(text: str) -> dict[str, str] | str:
    found: dict[str, str] = {}
    for part in text.strip().removeprefix("RRULE:").split(";"):
        name, equals, value = part.strip().upper().partition("=")
        if not name or not equals or not value:
            return (
                f"a rule is NAME=VALUE;NAME=VALUE, such as FREQ=WEEKLY;BYDAY=MO;BYHOUR=2, and {part.strip()!r} is not"
            )
        if name in found:
            return f"it says {name} twice"
        found[name] = value
    return found


def _wrong(parts: dict[str, str], start: datetime | None) -> Iterator[str]:
    """What is wrong with the parts of a rule, as far as python-dateutil would not say it, or not in words."""
    if "DTSTART" in parts:
        yield "its start is said by `from`, not by DTSTART"
    if "FREQ" not in parts:
        yield "it says no FREQ, such as FREQ=DAILY"
    for name, (least, most) in RANGES.items():
        for number in parts[name].split(",") if name in parts else ():
            digits = number.removeprefix("-") if name in FROM_THE_END else number
            if not digits.isdigit() or not least <= int(digits) <= most:
                yield f"{name} must be from {least} to {most}, and {number!r} is not"
    if "BYSETPOS" in parts and parts.get("FREQ") not in ("WEEKLY", "MONTHLY", "YEARLY"):
        yield "BYSETPOS needs FREQ=WEEKLY, MONTHLY or YEARLY"
    if "COUNT" in parts and "UNTIL" in parts:
        yield "it has COUNT and UNTIL: one of them is enough"
    if start is None:
        yield from _unsaid(parts)


def _unsaid(parts: dict[str, str]) -> Iterator[str]:
    """What a rule would take from its start, and does not say itself."""
    if "COUNT" in parts:
        yield "it counts, and nothing says from when: say `from`"
    if parts.get("INTERVAL", "1") != "1":
        yield f"it has INTERVAL={parts['INTERVAL']}, and nothing says from when: say `from`"
    needs = SAID_BY.get(parts.get("FREQ", ""), ())
    if needs and not any(name in parts for name in needs):
        yield f"it does not say on which day: say {' or '.join(needs[:2])}, or `from`"


def _has_days(parts: dict[str, str]) -> bool:
    """Whether there is any day that it may mean: asked of whole years, since to look at each hour until the calendar
    ends takes too long."""
    kept = {name: parts[name] for name in OF_A_DAY if name in parts}
    if not kept or parts["FREQ"] == "YEARLY":
        return True
    if "BYDAY" in kept:  # the second Tuesday of a month is a Tuesday
        kept["BYDAY"] = ",".join(day.lstrip("+-0123456789") for day in kept["BYDAY"].split(","))
    text = ";".join(f"{name}={value}" for name, value in {"FREQ": "YEARLY", **kept}.items())
    return next(iter(rrulestr(text, dtstart=NO_START)), None) is not None


@lru_cache(maxsize=4096)
def _rule(text: str, start: datetime | None, zone: str) -> rrule:
    """The rule on wall times. UNTIL, which the RFC has in UTC, is what the clocks of the zone show then."""
    kept = []
    until: datetime | None = None
    for part in text.strip().upper().removeprefix("RRULE:").split(";"):
        name, _, value = part.strip().partition("=")
        if name == "UNTIL":
            until = _until(value, zone)
        else:
            kept.append(f"{name}={value}")
    found = rrulestr(";".join(kept), dtstart=start or NO_START, cache=False)
    if not isinstance(found, rrule):
        raise ValueError("one rule is needed")
    return found if until is None else found.replace(until=until)


def _until(value: str, zone: str) -> datetime:
    if len(value) == len("20271231"):
        return datetime.strptime(value, "%Y%m%d").replace(hour=23, minute=59, second=59)
    if value.endswith("Z"):
        return wall_of(datetime.strptime(value, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC), ZoneInfo(zone))
    return datetime.strptime(value, "%Y%m%dT%H%M%S")


def _following(rule: rrule, wall: datetime) -> Iterator[datetime]:
    """The matches after `wall`, as far as the horizon."""
    given: Any = rule
    until = wall.replace(microsecond=0) + HORIZON
    until = until if given._until is None else min(until, given._until)
    start = given._dtstart if given._count is not None else _near(given, wall)
    for match in given.replace(dtstart=start, until=None if given._count is not None else until):
        if match > until:
            return
        if match > wall:
            yield match


def _near(rule: Any, wall: datetime) -> datetime:
    """A start with the phase of the rule's own, not long before `wall`; its own where that is not in the past."""
    start: datetime = rule._dtstart
    if start >= wall:
        return start
    frequency, interval = rule._freq, rule._interval
    if frequency in LENGTHS or frequency in DAYS:
        step: timedelta = interval * (LENGTHS.get(frequency) or timedelta(days=DAYS.get(frequency, 1)))
        steps: int = max((wall - start) // step - 1, 0)
        return start + steps * step
    months = interval * (YEAR_MONTHS if frequency == YEARLY else 1)
    if start.day > SURE_DAY:  # a month or year that lacks the day would lose it
        months *= LEAP_YEARS * YEAR_MONTHS if frequency == MONTHLY else LEAP_YEARS
    gone = (wall.year - start.year) * YEAR_MONTHS + wall.month - start.month
    return _months_later(start, max(gone // months - 1, 0) * months)


def _months_later(start: datetime, months: int) -> datetime:
    years, month = divmod(start.month - 1 + months, YEAR_MONTHS)
    year = start.year + years
    if start.day > monthrange(year, month + 1)[1]:  # 29 February, and no leap year after all: 2100
        return start
    return start.replace(year=year, month=month + 1)


def _comes_every_hour(rule: Any) -> bool:
    """Whether it matches in each hour of the day, so that it is elapsed time that it follows."""
    if rule._freq not in LENGTHS or "byhour" in rule._original_rule:
        return False
    return bool(rule._interval * LENGTHS[rule._freq].total_seconds() <= HOUR_SECONDS)
