"""dependency: whether the tasks that must have ended before have done so."""

from datetime import datetime

from jamaint.core.executions import State
from jamaint.core.guards.guard import Verdict, View, Waiting, clock
from jamaint.core.tasks import Dependency


def judge(waiting: Waiting, view: View) -> Verdict:
    for dependency in waiting.task.dependencies:
        against = _dependency_unmet(dependency, waiting.execution.scheduled_for, view)
        if against is not None:
            return Verdict("dependency", "refuse" if waiting.by_request else "wait", against)
    count = len(waiting.task.dependencies)
    return Verdict("dependency", "pass", f"{count} met" if count else "there are none")


def _dependency_unmet(dependency: Dependency, scheduled_for: datetime, view: View) -> str | None:
    task, state, within = dependency.task, dependency.state, dependency.within_seconds
    last, due_since = view.snapshot.ended.get(task), _due_since(task, view)
    if task in view.tasks:
        return f"{task} is still running"
    if due_since is not None and due_since <= scheduled_for:  # its newest execution is the one that waits
        return f"{task} has been due since {clock(due_since)} and has not run"
    if last is None or last.completed_at is None:
        return f"{task} has not run yet"
    if last.status is not State(state):
        return f"{task} ended {last.status.value} at {clock(last.completed_at)}, {state} is asked for"
    if within is not None and (view.now - last.completed_at).total_seconds() > within:
        return f"{task} was {state} at {clock(last.completed_at)}, longer ago than is asked for"
    return None


def _due_since(task: str, view: View) -> datetime | None:
    if view.due_since is None:
        view.due_since = {}
        for waiting in view.snapshot.waiting:
            since = waiting.execution.scheduled_for
            view.due_since[waiting.task.name] = min(since, view.due_since.get(waiting.task.name, since))
    return view.due_since.get(task)
