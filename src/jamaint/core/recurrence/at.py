"""at: one moment."""

from datetime import datetime

from jamaint.core.recurrence.schedule import Schedule


def next_after(schedule: Schedule, moment: datetime, _last: datetime | None) -> datetime | None:
    """That moment, if it is yet to come."""
    return schedule.at if schedule.at is not None and schedule.at > moment else None
