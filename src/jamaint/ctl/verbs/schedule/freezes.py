"""`jamaintctl freeze list`: which freezes there are, which hold, and what they keep from starting."""

from __future__ import annotations

from jamaint.ctl.cli.context import DONE
from jamaint.ctl.output.tables import table
from jamaint.ctl.output.text import count
from jamaint.ctl.output.times import brief, moment, until, zoned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from jamaint.ctl.cli.context import Call
    from jamaint.ctl.output.text import Cell, Look

    Freeze = Mapping[str, Any]

EFFECTS = {"deny": "cancelled", "defer": "waits", "require_approval": "needs approval"}
"""What becomes of a start while a freeze holds, by its effect."""


def show_list(call: Call) -> int:
    """`freeze list`."""
    call.show(call.items("freeze.list", {}), draw_list)
    return DONE


def draw_list(found: Mapping[str, Any], look: Look) -> list[str]:
    """Draw the result of `freeze.list`."""
    if not found["items"]:
        return ["no freezes are defined"]
    changes = zoned("CHANGES", look.now) if look.narrow else "CHANGES"
    head = ("FREEZE", "STATE", changes, "A START", "TASKS", "DESCRIPTION")
    return table(head, [_row(one, look) for one in found["items"]], look, below=True)


def told(freeze: Freeze, look: Look) -> str:
    """One freeze that holds: `until Sun 2027-01-03 (in 33 d): 3 of 4 tasks do not start (year end)`."""
    ends = f"until {moment(freeze['changes_at'], look.now)}" if freeze.get("changes_at") else "without an end"
    covered, tasks = freeze["tasks_covered"], count(freeze["tasks_in_all"], "task")
    does = "needs approval to start" if freeze["effect"] == "require_approval" else "does not start"
    if covered != 1:
        does = does.replace("needs", "need").replace("does", "do")
    maybe = " while its conditions hold" if freeze.get("conditional") else ""
    why = f" ({freeze['description']})" if freeze.get("description") else ""
    return f"{ends}: {covered} of {tasks} {does}{maybe}{why}"


def frozen_text(frozen: Any, look: Look) -> str:
    """`frozen by year-end until 2027-01-03`; nothing where nothing freezes.

    A narrow screen leaves the name to `freeze list`.
    """
    if not frozen:
        return ""
    ends = f" until {(brief if look.narrow else moment)(frozen['until'], look.now)}" if frozen.get("until") else ""
    if look.narrow and frozen.get("until") and frozen.get("effect") != "require_approval":
        return f"frozen{ends}"
    verb = "needs approval: " if frozen.get("effect") == "require_approval" else "frozen by "
    return f"{verb}{frozen['freeze']}{ends}"


def _row(freeze: Freeze, look: Look) -> tuple[Cell, ...]:
    holds: Cell = ("yellow", "holds") if freeze["holds"] else "open"
    changes = freeze.get("changes_at")
    name = f"{freeze['name']} (policy)" if freeze.get("policy") else str(freeze["name"])
    return (
        name,
        holds,
        f"{(brief if look.narrow else moment)(changes, look.now)} ({until(changes, look.now)})" if changes else "never",
        EFFECTS.get(str(freeze["effect"]), str(freeze["effect"])),
        f"{freeze['tasks_covered']} of {freeze['tasks_in_all']}",
        str(freeze.get("description") or ""),
    )
