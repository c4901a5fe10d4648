"""concurrency: whether there is room at all."""

from jamaint.core.guards.guard import Verdict, View, Waiting


def judge(_waiting: Waiting, view: View) -> Verdict:
    return room(view.total, view.snapshot.max_concurrent)


def room(running: int, most: int) -> Verdict:
    """Whether one more may run."""
    return Verdict("concurrency", "wait" if running >= most else "pass", f"{running} of {most} executions run")
