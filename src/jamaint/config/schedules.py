"""Schedules as they stand in the file: when a task comes due, or a window opens."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Annotated, Any, ClassVar
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, PlainValidator, ValidationInfo, field_validator

from jamaint.core.executions import ENDED
from jamaint.core.recurrence import After, Jitter, Schedule, next_after
from jamaint.core.recurrence.cron import ALIASES, check_cron
from jamaint.core.recurrence.oncalendar import HOURS, check_calendar, parse
from jamaint.core.recurrence.rrule import check_rrule
from jamaint.core.recurrence.schedule import CATCH_UPS, GAPS, CatchUp, Gap
from jamaint.core.recurrence.wall_time import wall_of
from jamaint.schema.fields import Seconds, Section, Zone, object_name, one_of, zone
from jamaint.schema.units import duration_seconds, flag, shown, text

TASK_CHOICES = ("cron", "every", "at", "after", "window", "rrule", "calendar")
WINDOW_CHOICES = ("cron", "at", "rrule", "calendar")
SINCES = ("start", "end")
STATES = (*sorted(state.value for state in ENDED), "any")
CRON_LIMIT = 256
CALENDAR_LIMIT = 512
IN_UTC = "is read in UTC: say `timezone: Asia/Jakarta`, or `UTC` if that is meant"
LONGEST_JITTER_SECONDS = 86400.0
DISTANCES = 24
"""So many occurrences are looked at for the shortest time between two."""
FIRST_YEAR, LAST_YEAR = 1970, 9998

_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?", re.ASCII)


def cron(value: Any) -> str:
    """A cron expression of five fields, or one of the words that mean one."""
    expression = text(value)
    problem = _cron_problem(expression)
    if problem:
        raise ValueError(f'cannot use cron "{shown(expression)}": {problem}')
    return expression


@lru_cache(maxsize=1024)  # thousands of tasks share a few expressions, and a check costs more than all else of a task
def _cron_problem(expression: str) -> str | None:
    if len(expression) > CRON_LIMIT:
        return f"it is longer than {CRON_LIMIT} characters"
    if expression.startswith("@"):
        known = expression.strip().lower() in ALIASES
        return None if known else f"there are {', '.join(ALIASES)}"
    fields = len(expression.split())
    if fields != 5:
        return f"it has {fields} fields, and minute, hour, day of month, month and day of week are 5"
    try:
        problem = check_cron(expression)
    except (ValueError, AssertionError, RecursionError):  # of cronsim's, for the oddest expressions
        problem = "it cannot be understood"
    return problem and problem[:1].lower() + problem[1:]


def moment(value: Any) -> datetime:
    """A date and time of day, with or without an offset."""
    found = text(value)
    if not _MOMENT.fullmatch(found):
        raise ValueError(f"must be a date and a time, such as 2026-12-24T01:00, not {shown(found)}")
    try:
        when = datetime.fromisoformat(found)
    except ValueError as error:
        raise ValueError(f"{found} is no date and time: {error}") from None
    if not FIRST_YEAR <= when.year <= LAST_YEAR:
        raise ValueError(f"must lie between the years {FIRST_YEAR} and {LAST_YEAR}, not in {when.year}")
    return when


def instant(value: datetime, zone_name: str) -> datetime:
    """`value` in UTC, read in the zone if it has no offset. Raises ValueError for a wall time that clocks leap over.

    Of a wall time that comes twice, the first is meant.
    """
    if value.tzinfo is not None:
        return value.astimezone(UTC)
    found = value.replace(tzinfo=ZoneInfo(zone_name), fold=0).astimezone(UTC)
    if found.astimezone(ZoneInfo(zone_name)).replace(tzinfo=None) != value:
        raise ValueError(f"there is no {value:%H:%M} in {zone_name} on {value:%Y-%m-%d}: the clocks go forward over it")
    return found


def calendar(value: Any) -> str:
    """A systemd OnCalendar expression, with a zone at its end or not."""
    expression = text(value)
    problem = _calendar_problem(split_zone(expression)[0])
    if problem:
        raise ValueError(f'cannot use calendar "{shown(expression)}": {problem}')
    return expression


@lru_cache(maxsize=1024)
def _calendar_problem(expression: str) -> str | None:
    if len(expression) > CALENDAR_LIMIT:
        return f"it is longer than {CALENDAR_LIMIT} characters"
    return check_calendar(expression)


def split_zone(expression: str) -> tuple[str, str | None]:
    """An OnCalendar expression without the zone at its end, and that zone. Raises ValueError for one not known."""
    words = expression.split()
    if len(words) > 1 and words[-1][0].isalpha():
        return " ".join(words[:-1]), zone(words[-1])
    return expression, None


def rule(value: Any) -> str:
    """A recurrence rule; whether it can be followed is seen where its start is known."""
    found = text(value)
    if len(found) > CALENDAR_LIMIT:
        raise ValueError(f"must be at most {CALENDAR_LIMIT} characters long")
    return found


def day_or_moment(value: Any) -> datetime | date:
    """A date, or a date and time of day."""
    found = text(value)
    if not _DATE.fullmatch(found):
        return moment(value)
    try:
        return moment(f"{found}T00:00").date()
    except ValueError as error:
        raise ValueError(str(error).replace(f"{found}T00:00", found)) from None


def spread(value: Any) -> Jitter:
    """`10m`, or `{up_to: 10m, stable: true}`."""
    if not isinstance(value, Mapping):
        return Jitter(duration_seconds(value))
    unknown = [key for key in value if key not in ("up_to", "stable")]
    if unknown or value.get("up_to") is None:
        raise ValueError("must be a length of time, such as 10m, or { up_to: 10m, stable: true }")
    return Jitter(duration_seconds(value["up_to"]), flag(value.get("stable", False)))


def followed(value: Any) -> After:
    """The name of a task, or `{task: NAME, state: failed}`."""
    if not isinstance(value, Mapping):
        return After(object_name(value))
    unknown = [key for key in value if key not in ("task", "state")]
    if unknown or value.get("task") is None:
        raise ValueError("must be the name of a task, or { task: NAME, state: failed }")
    return After(object_name(value["task"]), one_of(STATES)(value.get("state", "completed")))


def _a_second(value: float) -> float:
    if value < 1:
        raise ValueError("must be at least 1s")
    return value


Cron = Annotated[str, PlainValidator(cron)]
Calendar = Annotated[str, PlainValidator(calendar)]
Rule = Annotated[str, PlainValidator(rule)]
Moment = Annotated[datetime, PlainValidator(moment)]
DayOrMoment = Annotated[datetime | date, PlainValidator(day_or_moment)]


class GivenSchedule(Section):
    """What a task's and a window's schedule share: the kinds that stand on a calendar, and their bounds."""

    cron: Cron | None = None
    rrule: Rule | None = None
    calendar: Calendar | None = None
    dst_gap: Annotated[Gap, PlainValidator(one_of(GAPS))] = "shift"
    start: DayOrMoment | None = Field(None, alias="from")
    until: DayOrMoment | None = None

    def bounds(self, zone_name: str) -> tuple[datetime | None, datetime | None]:
        """The first and the last instant, read in that zone; an end that is a date is that whole day."""
        until = self.until
        if until is not None and not isinstance(until, datetime):
            until = datetime.combine(until + timedelta(days=1), time()) - timedelta(microseconds=1)
        start = self.start
        if start is not None and not isinstance(start, datetime):
            start = datetime.combine(start, time())
        return start and _at_or_after(start, zone_name), until and _at_or_after(until, zone_name)

    def zone_said(self) -> str | None:
        """The zone at the end of a `calendar`."""
        return None if self.calendar is None else split_zone(self.calendar)[1]

    def on_calendar(self, zone_name: str) -> Schedule:
        """The part of the core's schedule that stands here."""
        start, until = self.bounds(zone_name)
        expression = None if self.calendar is None else split_zone(self.calendar)[0]
        return Schedule(
            cron=self.cron,
            rrule=self.rrule,
            calendar=expression,
            timezone=zone_name,
            start=start,
            until=until,
            dst_gap=self.dst_gap,
        )

    def problems_of(self, schedule: Schedule, at: datetime | None) -> Iterator[tuple[str, str]]:
        """What is wrong with the keys taken together: each key, and what to say of it."""
        if at is not None:
            for key, value in (("from", self.start), ("until", self.until)):
                if value is not None:
                    yield key, "has no meaning beside `at`: remove it"
            return
        if self.rrule is not None:
            start = schedule.start and wall_of(schedule.start, ZoneInfo(schedule.timezone))
            problem = _rule_problem(self.rrule, start, schedule.timezone)
            if problem:
                yield "rrule", f'cannot use rrule "{shown(self.rrule)}": {problem}'
                return
        if schedule.start and schedule.until and schedule.until < schedule.start:
            yield "until", f"lies before `from` ({schedule.start:%Y-%m-%d %H:%M} UTC): it would never come"
        elif (schedule.start or schedule.until) and not _comes(schedule):
            yield "until" if schedule.until else "from", "leaves nothing: it never comes between `from` and `until`"


