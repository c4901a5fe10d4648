"""`jamaintctl cleanup`: run what the section `cleanup` says, and what cleanups have done."""

from __future__ import annotations

from jamaint.ctl.cli.context import DONE, PAGE
from jamaint.ctl.output.execution_text import duration
from jamaint.ctl.output.text import count, short, size, status_cell, table
from jamaint.ctl.output.times import stamp
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
        return ["nothing has been cleaned up in that time"]
    head = ("WHEN", "ID", "TASK", "TYPE", "STATUS", "ITEMS", "FREED", "TOOK", "OPERATIONS")
    lines = table(head, [_row(item) for item in found["items"]], look, right=(5, 6, 7))
    return [*lines, "… there are more: --limit N"] if found.get("next_cursor") else lines


def _row(item: Mapping[str, Any]) -> Sequence[Cell]:
    status = item.get("status") or ("completed" if item.get("success") else "failed")
    return (
        stamp(item.get("started_at")),
        short(item.get("id")),
        str(item.get("task_name") or ""),
        str(item.get("cleanup_type")),
        status_cell(status),
        count(item.get("total_processed_items"), "item"),
        size(0 if status == "rolled_back" else item.get("freed_by_now")),
        duration(item.get("duration")),
        ", ".join(_operation(operation) for operation in item.get("operations") or ()),
    )


def _operation(operation: Mapping[str, Any]) -> str:
    name = str(operation.get("type")).removesuffix("_cleanup")
    return name if operation.get("success") else f"{name} failed"
