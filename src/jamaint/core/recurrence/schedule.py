"""What a schedule is: one way in which a task comes due or a window opens, and what bounds and spreads it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

CatchUp = Literal["none", "one", "all"]
Gap = Literal["shift", "skip"]
CATCH_UPS: tuple[CatchUp, ...] = ("none", "one", "all")
GAPS: tuple[Gap, ...] = ("shift", "skip")


@dataclass(frozen=True, slots=True)
class After:
    """Due when `task` ends in `state`; `any` is whichever it ends in."""

    task: str
    state: str = "completed"


@dataclass(frozen=True, slots=True)
class Jitter:
    """By how much a task comes later than its schedule says: up to so many seconds, the same each time if `stable`."""

    up_to_seconds: float
    stable: bool = False


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a task comes due, or a window opens: exactly one of the kinds.

    `window` names a window: due at each of its openings. `timezone` is the zone of wall times (`cron`, `rrule`,
    `calendar`). Nothing comes before `start` nor after `until`; an interval counts from `start`. `since_end`: an
    interval counts from the end of the last execution.
    """

    cron: str | None = None
    every_seconds: float | None = None
    at: datetime | None = None
    window: str | None = None
    timezone: str = "UTC"
    after: After | None = None
    rrule: str | None = None
    calendar: str | None = None
    since_end: bool = False
    start: datetime | None = None
    until: datetime | None = None
    jitter: Jitter | None = None
    catch_up: CatchUp = "one"
    misfire_grace_seconds: float | None = None
    dst_gap: Gap = "shift"

    @property
    def waits_for_an_end(self) -> bool:
        """Its next time is not known before an execution has ended."""
        return self.since_end or self.after is not None
