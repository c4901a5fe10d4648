"""`jamaintctl execution list|show|cancel`: what has run, what runs, and how to stop it."""

from __future__ import annotations

from jamaint.ctl.cli.context import DONE
from jamaint.ctl.output.execution_text import details, duration, error_text, freed, waiting_for
from jamaint.ctl.output.tables import table
from jamaint.ctl.output.text import short, status_cell
from jamaint.ctl.output.times import second, stamp, zoned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from jamaint.ctl.cli.context import Call
    from jamaint.ctl.output.text import Cell, Look

    Execution = Mapping[str, Any]

LIMIT = 20


def show_list(call: Call) -> int:
    """`execution list`."""
    params = call.params(task="task", status="status", since="since")
    call.show(call.items("execution.list", params, call.values.get("limit", LIMIT)), draw_list)
    return DONE


def show(call: Call) -> int:
    """`execution show`."""
    call.show(call.ask("execution.get", {"execution": call.values["execution"]}), details)
    return DONE


def cancel(call: Call) -> int:
    """`execution cancel`."""
    call.show(call.ask("execution.cancel", {"execution": call.values["execution"]}), draw_cancelled)
    return DONE


def draw_list(found: Mapping[str, Any], look: Look) -> list[str]:
    """The result of `execution.list` as lines."""
    if not found["items"]:
        return ["no executions match"]
    started = zoned("STARTED", look.now) if look.narrow else "STARTED"
    head = ("EXECUTION", "TASK", "STATUS", started, "TOOK", "SPACE", "WHY")
    lines = table(head, [_row(execution, look) for execution in found["items"]], look, right=(4, 5), below=True)
    return [*lines, "… there are more: --limit N, --since -7d"] if found.get("next_cursor") else lines


def draw_cancelled(execution: Execution, _look: Look) -> list[str]:
    """What a cancel has led to so far."""
    name, ident = execution["task_name"], short(execution["id"])
    if execution["status"] == "running":
        return [f"{name} {ident} stops at its next safe point; to see it: jamaintctl execution show {ident}"]
    return [f"{name} {ident} {str(execution['status']).replace('_', ' ')}"]


def _row(execution: Execution, look: Look) -> Sequence[Cell]:
    space = (execution.get("metrics") or {}).get("freed_space")
    why = error_text(execution)
    if not why and execution["status"] in {"scheduled", "cancelled"}:
        why = waiting_for(execution)
    return (
        short(execution["id"]),
        str(execution["task_name"]),
        status_cell(execution["status"]),
        second(execution.get("started_at"), look.now) if look.narrow else stamp(execution.get("started_at")),
        duration(execution.get("duration")),
        "" if space is None else freed(space),
        why,
    )
