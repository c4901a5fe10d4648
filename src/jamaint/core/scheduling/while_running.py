"""Changes to a running execution, from the conditions that its task has checked meanwhile."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

from jamaint.core.conditions import Facts, judge
from jamaint.core.tasks import Condition


class Course(NamedTuple):
    """What a running execution is to do now, and why where it is not to go on."""

    what: Literal["go on", "pause", "abort"]
    why: str = ""


def watched(conditions: Iterable[Condition]) -> tuple[Condition, ...]:
    """Those that are looked at again while the task runs."""
    return tuple(condition for condition in conditions if condition.while_running is not None)


def course(conditions: Iterable[Condition], facts: Facts) -> Course:
    """The gravest that a condition which does not hold asks for; what is still being looked at asks for nothing."""
    against: dict[str, list[str]] = {"abort": [], "pause": []}
    for condition in watched(conditions):
        found = judge(condition, facts)
        if not found.holds and not found.is_pending:
            against[str(condition.while_running)].append(found.says)
    if against["abort"]:
        return Course("abort", "; ".join(against["abort"]))
    return Course("pause", "; ".join(against["pause"])) if against["pause"] else Course("go on")