class TaskSchedule(GivenSchedule):
    """schedule: of a task: exactly one of TASK_CHOICES."""

    every: Annotated[Seconds, AfterValidator(_a_second)] | None = None
    since: Annotated[str, PlainValidator(one_of(SINCES))] | None = None
    window: Annotated[str, PlainValidator(object_name)] | None = None
    after: Annotated[After, PlainValidator(followed)] | None = None
    timezone: Zone | None = None
    at: Moment | None = None
    jitter: Annotated[Jitter, PlainValidator(spread)] | None = None
    catch_up: Annotated[CatchUp, PlainValidator(one_of(CATCH_UPS))] = "one"
    misfire_grace: Annotated[Seconds, AfterValidator(_a_second)] | None = None

    @field_validator("at")
    @classmethod
    def _to_utc(cls, value: datetime | None, info: ValidationInfo) -> datetime | None:
        zone_name = info.data.get("timezone")
        if value and value.tzinfo and zone_name:
            raise ValueError("has its own offset, beside which `timezone` has no meaning: remove one of the two")
        return value and instant(value, zone_name or "UTC")

    def schedule(self) -> Schedule:
        """The schedule as the core takes it."""
        return replace(
            self.on_calendar(self.zone_said() or self.timezone or "UTC"),
            every_seconds=self.every,
            at=self.at,
            window=self.window,
            after=self.after,
            since_end=self.since == "end",
            jitter=self.jitter,
            catch_up=self.catch_up,
            misfire_grace_seconds=self.misfire_grace,
        )

    def problems(self) -> Iterator[tuple[str, str]]:
        """What is wrong with the keys taken together: each key, and what to say of it."""
        kind = next((name for name in ("every", "window", "after") if getattr(self, name) is not None), None)
        if kind is not None and self.timezone is not None and (kind == "window" or not self._reads_bounds()):
            yield "timezone", f"has no meaning beside `{kind}`: remove it"
        if kind != "every" and self.since is not None:
            yield "since", "has a meaning beside `every` only: remove it"
        if self.timezone is not None and self.zone_said() is not None:
            yield "timezone", f"is said by `calendar` already ({self.zone_said()}): remove one of the two"
        if kind == "window" and self.misfire_grace is not None:
            yield "misfire_grace", "has no meaning beside `window`: what is due there may start until the cutoff"
        if self.dst_gap != "shift" and (kind is not None or self.at is not None):
            yield "dst_gap", "has a meaning beside cron, rrule and calendar only: remove it"
        schedule = self.schedule()
        yield from self.problems_of(schedule, self.at)
        if self.jitter is not None and (problem := _jitter_problem(schedule, self.jitter)):
            yield "jitter", problem

    def _reads_bounds(self) -> bool:
        bounds = [bound for bound in (self.start, self.until) if bound is not None]
        return any(not isinstance(bound, datetime) or bound.tzinfo is None for bound in bounds)


