"""condition: whether the facts that the task and its window ask for hold."""

from collections.abc import Mapping

from jamaint.core.calendar.windows import Opening
from jamaint.core.conditions import judge as judge_fact
from jamaint.core.guards.guard import Verdict, View, Waiting
from jamaint.core.tasks import Condition


def judge(waiting: Waiting, view: View) -> Verdict:
    """What does not hold is told, all of it; where all holds, the figures that were found."""
    conditions = conditions_of(waiting, view.snapshot.openings)
    found = [judge_fact(condition, view.snapshot.facts) for condition in conditions]
    against = [finding for finding in found if not finding.holds]
    if against:
        is_over = waiting.by_request and not all(finding.is_pending for finding in against)
        return Verdict("condition", "refuse" if is_over else "wait", "; ".join(one.says for one in against))
    return Verdict("condition", "pass", "; ".join(finding.says for finding in found) or "there are none")


def conditions_of(waiting: Waiting, openings: Mapping[str, Opening]) -> tuple[Condition, ...]:
    """What must hold for it: its task's conditions, and those of the open window that it is to run in."""
    opening = openings.get(waiting.execution.window_name or "")
    return waiting.task.conditions if opening is None else (*waiting.task.conditions, *opening.window.conditions)
