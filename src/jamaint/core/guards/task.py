"""task: whether the task is enabled, and not paused."""

from jamaint.core.guards.guard import Verdict, View, Waiting, clock

QUARANTINED = "the daemon died each of the last times that it ran; mend it, and enable it again"


def judge(waiting: Waiting, view: View) -> Verdict:
    if not waiting.task.enabled:
        return Verdict("task", "refuse", f"{waiting.task.name} is disabled, or not defined any more")
    since = waiting.task.quarantined_at
    if since is not None:
        return Verdict("task", "refuse", f"{waiting.task.name} is in quarantine since {clock(since)}: {QUARANTINED}")
    if waiting.paused_until is not None and view.now < waiting.paused_until and not waiting.by_request:
        return Verdict(
            "task", "refuse", f"{waiting.task.name} is paused until {clock(waiting.paused_until)} (by hand it runs)"
        )
    return Verdict("task", "pass", f"{waiting.task.name} is enabled")
