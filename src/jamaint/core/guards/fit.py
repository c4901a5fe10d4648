"""fit: whether it would end in time: before its window closes, and before a freeze begins that is about it."""

from datetime import datetime, timedelta

from jamaint.core.estimates import expected
from jamaint.core.guards.guard import Verdict, View, Waiting, clock, span


def judge(waiting: Waiting, view: View) -> Verdict:
    ends, until = _ends(waiting, view)
    if ends is None:
        return Verdict("fit", "pass", "no window or freeze limits the run time")
    estimate = expected(waiting.task, view.snapshot.durations.get(waiting.task.name, ()))
    if estimate is None:
        return Verdict("fit", "pass", "its duration is not known yet (set expected_duration)")
    takes = f"it takes {span(estimate.seconds)} ({estimate.source}), and {until}, in "
    left = (ends - view.now).total_seconds()
    if view.now + timedelta(seconds=estimate.seconds) <= ends:
        return Verdict("fit", "pass", takes + span(left))
    return Verdict("fit", "refuse" if waiting.by_request else "wait", takes + span(left))


def _ends(waiting: Waiting, view: View) -> tuple[datetime | None, str]:
    """By when it has to have ended, and what happens then."""
    found: list[tuple[datetime, str]] = []
    name = waiting.execution.window_name
    opening = None if name is None else view.snapshot.openings.get(name)
    if opening is not None and waiting.task.on_window_end != "pause":  # that goes on in the next opening
        found.append((opening.runs_until, f"window {name} closes at {clock(opening.runs_until)}"))
    found += [
        (state.changes_at, f"freeze {state.freeze.name} begins at {clock(state.changes_at)}")
        for state in view.snapshot.freezes
        if not state.holds and state.changes_at is not None and state.freeze.scope.covers(waiting.task, name)
    ]
    return min(found, default=(None, ""))
