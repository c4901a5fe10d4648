"""The list: the facts of the machine that must hold right before a start, each with what it asks and how it judges."""

from collections.abc import Mapping

from jamaint.core.conditions import (
    command,
    disk_free,
    file,
    http,
    load_average,
    logged_in_users,
    mains_power,
    memory_available,
    postgresql,
    pressure,
    processor,
    tcp,
    unit,
)
from jamaint.core.conditions.condition import Facts, Finding, Kind, Unknown
from jamaint.core.tasks import Condition

__all__ = ["KINDS", "Facts", "Finding", "Unknown", "judge", "unmet"]

KINDS: Mapping[str, Kind] = {
    "load_average": load_average.KIND,
    "processor": processor.KIND,
    "memory_available": memory_available.KIND,
    "disk_free": disk_free.KIND,
    "pressure": pressure.KIND,
    "unit": unit.KIND,
    "file": file.KIND,
    "command": command.KIND,
    "http": http.KIND,
    "tcp": tcp.KIND,
    "postgresql": postgresql.KIND,
    "logged_in_users": logged_in_users.KIND,
    "mains_power": mains_power.KIND,
}


def judge(condition: Condition, facts: Facts) -> Finding:
    """Whether `condition` holds. What is unknown does not, unless the condition says so."""
    kind, found = KINDS[condition.kind], facts.answer(condition)
    if not isinstance(found, Unknown):
        return kind.judge(condition.params, found)
    if found.is_pending:
        return Finding(False, f"{kind.subject(condition.params)} is {found.why}", is_pending=True)
    says = f"{kind.subject(condition.params)} is unknown: {found.why}"
    return Finding(True, f"{says} (on_unknown: met)") if condition.unknown_is_met else Finding(False, says)


def unmet(condition: Condition, facts: Facts) -> str | None:
    """Why `condition` does not hold, with the figure that was found, or None if it holds."""
    found = judge(condition, facts)
    return None if found.holds else found.says
