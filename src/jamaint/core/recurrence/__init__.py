"""Recurrence: from a schedule and a moment to the next instant, in UTC. One file a kind, and here their list."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from jamaint.core.recurrence import at, cron, every, external, oncalendar, rrule
from jamaint.core.recurrence.schedule import After, Jitter, Schedule
from jamaint.core.recurrence.wall_time import MOVED, comes_twice

__all__ = ["KINDS", "After", "Jitter", "Schedule", "change_at", "next_after"]

Next = Callable[[Schedule, datetime, datetime | None], datetime | None]

KINDS: Mapping[str, Next] = {
    "cron": cron.next_after,
    "every_seconds": every.next_after,
    "at": at.next_after,
    "window": external.next_after,
    "after": external.next_after,
    "rrule": rrule.next_after,
    "calendar": oncalendar.next_after,
}
"""By the field of a Schedule that says it."""

_TICK = timedelta(microseconds=1)


def next_after(schedule: Schedule, moment: datetime, last: datetime | None = None) -> datetime | None:
    """The first instant after `moment` at which `schedule` is due, or None if there is none any more.

    `last` is when an interval was due last, or ended; without it, it counts from its start or from `moment`.
    """
    if schedule.start is not None and moment < schedule.start:
        moment = schedule.start - _TICK
    for field, following in KINDS.items():
        if getattr(schedule, field) is not None:
            found = following(schedule, moment, last)
            return None if found is None or (schedule.until is not None and found > schedule.until) else found
    return None


def change_at(schedule: Schedule, instant: datetime) -> str | None:
    """What a change of the clocks does to the occurrence at `instant`: MOVED out of a gap, REPEATED is the first of two
    times of that name; None: nothing."""
    if schedule.cron is None and schedule.calendar is None and schedule.rrule is None:
        return None
    if next_after(schedule, instant - _TICK) != instant:  # an opening that begins with the end of an exclusion
        return None
    if schedule.dst_gap == "shift" and next_after(replace(schedule, dst_gap="skip"), instant - _TICK) != instant:
        return MOVED
    return comes_twice(instant, ZoneInfo(schedule.timezone))
