"""every: an interval of elapsed time, that keeps its beat, or counts from the end of what ran last."""

from datetime import datetime, timedelta

from jamaint.core.recurrence.schedule import Schedule


def next_after(schedule: Schedule, moment: datetime, last: datetime | None) -> datetime | None:
    """The first instant after `moment` on the beat of `last`, of the schedule's start, or else of `moment`.

    One that counts from an end comes once after `last`, which is that end.
    """
    step = timedelta(seconds=schedule.every_seconds or 0)
    if schedule.since_end:
        return (last or moment) + step
    if schedule.start is not None:
        if schedule.start > moment:
            return schedule.start
        last = schedule.start
    if last is None or last > moment:
        return moment + step
    # In whole microseconds: seconds as floats would now and then answer with `moment` itself.
    return last + ((moment - last) // step + 1) * step
