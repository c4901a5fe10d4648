"""Periods as they stand in the file: once from a day to a day, again and again, or what a calendar file says."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import PlainValidator, create_model

from jamaint.config.schedules import WINDOW_CHOICES, WindowSchedule, instant, moment
from jamaint.core.calendar.periods import Periods, apart
from jamaint.schema import paths
from jamaint.schema.errors import Flaw, Path
from jamaint.schema.fields import Section, Zone
from jamaint.schema.icalendar import read_ics
from jamaint.schema.units import shown, text, whole_minutes
from jamaint.schema.validation import exactly_one

CHOICES = ("from", "schedule", "ics")
LONGEST_MINUTES = 366 * 24 * 60
KEYS = ("from", "to", "schedule", "duration", "ics")

_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def day_or_moment(value: Any) -> date | datetime:
    """A day, or a date and time of day."""
    found = text(value)
    if not _DAY.fullmatch(found):
        return moment(found)
    try:
        return date.fromisoformat(found)
    except ValueError as error:
        raise ValueError(f"{found} is no date: {error}") from None


DayOrMoment = Annotated[Any, PlainValidator(day_or_moment)]
Minutes = Annotated[int, PlainValidator(lambda value: whole_minutes(value, 1, LONGEST_MINUTES))]
File = Annotated[str, PlainValidator(paths.absolute)]

_FROM: Any = {"from": (DayOrMoment | None, None)}
_From: type[Section] = create_model("_From", __base__=Section, **_FROM)
"""With a key that cannot stand in a class, because it is a word of Python's."""


class PeriodGiven(_From):  # type: ignore[misc, valid-type]
    """A period: exactly one of CHOICES, with what belongs to it."""

    to: DayOrMoment | None = None
    timezone: Zone | None = None
    schedule: WindowSchedule | None = None
    duration: Minutes | None = None
    ics: File | None = None


@dataclass(frozen=True, slots=True)
class ReadPeriods:
    """What became of a period: `value` is None if it has flaws."""

    value: Periods | None
    flaws: tuple[Flaw, ...]


def read_periods(
    given: Mapping[str, Any], model: PeriodGiven, flaws: Sequence[Flaw], at: Path, zone: str | None = None
) -> ReadPeriods:
    """The periods of a model that was made from `given`; `zone` is that of what they belong to."""
    found = [*exactly_one(given, CHOICES, flaws, at)]
    found += _misplaced(given, at)
    if model.schedule is not None and not found:
        problems = model.schedule.problems(model.timezone or zone)
        found += [Flaw((*at, "schedule", key), problem) for key, problem in problems]
    if found:
        return ReadPeriods(None, tuple(found))
    timezone = model.timezone or zone or "UTC"
    try:
        return ReadPeriods(_periods(model, timezone), ())
    except ValueError as error:
        key = next(key for key in CHOICES if getattr(model, key) is not None)
        return ReadPeriods(None, (Flaw((*at, key), str(error)),))


def schedule_flaws(given: Any, flaws: Sequence[Flaw], at: Path) -> Iterator[Flaw]:
    """What is wrong with the choice of a recurring period's schedule."""
    if isinstance(given, Mapping) and given.get("schedule") is not None:
        yield from exactly_one(given["schedule"], WINDOW_CHOICES, flaws, (*at, "schedule"))


def _misplaced(given: Mapping[str, Any], at: Path) -> Iterator[Flaw]:
    there = {key for key in KEYS if given.get(key) is not None}
    if "from" in there and "to" not in there:
        yield Flaw((*at, "to"), "is missing: the last day, or the moment at which it ends")
    if "schedule" in there and "duration" not in there:
        yield Flaw((*at, "duration"), "is missing: how long it lasts each time, such as 3d or 90 (minutes)")
    for key, beside in (("to", "from"), ("duration", "schedule")):
        if key in there and beside not in there:
            yield Flaw((*at, key), f"has no meaning without `{beside}`: remove it", at_key=True)


def _periods(model: PeriodGiven, timezone: str) -> Periods:
    begins = getattr(model, "from")
    if begins is not None:
        start, end = _start(begins, timezone), _end(model.to or begins, timezone)
        if start >= end:
            raise ValueError(f"begins at {shown(str(begins))}, and ends before that: exchange `from` and `to`")
        return Periods(((start, end),))
    if model.schedule is not None:
        assert model.duration is not None  # see `_misplaced`
        return Periods(schedule=model.schedule.schedule(timezone), duration_minutes=model.duration)
    assert model.ics is not None  # see `exactly_one`
    return Periods(apart(read_ics(model.ics, timezone)))


def _start(value: date | datetime, timezone: str) -> datetime:
    return instant(value, timezone) if isinstance(value, datetime) else midnight(value, timezone)


def _end(value: date | datetime, timezone: str) -> datetime:
    """The moment given, or the end of the day given: whoever writes a last day means all of it."""
    return instant(value, timezone) if isinstance(value, datetime) else midnight(value + timedelta(days=1), timezone)


def midnight(day: date, timezone: str) -> datetime:
    """The first instant of a day in a zone: where midnight is leapt over, the one after the gap."""
    naive = datetime(day.year, day.month, day.day)
    return naive.replace(tzinfo=ZoneInfo(timezone), fold=0).astimezone(UTC)
