"""Tasks that can never start: by their window, whatever else is the case."""

from collections.abc import Iterable
from datetime import datetime

from jamaint.core.calendar.windows import Window, longest_minutes, next_opening, opening_at
from jamaint.core.estimates import Estimate
from jamaint.core.guards.guard import span
from jamaint.core.recurrence import next_after
from jamaint.core.tasks import Task


def not_allowed(task: Task, window: Window) -> str | None:
    """Return why the window lets no task of this type start, or None."""
    if not window.allowed_tasks or task.type in window.allowed_tasks:
        return None
    allowed = ", ".join(window.allowed_tasks)
    return f"window {window.name} allows {allowed}, so {task.name}, which is {task.type}, will never start in it"


def never_opens(task: Task, window: Window, now: datetime) -> str | None:
    """Return that the window neither is open nor opens again, or None."""
    if opening_at(window, now) is not None or next_opening(window, now) is not None:
        return None
    return f"window {window.name} never opens again, so {task.name} will not start in it: give it another schedule"


def never_comes(task: Task, now: datetime) -> str | None:
    """Return that nothing comes due any more by the task's own schedule, or None; what counts from an end may come."""
    schedule = task.schedule
    if schedule is None or schedule.window is not None or schedule.waits_for_an_end:
        return None
    if next_after(schedule, now, now) is not None:
        return None
    return f"{task.name} will not come due any more: its schedule lies in the past"


def never_fits(task: Task, window: Window, estimate: Estimate | None, longest: float | None) -> str | None:
    """Return why the task fits into no opening of its window, of which the longest has `longest` minutes, or None.

    A task that pauses at its window's end need not fit into one.
    """
    if estimate is None or longest is None or task.on_window_end == "pause" or estimate.seconds <= longest * 60:
        return None
    takes = f"{span(estimate.seconds)} ({estimate.source})"
    opens = f"no opening of window {window.name} is longer than {span(longest * 60)}"
    return f"{task.name} fits into no window: it takes {takes}, and {opens}"


def longest_if_needed(
    window: Window, windows: Iterable[Window], estimate: Estimate | None, now: datetime
) -> float | None:
    """Return the minutes of the longest opening to come, or None where the estimate fits into any of them."""
    if estimate is None or (estimate.seconds <= window.duration_minutes * 60 and not window.exclusions):
        return None
    return longest_minutes(window, windows, now)
