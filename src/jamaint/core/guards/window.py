"""window: whether the window that is asked for is open, lets this type of task in, and is not past its cutoff."""

from jamaint.core.guards.guard import Verdict, View, Waiting, clock


def judge(waiting: Waiting, view: View) -> Verdict:
    name = waiting.execution.window_name
    if name is None:
        return Verdict("window", "pass", "no window is asked for")
    opening = view.snapshot.openings.get(name)
    if opening is None:
        return Verdict("window", "refuse" if waiting.by_request else "wait", f"window {name} is closed")
    allowed = opening.window.allowed_tasks
    if allowed and waiting.task.type not in allowed:
        detail = f"window {name} allows {', '.join(allowed)}, and {waiting.task.name} is of type {waiting.task.type}"
        return Verdict("window", "refuse", detail)
    if view.now >= opening.starts_until:
        detail = f"window {name} lets nothing start after {clock(opening.starts_until)} (cutoff before its end)"
        return Verdict("window", "refuse", detail)
    return Verdict("window", "pass", f"window {name} is open until {clock(opening.end)}")
