"""Windows: when maintenance may start, for which tasks, and how many at a time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from jamaint.core.recurrence import Schedule, next_after
from jamaint.core.tasks import Condition, Origin


@dataclass(frozen=True, slots=True)
class Window:
    """One window as defined. Lengths are elapsed minutes: a change of the clocks makes none longer or shorter."""

    id: str
    name: str
    schedule: Schedule
    duration_minutes: int
    timezone: str
    allowed_tasks: tuple[str, ...]
    description: str = ""
    cutoff_minutes: int = 0
    max_concurrent_tasks: int = 3
    emergency_override: bool = False
    conditions: tuple[Condition, ...] = ()
    notifications: Mapping[str, Any] = field(default_factory=dict)
    enabled: bool = True
    origin: Origin = "file"
    definition: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Opening:
    """One time that a window is open: start <= moment < end; nothing starts from `starts_until` on."""

    window: Window
    start: datetime
    end: datetime

    @property
    def starts_until(self) -> datetime:
        """End less cutoff (the rule of AWS Systems Manager's maintenance windows)."""
        return self.end - timedelta(minutes=self.window.cutoff_minutes)


def opening_at(window: Window, moment: datetime) -> Opening | None:
    """The opening that contains `moment`, the latest begun if several do."""
    if not window.enabled:
        return None
    length = timedelta(minutes=window.duration_minutes)
    found: Opening | None = None
    # What started exactly `length` ago ends now: `next_after` leaves it out.
    start = next_after(window.schedule, moment - length)
    while start is not None and start <= moment:
        found = Opening(window, start, start + length)
        start = next_after(window.schedule, start)
    return found


def next_opening(window: Window, moment: datetime) -> Opening | None:
    """The first opening that starts after `moment`."""
    start = next_after(window.schedule, moment) if window.enabled else None
    return None if start is None else Opening(window, start, start + timedelta(minutes=window.duration_minutes))
