"""previous_running: whether the task runs already, and what it says is to become of another execution then."""

from datetime import datetime

from jamaint.core.guards.guard import Verdict, View, Waiting, clock


def judge(waiting: Waiting, view: View) -> Verdict:
    name, overlap = waiting.task.name, waiting.task.overlap
    if overlap == "cancel_older":
        newest = _newest_due(name, view)
        if newest is not None and newest > waiting.execution.scheduled_for:
            detail = f"{name} has been due again at {clock(newest)}, and the older run is stopped for it"
            return Verdict("previous_running", "refuse", detail)
    if name not in view.tasks:
        return Verdict("previous_running", "pass", f"{name} is not running")
    if overlap == "queue":
        return Verdict("previous_running", "wait", f"{name} is already running; this one is queued behind it")
    if overlap == "cancel_older":
        return Verdict("previous_running", "wait", f"{name} is still running and is being stopped for this one")
    return _skipped(waiting, view)


def _skipped(waiting: Waiting, view: View) -> Verdict:
    """The verdict under `overlap: skip`, where only what is caught up on waits."""
    name, schedule = waiting.task.name, waiting.task.schedule
    if waiting.catches_up and schedule is not None and schedule.catch_up == "all":
        return Verdict("previous_running", "wait", f"{name} is already running; this one runs after it")
    goes_on = ": it continues where its window paused it" if _goes_on(name, view) else ""
    return Verdict("previous_running", "refuse", f"{name} is already running{goes_on}")


def _goes_on(task: str, view: View) -> bool:
    """Whether what runs of the task stood still at its window's end and has not been resumed yet."""
    return any(
        one.task.name == task
        and one.task.on_window_end == "pause"
        and one.opening_end is not None
        and one.opening_end <= view.now
        for one in view.snapshot.running.values()
    )


def _newest_due(task: str, view: View) -> datetime | None:
    if view.newest_due is None:
        view.newest_due = {}
        for waiting in view.snapshot.waiting:
            due = waiting.execution.scheduled_for
            if waiting.execution.trigger != "retry":  # what is tried again is older than it looks
                view.newest_due[waiting.task.name] = max(due, view.newest_due.get(waiting.task.name, due))
    return view.newest_due.get(task)
