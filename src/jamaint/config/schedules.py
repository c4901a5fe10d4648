"""Schedules as they stand in the file: when a task comes due, or a window opens."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, ClassVar
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, PlainValidator, ValidationInfo, field_validator

from jamaint.config.fields import Seconds, Section, Zone, object_name
from jamaint.config.units import shown, text
from jamaint.core.recurrence import ALIASES, Schedule, check_cron

TASK_CHOICES = ("cron", "every", "at", "window")
WINDOW_CHOICES = ("cron", "at")
NOT_YET = "is not carried out by this version: remove it"
CRON_LIMIT = 256
FIRST_YEAR, LAST_YEAR = 1970, 9998

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


def instant(value: datetime, zone: str) -> datetime:
    """`value` in UTC, read in `zone` if it has no offset. Raises ValueError for a wall time that the clocks leap over.

    Of a wall time that comes twice, the first is meant.
    """
    if value.tzinfo is not None:
        return value.astimezone(UTC)
    found = value.replace(tzinfo=ZoneInfo(zone), fold=0).astimezone(UTC)
    if found.astimezone(ZoneInfo(zone)).replace(tzinfo=None) != value:
        raise ValueError(f"there is no {value:%H:%M} in {zone} on {value:%Y-%m-%d}: the clocks go forward over it")
    return found


def _a_second(value: float) -> float:
    if value < 1:
        raise ValueError("must be at least 1s")
    return value


Cron = Annotated[str, PlainValidator(cron)]
Moment = Annotated[datetime, PlainValidator(moment)]


class TaskSchedule(Section):
    """schedule: of a task: exactly one of TASK_CHOICES."""

    LATER: ClassVar[Mapping[str, str]] = dict.fromkeys(("after", "jitter", "catch_up", "rrule", "calendar"), NOT_YET)

    cron: Cron | None = None
    every: Annotated[Seconds, AfterValidator(_a_second)] | None = None
    window: Annotated[str, PlainValidator(object_name)] | None = None
    timezone: Zone | None = None
    at: Moment | None = None

    @field_validator("timezone")
    @classmethod
    def _of_a_wall_time(cls, value: str | None, info: ValidationInfo) -> str | None:
        for choice in ("every", "window"):
            if value and info.data.get(choice):
                raise ValueError(f"has no meaning beside `{choice}`: remove it")
        return value

    @field_validator("at")
    @classmethod
    def _to_utc(cls, value: datetime | None, info: ValidationInfo) -> datetime | None:
        zone = info.data.get("timezone")
        if value and value.tzinfo and zone:
            raise ValueError("has its own offset, beside which `timezone` has no meaning: remove one of the two")
        return value and instant(value, zone or "UTC")

    def schedule(self) -> Schedule:
        """The schedule as the core takes it."""
        return Schedule(self.cron, self.every, self.at, self.window, self.timezone or "UTC")


class WindowSchedule(Section):
    """schedule: of a window: exactly one of WINDOW_CHOICES; its zone stands beside it."""

    LATER: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("rrule", "calendar"), NOT_YET),
        "timezone": "stands one level higher in a window: move it beside `schedule`",
        "every": "cannot open a window: use `cron` or `at`",
    }

    cron: Cron | None = None
    at: Moment | None = None

    def schedule(self, zone: str) -> Schedule:
        """The schedule as the core takes it. Raises ValueError for a wall time that does not exist in `zone`."""
        return Schedule(cron=self.cron, at=self.at and instant(self.at, zone), timezone=zone)


def doubt_of_days(expression: str | None) -> str | None:
    """What may surprise in a cron expression: days of the month and of the week, either of which is enough."""
    fields = (expression or "").split()
    if len(fields) != 5 or fields[2].startswith("*") or fields[4].startswith("*"):
        return None
    return (
        f'cron "{expression}" names days of the month ({fields[2]}) and of the week ({fields[4]}): '
        "it comes when either of them matches, not both"
    )


def doubt_of_zone(expression: str | None, zone: str | None) -> str | None:
    """What may surprise in a wall time without a zone."""
    fields = ALIASES.get((expression or "").strip().lower(), expression or "").split()
    if zone or len(fields) != 5 or fields[1].startswith("*"):
        return None
    return f'cron "{expression}" is read in UTC: say `timezone: Asia/Jakarta`, or `UTC` if that is meant'
