"""dependency: whether the tasks that must have ended before have done so."""

from datetime import datetime
from typing import NamedTuple

from jamaint.core.executions import Execution, State
from jamaint.core.guards.guard import Verdict, View, Waiting, clock
from jamaint.core.tasks import Dependency


class _Unmet(NamedTuple):
    """Why a dependency does not hold; `passes` when the other task is about to run or runs: what follows waits."""

    detail: str
    passes: bool = False


def judge(waiting: Waiting, view: View) -> Verdict:
    """All that is missing is told at once; what one of them gives up is given up."""
    details, is_over = [], waiting.by_request
    for dependency in waiting.task.dependencies:
        against = _unmet(dependency, waiting.execution.scheduled_for, view)
        if against is not None:
            skips = dependency.on_failure == "skip" and not against.passes
            details.append(f"{against.detail}, so this is skipped (on_failure: skip)" if skips else against.detail)
            is_over = is_over or skips
    if details:
        return Verdict("dependency", "refuse" if is_over else "wait", "; ".join(details))
    count = len(waiting.task.dependencies)
    return Verdict("dependency", "pass", f"{count} met" if count else "there are none")


def _unmet(dependency: Dependency, scheduled_for: datetime, view: View) -> _Unmet | None:
    name = dependency.task
    due_since = _due_since(name, view)
    if name in view.tasks:
        return _Unmet(f"{name} is still running", passes=True)
    if due_since is not None and due_since <= scheduled_for:  # its newest execution is the one that waits
        return _Unmet(f"{name} has been due since {clock(due_since)} and has not run", passes=True)
    detail = _past_unmet(dependency, view)
    again = (view.retries or {}).get(name)
    if detail is not None and again is not None:
        return _Unmet(f"{detail}, and is tried again at {clock(again)}", passes=True)
    unable = view.snapshot.unable.get(name)
    return None if detail is None else _Unmet(detail if unable is None else f"{detail}, and {name} {unable}")


def _past_unmet(dependency: Dependency, view: View) -> str | None:
    """What the other task's past says against it."""
    name, state, within = dependency.task, dependency.state, dependency.within_seconds
    last, skipped = view.snapshot.ended.get(name), view.snapshot.skipped.get(name)
    if skipped is not None and _is_newer(skipped, last):
        reason = next((str(reason["detail"]) for reason in skipped.reasons if reason["verdict"] != "pass"), "")
        return f"{name} was skipped at {clock(skipped.completed_at)}" + (f" ({reason})" if reason else "")
    if last is None or last.completed_at is None:
        return f"{name} has not run yet"
    if last.status is not State(state):
        return f"{name} ended {last.status.value} at {clock(last.completed_at)}, {state} is required"
    if within is not None and (view.now - last.completed_at).total_seconds() > within:
        return f"{name} was {state} at {clock(last.completed_at)}, longer ago than is required"
    return None


def _is_newer(skipped: Execution, last: Execution | None) -> bool:
    """One that was skipped while another ran is made up for by that one's end."""
    if skipped.completed_at is None or last is None or last.completed_at is None:
        return skipped.completed_at is not None
    return skipped.completed_at > last.completed_at


def _due_since(task: str, view: View) -> datetime | None:
    """Since when it has been due and waits; one that failed and is to be tried again is told of in `view.retries`."""
    if view.due_since is None:
        view.due_since, view.retries = {}, {}
        for waiting in view.snapshot.waiting:
            due = waiting.execution.scheduled_for
            told = view.retries if waiting.execution.trigger == "retry" else view.due_since
            told[waiting.task.name] = min(due, told.get(waiting.task.name, due))
    return view.due_since.get(task)
