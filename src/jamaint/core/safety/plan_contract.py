"""Plan contract: check that a re-made plan still matches the one that a person has read."""

from collections.abc import Mapping, Sequence
from typing import Any

from jamaint.core.plans import Step, parts_of


def at_once(step: Step) -> list[str]:
    """For what a step leaves no way back: roots, and of a step of several parts those that have none."""
    found = set(step.args.get("direct") or ())
    for part in parts_of(step):
        found |= set(at_once(part))
        if step.undo is not None and part.undo is None and part.items and part.name != "analysis":
            found.add(part.name)
    return sorted(found)


def broken(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]], itemised: bool) -> str | None:
    """Why steps (as views.plan shows them) are not what the older ones promise; None where they are.

    Of an itemised plan the figures may differ: what has changed since is left out item by item.
    """
    for before, now in zip(old, new, strict=False):
        name = before["name"]
        if name != now["name"]:
            return "it has other steps"
        if before["undo"] != now["undo"]:
            return f"{name} {'can' if before['undo'] else 'cannot'} be undone in the plan, and now it is otherwise"
        lost = sorted(set(now.get("at_once", ())) - set(before.get("at_once", ())))
        if lost:
            return f"{name} leaves no rollback for {', '.join(lost)} now, and does in the plan"
        if not itemised and any(before[key] != now[key] for key in ("items", "bytes", "says")):
            return f"{name} has other figures"
    return None if len(old) == len(new) else "it has other steps"
