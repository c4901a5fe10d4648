"""window and after: the moments are not a schedule's own but an opening's start, and another task's end."""

from datetime import datetime

from jamaint.core.recurrence.schedule import Schedule


def next_after(_schedule: Schedule, _moment: datetime, _last: datetime | None) -> datetime | None:
    """None: core.scheduling.timetable asks the window, and is told of the end."""
    return None
