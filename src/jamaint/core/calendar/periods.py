"""Periods: stretches of time that are named once, come again and again, or stand in a calendar of somebody else's."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from jamaint.core.recurrence import Schedule, next_after

Span = tuple[datetime, datetime]
"""From (included) and to (not included), both aware and in UTC."""

JOINED = 500
"""So many stretches that adjoin one another are joined; where they go on, their end is looked for anew then."""


@dataclass(frozen=True, slots=True)
class Periods:
    """Either `spans`, in order and apart from one another, or `duration_minutes` from each time `schedule` is due."""

    spans: tuple[Span, ...] = ()
    schedule: Schedule | None = None
    duration_minutes: int = 0


def apart(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same stretches in order, with what overlaps or adjoins made one; empty ones are left out."""
    found: list[Span] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return tuple(found)


def end_of(periods: Sequence[Periods], moment: datetime, enough: datetime | None = None) -> datetime | None:
    """When the stretch that holds `moment` ends, with all that adjoins it; None if none holds it. What comes after
    `enough` is not looked at."""
    end = moment
    for _ in range(JOINED):
        if enough is not None and end >= enough:
            break
        later = max((found for one in periods if (found := _end_of(one, end)) is not None), default=end)
        if later == end:
            break
        end = later
    return None if end == moment else end


def start_after(periods: Sequence[Periods], moment: datetime) -> datetime | None:
    """The first start of a stretch after `moment`."""
    return min((found for one in periods if (found := _start_after(one, moment)) is not None), default=None)


def _end_of(periods: Periods, moment: datetime) -> datetime | None:
    if periods.schedule is not None:
        return _end_of_recurring(periods.schedule, timedelta(minutes=periods.duration_minutes), moment)
    at = bisect_right(periods.spans, moment, key=lambda span: span[0]) - 1
    return periods.spans[at][1] if at >= 0 and moment < periods.spans[at][1] else None


def _end_of_recurring(schedule: Schedule, length: timedelta, moment: datetime) -> datetime | None:
    newest: datetime | None = None
    start = next_after(schedule, moment - length)  # what began exactly `length` ago has ended
    while start is not None and start <= moment:
        newest, start = start, next_after(schedule, start)
    return None if newest is None else newest + length


def _start_after(periods: Periods, moment: datetime) -> datetime | None:
    if periods.schedule is not None:
        return next_after(periods.schedule, moment)
    at = bisect_right(periods.spans, moment, key=lambda span: span[0])
    return periods.spans[at][0] if at < len(periods.spans) else None
