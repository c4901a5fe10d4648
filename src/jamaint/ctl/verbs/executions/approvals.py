"""`jamaintctl execution approve|reject`, `task approve`: who may start what a policy wants to be approved."""

from __future__ import annotations

from jamaint.ctl.cli.context import DONE
from jamaint.ctl.output.text import count, short
from jamaint.ctl.output.times import moment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from jamaint.ctl.cli.context import Call
    from jamaint.ctl.output.text import Look


def approve(call: Call) -> int:
    """`execution approve`."""
    params = call.params(execution="execution", occurrences="times", until="until", reason="reason")
    call.show(call.ask("execution.approve", params), draw)
    return DONE


def approve_task(call: Call) -> int:
    """`task approve`."""
    params = call.params(task="task", occurrences="times", until="until", plan="plan", reason="reason")
    call.show(call.ask("task.approve", params), draw)
    return DONE


def reject(call: Call) -> int:
    """`execution reject`."""
    call.show(call.ask("execution.reject", call.params(execution="execution", reason="reason")), draw_rejected)
    return DONE


def draw(approval: Mapping[str, Any], look: Look) -> list[str]:
    """An approval in a line."""
    what = count(int(approval["occurrences"]), "execution")
    if approval.get("execution"):
        what = short(approval["execution"]) + (f" and the next, {what} in all" if approval["occurrences"] > 1 else "")
    plan = f", of the plan {approval['plan']} alone" if approval.get("plan") else ""
    return [f"{approval['task']}: {what} approved until {moment(approval['expires_at'], look.now)}{plan}"]


def draw_rejected(execution: Mapping[str, Any], _look: Look) -> list[str]:
    """What a rejection has led to."""
    return [f"{execution['task_name']} {short(execution['id'])} rejected: it does not run"]
