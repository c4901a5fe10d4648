"""retry: whether the time of a further attempt has come, and whether it is still wanted."""

from jamaint.core.executions import State
from jamaint.core.guards.guard import Verdict, View, Waiting, clock


def judge(waiting: Waiting, view: View) -> Verdict:
    execution, task = waiting.execution, waiting.task
    if execution.trigger != "retry":
        return Verdict("retry", "pass", "first attempt")
    which = f"attempt {execution.attempt} of {task.retry.attempts}"
    last = view.snapshot.ended.get(task.name)
    if last is not None and last.status is State.COMPLETED and last.id != execution.retry_of:
        return Verdict("retry", "refuse", f"{task.name} has completed since, at {clock(last.completed_at)}")
    if view.now < execution.scheduled_for:
        return Verdict("retry", "wait", f"{which} comes at {clock(execution.scheduled_for)}")
    return Verdict("retry", "pass", which)
