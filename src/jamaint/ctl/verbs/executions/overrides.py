"""`jamaintctl override list`: who lifted guards of an execution in an emergency, and why."""

from __future__ import annotations

from jamaint.ctl.cli.context import DONE, PAGE
from jamaint.ctl.output.tables import table
from jamaint.ctl.output.text import short
from jamaint.ctl.output.times import stamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from jamaint.ctl.cli.context import Call
    from jamaint.ctl.output.text import Look


def show_list(call: Call) -> int:
    """The verb."""
    call.show(call.items("override.list", call.params(since="since"), call.values.get("limit", PAGE)), draw)
    return DONE


def draw(found: Mapping[str, Any], look: Look) -> list[str]:
    """Draw the result of `override.list`."""
    if not found["items"]:
        return ["no emergency overrides in that time"]
    head = ("GIVEN", "TASK", "EXECUTION", "BY", "LIFTED", "REASON")
    rows = [
        (
            stamp(one.get("given_at")),
            str(one.get("task")),
            short(one.get("execution")),
            str(one.get("by")),
            ", ".join(dict.fromkeys(str(each.get("guard")) for each in one.get("lifted") or [])) or "none was needed",
            str(one.get("reason") or ""),
        )
        for one in found["items"]
    ]
    lines = table(head, rows, look)
    return [*lines, "… there are more: --limit N"] if found.get("next_cursor") else lines
