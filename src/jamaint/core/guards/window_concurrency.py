"""window_concurrency: whether there is room in the window."""

from jamaint.core.guards.guard import Verdict, View, Waiting


def judge(waiting: Waiting, view: View) -> Verdict:
    name = waiting.execution.window_name
    opening = None if name is None else view.snapshot.openings.get(name)
    if name is None:
        return Verdict("window_concurrency", "pass", "it needs no window")
    if opening is None:
        return Verdict("window_concurrency", "pass", f"nothing runs in window {name}")
    busy, room = view.by_window.get(name, 0), opening.window.max_concurrent_tasks
    if busy >= room:
        return Verdict("window_concurrency", "wait", f"{busy} of {room} run in window {name}")
    return Verdict("window_concurrency", "pass", f"{busy} of {room} run in window {name}")
