"""condition: whether the facts that the task and its window ask for hold."""

from collections.abc import Mapping

from jamaint.core.conditions import unmet
from jamaint.core.guards.guard import Verdict, View, Waiting
from jamaint.core.tasks import Condition
from jamaint.core.windows import Opening


def judge(waiting: Waiting, view: View) -> Verdict:
    conditions = conditions_of(waiting, view.snapshot.openings)
    for condition in conditions:
        against = unmet(condition, view.snapshot.facts)
        if against is not None:
            return Verdict("condition", "refuse" if waiting.by_request else "wait", against)
    return Verdict("condition", "pass", f"{len(conditions)} met" if conditions else "there are none")


def conditions_of(waiting: Waiting, openings: Mapping[str, Opening]) -> tuple[Condition, ...]:
    """What must hold for it: its task's conditions, and those of the open window that it is to run in."""
    opening = openings.get(waiting.execution.window_name or "")
    return waiting.task.conditions if opening is None else (*waiting.task.conditions, *opening.window.conditions)
