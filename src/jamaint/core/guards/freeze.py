"""freeze: whether nothing may start now, whatever windows and schedules say."""

from jamaint.core.guards.guard import Verdict, View, Waiting, clock


def judge(waiting: Waiting, view: View) -> Verdict:
    execution = waiting.execution
    for state in view.snapshot.freezes:
        freeze = state.freeze
        if not state.holds or not freeze.scope.covers(waiting.task, execution.window_name):
            continue
        told = f" ({freeze.description})" if freeze.description else ""
        ends = "for ever" if state.changes_at is None else f"until {clock(state.changes_at)}"
        # It starts when the freeze ends, if it still may then; else it is told at once that it will not.
        in_time = state.changes_at is not None and (execution.deadline is None or state.changes_at < execution.deadline)
        verdict = "wait" if in_time and not waiting.by_request else "refuse"
        return Verdict("freeze", verdict, f"freeze {freeze.name}{told} holds {ends}")
    return Verdict("freeze", "pass", "no freeze holds")