class WindowSchedule(GivenSchedule):
    """schedule: of a window: exactly one of WINDOW_CHOICES; its zone stands beside it."""

    LATER: ClassVar[Mapping[str, str]] = {
        "timezone": "stands one level higher in a window: move it beside `schedule`",
        "every": "cannot open a window: use `cron` or `at`",
    }

    at: Moment | None = None

    def schedule(self, zone_name: str) -> Schedule:
        """The schedule as the core takes it. Raises ValueError for a wall time that does not exist in the zone."""
        at = self.at and instant(self.at, zone_name)
        return replace(self.on_calendar(self.zone_said() or zone_name), at=at)

    def problems(self, zone_name: str | None) -> Iterator[tuple[str, str]]:
        """What is wrong with the keys taken together: each key, and what to say of it."""
        if zone_name is not None and self.zone_said() not in (None, zone_name):
            yield "calendar", f"says {self.zone_said()}, and the window's `timezone` is {zone_name}: remove one"
        yield from self.problems_of(self.schedule(zone_name or "UTC"), self.at)


def _at_or_after(value: datetime, zone_name: str) -> datetime:
    """`value` as an instant; a wall time that the clocks leap over is where they arrive."""
    if value.tzinfo is not None:
        return value.astimezone(UTC)
    return value.replace(tzinfo=ZoneInfo(zone_name), fold=0).astimezone(UTC)


