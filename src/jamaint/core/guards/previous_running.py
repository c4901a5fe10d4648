"""previous_running: whether the task runs already, and what it says is to become of another execution then."""

from datetime import datetime

from jamaint.core.guards.guard import Verdict, View, Waiting, clock


def judge(waiting: Waiting, view: View) -> Verdict:
    name, overlap = waiting.task.name, waiting.task.overlap
    if overlap == "cancel_older":
        newest = _newest_due(name, view)
        if newest is not None and newest > waiting.execution.scheduled_for:
            detail = f"{name} has been due again at {clock(newest)}, and the older one makes way"
            return Verdict("previous_running", "refuse", detail)
    if name not in view.tasks:
        return Verdict("previous_running", "pass", f"{name} is not running")
    if overlap == "queue":
        return Verdict("previous_running", "wait", f"{name} is running already, and this one queues up behind it")
    if overlap == "cancel_older":
        return Verdict("previous_running", "wait", f"{name} is running still, and is being stopped for this one")
    if waiting.catches_up and waiting.task.schedule is not None and waiting.task.schedule.catch_up == "all":
        return Verdict("previous_running", "wait", f"{name} is running already, and this one is caught up on after it")
    return Verdict("previous_running", "refuse", f"{name} is running already")


def _newest_due(task: str, view: View) -> datetime | None:
    if view.newest_due is None:
        view.newest_due = {}
        for waiting in view.snapshot.waiting:
            due = waiting.execution.scheduled_for
            if waiting.execution.trigger != "retry":  # what is tried again is older than it looks
                view.newest_due[waiting.task.name] = max(due, view.newest_due.get(waiting.task.name, due))
    return view.newest_due.get(task)
