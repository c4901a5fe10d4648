"""previous_running: whether the task runs already."""

from jamaint.core.guards.guard import Verdict, View, Waiting


def judge(waiting: Waiting, view: View) -> Verdict:
    if waiting.task.name in view.tasks:
        return Verdict("previous_running", "refuse", f"{waiting.task.name} is running already")
    return Verdict("previous_running", "pass", f"{waiting.task.name} is not running")
