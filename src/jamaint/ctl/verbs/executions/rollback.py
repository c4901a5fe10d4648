"""`jamaintctl rollback`: undo an execution, and say what could not be put back."""

from __future__ import annotations

import time

from jamaint.ctl.cli.client import UnreachableError
from jamaint.ctl.cli.context import DONE, FAILED, INTERRUPTED
from jamaint.ctl.output.execution_text import error_text, items_kept
from jamaint.ctl.output.progress import drawing_for, merge
from jamaint.ctl.output.text import count, short
from jamaint.ctl.output.times import to_wire
from jamaint.ctl.verbs.executions import held

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from jamaint.ctl.cli.client import Client
    from jamaint.ctl.cli.context import Call
    from jamaint.ctl.output.progress import Silence
    from jamaint.ctl.output.text import Look

ANSWER_SECONDS = 0.2
"""How often the events are looked at while the answer is waited for."""


def rollback(call: Call) -> int:
    """The verb. Exit code 1 when something could not be put back."""
    dry_run, detach = bool(call.values.get("dry_run")), bool(call.values.get("detach"))
    params = {"execution": call.values["execution"], "dry_run": dry_run}
    if dry_run or detach:
        result = call.ask("execution.rollback", {**params, "wait": dry_run}, patient=dry_run)
        call.show(result, draw if dry_run else _begun)
        return DONE
    try:
        result = _watched(call, params)
    except KeyboardInterrupt:
        ident = short(params["execution"])
        call.screen.note(f"detached: the rollback goes on; to see it: jamaintctl execution show {ident}")
        return INTERRUPTED
    call.show(result, draw)
    return FAILED if incomplete(result) else DONE


def incomplete(result: Mapping[str, Any]) -> bool:
    """Whether anything is not as it was before the execution."""
    point = (result.get("execution") or {}).get("rollback_point") or {}
    return bool(result.get("kept") or result.get("problems") or point.get("status") == "incomplete")


def draw(result: Mapping[str, Any], look: Look) -> list[str]:
    """The result of `execution.rollback` as lines."""
    execution = result["execution"]
    name, ident = execution["task_name"], short(execution["id"])
    unit = str(result.get("unit") or "file")
    restored, removed = count(result["restored"], unit), count(result["removed"], unit)
    makes = unit == "file" or result["removed"]
    does_command = unit == "command"
    if result.get("dry_run"):
        lines = [f"{name} {ident}: this is a dry run, nothing has been changed"]
        made = f", {removed} that it made would be removed" if makes else ""
        would = "its rollback_command would run" if does_command else f"{restored} would be put back{made}"
        lines.append(f"  {would}")
    else:
        style, words = ("yellow", "rolled back in part") if incomplete(result) else ("green", "rolled back")
        made = f", {removed} that it made removed" if makes else ""
        ran = "has run" if result["restored"] else "has not succeeded"
        outcome = f"its rollback_command {ran}" if does_command else f"{restored} put back{made}"
        lines = [f"{name} {ident} {look.paint(style, words)}: {outcome}"]
    lines += held.told(result.get("held") or (), ident, look, bool(result.get("dry_run")))
    lines += items_kept(result, look)
    if incomplete(result) and not result.get("dry_run"):
        if error_text(execution):
            lines.append(f"  {look.paint('red', error_text(execution))}")
        where = {"file": " in the trash", "row": " in the tables of the schema jamaint"}.get(unit, "")
        stays = "once the cause is fixed" if does_command else f"what is kept stays{where}; once the way is free"
        lines.append(f"  {stays}: jamaintctl rollback {ident}")
    return lines


def _begun(result: Mapping[str, Any], _look: Look) -> list[str]:
    return [str(result["execution"]["id"])]


def _watched(call: Call, params: dict[str, Any]) -> Any:
    """The rollback's result, its progress drawn meanwhile, from the events of a second connection."""
    execution = call.ask("execution.get", {"execution": params["execution"]})
    params["execution"] = execution["id"]
    events, drawing = call.connect(), drawing_for(call)
    events.call("event.subscribe", {})
    began: dict[str, Any] = {
        "started_at": to_wire(time.time()),
        "status": "undoing",
        "steps": [],
        "progress": None,
        "eta": None,
    }
    undoing = {**execution, **began}
    call.client.begin("execution.rollback", {**params, "wait": True})
    seconds = call.values.get("timeout")
    deadline = None if seconds is None else time.monotonic() + seconds
    try:
        while deadline is None or time.monotonic() < deadline:
            found, result = call.client.answer(ANSWER_SECONDS)
            if found:
                return result
            undoing = _news(events, undoing, drawing)
        raise UnreachableError(call.client.path, f"the rollback has not ended within {seconds:g} s, and goes on")
    finally:
        drawing.end()
        events.close()


def _news(events: Client, undoing: dict[str, Any], drawing: Silence) -> dict[str, Any]:
    """The execution after what has been pushed about it meanwhile."""
    while (event := events.event(0)) is not None:
        if (event.get("execution") or {}).get("id") == undoing["id"]:
            kept = {key: undoing[key] for key in ("status", "started_at")}
            undoing = {**merge(undoing, event), **kept}
            drawing.update(undoing, event)
    drawing.update(undoing, {})
    return undoing
