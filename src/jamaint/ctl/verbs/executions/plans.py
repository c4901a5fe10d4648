"""`jamaintctl plan …`: what a task would do exactly, kept, looked at item by item, approved."""

from __future__ import annotations

from jamaint.ctl.cli.context import DONE
from jamaint.ctl.output.tables import table
from jamaint.ctl.output.text import columns, count, size
from jamaint.ctl.output.times import ago, moment, until
from jamaint.ctl.verbs.executions.execute import plan_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from jamaint.ctl.cli.context import Call
    from jamaint.ctl.output.text import Cell, Look

    Plan = Mapping[str, Any]

LIMIT = 20
HASH = 12
"""So many characters of a hash are shown: enough to be the only one, and typed as they are."""


def make(call: Call) -> int:
    """`plan TASK`."""
    call.show(call.ask("task.plan", {"task": call.values["task"], "limit": 1}, patient=True), draw_made)
    return DONE


def show(call: Call) -> int:
    """`plan show`: page after page, so that a million items pass through and are not kept."""
    params: dict[str, Any] = {"plan": call.values["plan"]}
    limit = call.values.get("limit", LIMIT)
    found = call.ask("plan.get", {**params, "limit": min(limit, 1000)})
    if call.json:
        call.show(found, lambda _found, _look: [])
        return DONE
    call.screen.lines(draw_head(found, call.look))
    shown = len(found["items"])
    while True:
        call.screen.lines(draw_items(found, call.look))
        cursor = found.get("next_cursor")
        if cursor is None or shown >= limit:
            break
        found = call.ask("plan.get", {**params, "limit": min(limit - shown, 1000), "cursor": cursor})
        shown += len(found["items"])
    if found["count"] > shown:
        call.screen.lines([f"… and {found['count'] - shown:,} more: --limit N"])
    return DONE


def show_list(call: Call) -> int:
    """`plan list`."""
    call.show(call.items("plan.list", {}, call.values.get("limit", LIMIT)), draw_list)
    return DONE


def approve(call: Call) -> int:
    """`plan approve`."""
    call.show(call.ask("plan.approve", {"plan": call.values["plan"]}), draw_approved)
    return DONE


def draw_made(found: Plan, look: Look) -> list[str]:
    """The result of `task.plan` as lines."""
    head = f"{found['task']}: plan {found['hash'][:HASH]}, nothing has been changed"
    return [*plan_lines(found, look, head), "", *draw_next(found, look)]


def draw_head(found: Plan, look: Look) -> list[str]:
    """What a plan is, before its items."""
    made = f"made {ago(found['created_at'], look.now)} by {found['created_by']}"
    head = f"{found['task']}: plan {found['hash'][:HASH]}, {made}"
    against = [] if found.get("approved_by") else found["refusals"]
    return [*plan_lines({**found, "guards": against}, look, head, samples=False), "", *draw_next(found, look)]


def draw_next(found: Plan, look: Look) -> list[str]:
    """What can be done with a plan, and how long."""
    name = found["hash"][:HASH]
    rows: list[Sequence[Cell]] = []
    if found["count"]:
        rows.append((("dim", "each item:"), f"jamaintctl plan show {name}"))
    if found["refusals"] and not found.get("approved_by"):
        rows.append((("yellow", "needs approval:"), f"jamaintctl plan approve {name}"))
    elif found["refusals"]:
        rows.append((("dim", "approved:"), f"by {found['approved_by']} {ago(found['approved_at'], look.now)}"))
    rows.append((("dim", "to do just this:"), f"jamaintctl execute {found['task']} --plan {name}"))
    kept = f"{moment(found['expires_at'], look.now)} ({until(found['expires_at'], look.now)})"
    return columns([*rows, (("dim", "kept until:"), kept)], look, "  ")


def draw_items(found: Plan, look: Look) -> list[str]:
    """A page of items."""
    rows: list[Sequence[Cell]] = [
        (str(item["step"]), size(item["bytes"]), moment(item["mtime"], look.now), str(item["path"]))
        for item in found["items"]
    ]
    return columns(rows, look, "  ", right=(1,))


def draw_list(found: Mapping[str, Any], look: Look) -> list[str]:
    """The result of `plan.list` as lines."""
    if not found["items"]:
        return ["there are no plans; to make one: jamaintctl plan TASK"]
    rows = [_row(plan, look) for plan in found["items"]]
    lines = table(("PLAN", "TASK", "MADE", "BY", "ITEMS", "SIZE", "STATE"), rows, look, right=(4, 5))
    return [*lines, "… there are more: --limit N"] if found.get("next_cursor") else lines


def draw_approved(found: Plan, look: Look) -> list[str]:
    """What an approval allows."""
    figures = f"{count(found['count'], 'item')}, {size(found['bytes'])}"
    return [f"plan {found['hash'][:HASH]} of {found['task']} is approved: {figures}", *draw_next(found, look)]


def _row(plan: Plan, look: Look) -> Sequence[Cell]:
    state: Cell = "can be done"
    if plan["refusals"]:
        state = f"approved by {plan['approved_by']}" if plan.get("approved_by") else ("yellow", "needs approval")
    return (
        plan["hash"][:HASH],
        str(plan["task"]),
        ago(plan["created_at"], look.now),
        str(plan["created_by"]),
        f"{plan['count']:,}",
        size(plan["bytes"]),
        state,
    )
