"""window: whether the window that is asked for is open, lets this type of task in, and is not past its cutoff."""

from jamaint.core.calendar.periods import end_of
from jamaint.core.calendar.windows import scheduled_at
from jamaint.core.guards.guard import Verdict, View, Waiting, clock


def judge(waiting: Waiting, view: View) -> Verdict:
    name = waiting.execution.window_name
    if name is None:
        return Verdict("window", "pass", "it needs no window")
    opening = view.snapshot.openings.get(name)
    if opening is None:
        return _closed(waiting, name, view)
    allowed = opening.window.allowed_tasks
    if allowed and waiting.task.type not in allowed:
        detail = f"window {name} allows {', '.join(allowed)}, and {waiting.task.name} is of type {waiting.task.type}"
        return Verdict("window", "refuse", detail)
    if view.now >= opening.starts_until:
        detail = f"window {name} starts nothing after {clock(opening.starts_until)} (cutoff before its end)"
        return Verdict("window", "refuse", detail)
    return Verdict("window", "pass", f"window {name} is open until {clock(opening.end)}")


def _closed(waiting: Waiting, name: str, view: View) -> Verdict:
    """Closed now; where an opening was skipped, or an exclusion is cut out of one, that is why."""
    verdict = "refuse" if waiting.by_request else "wait"
    window = view.snapshot.windows.get(name)
    for opening in () if window is None else scheduled_at(window, view.now):
        by = opening.window.skipped.get(opening.start)
        if by is not None:
            detail = f"window {name}: its opening at {clock(opening.start)} was skipped by {by}"
            return Verdict("window", "refuse", detail)
        until = end_of(opening.window.exclusions, view.now)
        if until is not None:
            return Verdict("window", verdict, f"window {name} is closed by an exclusion until {clock(until)}")
    return Verdict("window", verdict, f"window {name} is closed")
