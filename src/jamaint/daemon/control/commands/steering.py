"""Running executions: pause, resume, throttle."""

from math import isfinite
from typing import Any

from trio import move_on_after

from jamaint.core.rate_limits import HIGHEST_RATIO
from jamaint.daemon.control.commands.command import Call, Daemon, execution_of, take
from jamaint.daemon.state import json_views
from jamaint.errors import CONFLICT, JamaintError, invalid

OPERATOR = "operator"
"""Whose pauses these are: any operator may lift another's, and none lifts those of a window or a condition."""

PATIENCE_SECONDS = 2.0
"""So long the answer waits for the execution to stand still."""


async def pause(daemon: Daemon, call: Call) -> dict[str, Any]:
    """Lets a running execution stand still at its next safe point; `paused.reached` says whether it does."""
    reference, reason = take(call, execution_=str, reason=str)
    ident = (await execution_of(daemon, reference)).id
    why = reason[:500] if reason else "requested, without a reason"
    daemon.runner.pause(ident, why, OPERATOR, call.user)
    with move_on_after(PATIENCE_SECONDS):
        await daemon.runner.stands_still(ident)
    return await _now(daemon, ident)


async def resume(daemon: Daemon, call: Call) -> dict[str, Any]:
    """Lets a paused execution go on, unless a window or a condition still pauses it: `paused` says so then."""
    (reference,) = take(call, execution_=str)
    execution = await execution_of(daemon, reference)
    if not daemon.runner.resume(execution.id, OPERATOR, call.user):
        held = execution.paused
        why = (
            "it is not paused"
            if held is None
            else f"it is paused by {held.by}, and resumes when that allows it: {held.why}"
        )
        raise JamaintError(CONFLICT, f"cannot resume {execution.id[:8]}: {why}")
    return await _now(daemon, execution.id)


async def throttle(daemon: Daemon, call: Call) -> dict[str, Any]:
    """Lets a running execution rest `ratio` seconds for each second of work; 0 removes the limit."""
    reference, ratio = take(call, execution_=str, ratio_=(int, float))
    if not isfinite(ratio) or not 0 <= ratio <= HIGHEST_RATIO:
        raise invalid("ratio", f"must be from 0 to {HIGHEST_RATIO:g}: seconds of rest for each second of work")
    ident = (await execution_of(daemon, reference)).id
    daemon.runner.throttle(ident, float(ratio), call.user)
    return await _now(daemon, ident)


async def _now(daemon: Daemon, ident: str) -> dict[str, Any]:
    return json_views.execution(await execution_of(daemon, ident))
