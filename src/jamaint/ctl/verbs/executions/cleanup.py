"""`jamaintctl cleanup`: run what the section `cleanup` says, and what cleanups have done."""

from __future__ import annotations

from jamaint.ctl.cli.context import DONE, PAGE
from jamaint.ctl.output.execution_text import duration, freed
from jamaint.ctl.output.tables import table
from jamaint.ctl.output.text import count, short, status_cell
from jamaint.ctl.output.times import second, stamp, zoned
from jamaint.ctl.verbs.executions.execute import draw_plan, watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from jamaint.ctl.cli.context import Call
    from jamaint.ctl.output.text import Cell, Look


def run(call: Call) -> int:
    """`cleanup run`: ends as `execute` does."""
    params = {"kinds": list(call.values.get("kind") or ())}
    if call.values.get("dry_run"):
        call.show(call.ask("cleanup.run", {**params, "dry_run": True}, patient=True), draw_plan)
        return DONE
    return watch(call, "cleanup", "cleanup.run", params)


def show_history(call: Call) -> int:
    """`cleanup history`."""
    call.show(call.items("cleanup.history", call.params(since="since"), call.values.get("limit", PAGE)), draw_history)
    return DONE


def draw_history(found: Mapping[str, Any], look: Look) -> list[str]:
    """The result of `cleanup.history` as lines."""
    if not found["items"]:
        return ["no cleanups in that time"]
    when = zoned("WHEN", look.now) if look.narrow else "WHEN"
    head = (when, "ID", "TASK", "TYPE", "STATUS", "ITEMS", "SPACE", "TOOK", "OPERATIONS")
    rows = [_row(item, look) for item in found["items"]]
    lines = table(head, rows, look, right=(5, 6, 7), spare=("TYPE",), below=True)
    return [*lines, "… there are more: --limit N"] if found.get("next_cursor") else lines


def _row(item: Mapping[str, Any], look: Look) -> Sequence[Cell]:
    status = item.get("status") or ("completed" if item.get("success") else "failed")
    return (
        (second(item.get("started_at"), look.now) if look.narrow else stamp(item.get("started_at"))),
        short(item.get("id")),
        str(item.get("task_name") or ""),
        str(item.get("cleanup_type")),
        status_cell(status),
        count(item.get("total_processed_items"), "item"),
        freed(0 if status == "rolled_back" else item.get("freed_by_now") or 0),
        duration(item.get("duration")),
        ", ".join(_operation(operation) for operation in item.get("operations") or ()),
    )


def _operation(operation: Mapping[str, Any]) -> str:
    name = str(operation.get("type")).removesuffix("_cleanup")
    return name if operation.get("success") else f"{name} failed"
