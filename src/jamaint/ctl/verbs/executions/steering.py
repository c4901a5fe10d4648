"""`jamaintctl execution pause|resume|throttle`: hold back what runs."""

from __future__ import annotations

from jamaint.ctl.cli.arguments import UsageError
from jamaint.ctl.cli.context import DONE
from jamaint.ctl.output.execution_text import paused_text
from jamaint.ctl.output.text import short

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from jamaint.ctl.cli.context import Call
    from jamaint.ctl.output.text import Look

    Execution = Mapping[str, Any]


def pause(call: Call) -> int:
    """`execution pause`."""
    params = call.params(execution="execution", reason="reason")
    call.show(call.ask("execution.pause", params), draw_paused)
    return DONE


def resume(call: Call) -> int:
    """`execution resume`."""
    call.show(call.ask("execution.resume", {"execution": call.values["execution"]}), draw_resumed)
    return DONE


def throttle(call: Call) -> int:
    """`execution throttle`."""
    text = call.values["ratio"]
    try:
        ratio = float(text)
    except ValueError:
        ratio = -1.0
    if not 0 <= ratio < float("inf"):
        raise UsageError(f"RATIO must be a number from 0, such as 2 (0 lifts it), and is {text}", "execution throttle")
    call.show(call.ask("execution.throttle", {"execution": call.values["execution"], "ratio": ratio}), draw_throttled)
    return DONE


def draw_paused(execution: Execution, look: Look) -> list[str]:
    """What a pause has led to so far."""
    if not execution.get("paused"):
        return [f"{_name(execution)} has ended meanwhile: {str(execution.get('status')).replace('_', ' ')}"]
    return [f"{_name(execution)} {paused_text(execution, look)}", _next(execution, look)]


def draw_resumed(execution: Execution, look: Look) -> list[str]:
    """Whether it goes on."""
    if execution.get("paused"):
        return [f"{_name(execution)} does not go on yet: it is {paused_text(execution, look)}"]
    return [f"{_name(execution)} goes on"]


def draw_throttled(execution: Execution, _look: Look) -> list[str]:
    """How much it rests now."""
    ratio = execution.get("throttle") or 0
    if not ratio:
        return [f"{_name(execution)} works without rests"]
    return [f"{_name(execution)} rests {ratio:g} s for each second of work"]


def _name(execution: Execution) -> str:
    return f"{execution.get('task_name')} {short(execution.get('id'))}"


def _next(execution: Execution, look: Look) -> str:
    return f"  {look.paint('dim', 'to go on:')}  jamaintctl execution resume {short(execution.get('id'))}"