@lru_cache(maxsize=1024)
def _rule_problem(expression: str, start: datetime | None, zone_name: str) -> str | None:
    return check_rrule(expression, start, zone_name)


def _comes(schedule: Schedule) -> bool:
    if schedule.window is not None or schedule.waits_for_an_end:
        return True
    return next_after(schedule, datetime(FIRST_YEAR, 1, 1, tzinfo=UTC)) is not None


def _jitter_problem(schedule: Schedule, jitter: Jitter) -> str | None:
    """More than there is between two occurrences would bring them out of their order."""
    if jitter.up_to_seconds > LONGEST_JITTER_SECONDS:
        return "must be at most 24h"
    if schedule.every_seconds is not None:
        shortest: float | None = schedule.every_seconds
    else:
        shortest = _shortest_distance(replace(schedule, jitter=None))
    if shortest is None or jitter.up_to_seconds < shortest:
        return None
    return f"must be shorter than the time from one occurrence to the next, which can be {shortest:g} s"


@lru_cache(maxsize=1024)
def _shortest_distance(schedule: Schedule) -> float | None:
    """Of the first few occurrences, in seconds; None for what has no calendar of its own."""
    found: list[datetime] = []
    following = next_after(schedule, schedule.start or datetime(2026, 1, 1, tzinfo=UTC))
    while following is not None and len(found) < DISTANCES:
        found.append(following)
        following = next_after(schedule, following, following)
    return min(((later - earlier).total_seconds() for earlier, later in pairwise(found)), default=None)


def doubt_of_days(expression: str | None) -> str | None:
    """What may surprise in a cron expression: days of the month and of the week, either of which is enough."""
    fields = (expression or "").split()
    if len(fields) != 5 or fields[2].startswith("*") or fields[4].startswith("*"):
        return None
    return (
        f'cron "{expression}" names days of the month ({fields[2]}) and of the week ({fields[4]}): '
        "it comes when either of them matches, not both"
    )


def doubt_of_zone(expression: str | None, zone_name: str | None) -> str | None:
    """What may surprise in a wall time without a zone."""
    fields = ALIASES.get((expression or "").strip().lower(), expression or "").split()
    if zone_name or len(fields) != 5 or fields[1].startswith("*"):
        return None
    return f'cron "{expression}" {IN_UTC}'


def doubt_of_hours(schedule: Schedule, zone_name: str | None) -> tuple[str, str] | None:
    """What may surprise in a `calendar` or `rrule` without a zone: the key, and what to say."""
    if zone_name:
        return None
    if schedule.calendar is not None and len(parse(schedule.calendar).hours) < HOURS:
        return "calendar", f'calendar "{schedule.calendar}" {IN_UTC}'
    if schedule.rrule is not None and not ("HOURLY" in schedule.rrule.upper() or "MINUTELY" in schedule.rrule.upper()):
        return "rrule", f'rrule "{schedule.rrule}" {IN_UTC}'
    return None
