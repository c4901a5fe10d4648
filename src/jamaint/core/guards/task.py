"""task: whether the task is enabled, and not paused."""

from jamaint.core.guards.guard import Verdict, View, Waiting, clock

QUARANTINED = "the daemon died during each of its last runs; fix the task, then enable it again"


def judge(waiting: Waiting, view: View) -> Verdict:
    if not waiting.task.enabled:
        return Verdict("task", "refuse", _disabled(waiting.task.name, waiting.task.origin))
    since = waiting.task.quarantined_at
    if since is not None:
        return Verdict(
            "task", "refuse", f"{waiting.task.name} has been quarantined since {clock(since)}: {QUARANTINED}"
        )
    if waiting.paused_until is not None and view.now < waiting.paused_until and not waiting.by_request:
        return Verdict(
            "task", "refuse", f"{waiting.task.name} is paused until {clock(waiting.paused_until)} (by hand it runs)"
        )
    return Verdict("task", "pass", f"{waiting.task.name} is enabled")


def _disabled(name: str, origin: str) -> str:
    """What is defined in a file is enabled there alone; one that was taken out of it is disabled, too."""
    if origin == "file":
        return f"{name} is disabled in the configuration or no longer defined there"
    return f"{name} is disabled or no longer defined (`jamaintctl task enable {name}` enables it)"
