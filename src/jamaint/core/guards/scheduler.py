"""scheduler: whether anything may start at all."""

from jamaint.core.guards.guard import Verdict, View, Waiting

DRAIN_OFF = "jamaintctl drain --off"
"""The command after which a draining daemon starts tasks again."""


def judge(waiting: Waiting, view: View) -> Verdict:
    if view.snapshot.draining:
        verdict = "refuse" if waiting.by_request else "wait"
        return Verdict("scheduler", verdict, f"the daemon is draining: nothing starts until `{DRAIN_OFF}` or a restart")
    if not view.snapshot.enabled and not waiting.by_request:
        return Verdict("scheduler", "wait", "the scheduler is switched off (enabled or scheduler.enabled: false)")
    return Verdict("scheduler", "pass", "the scheduler is active")
