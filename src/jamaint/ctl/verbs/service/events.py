"""`jamaintctl events`: what happens, as it happens; or how the latest executions started and ended."""

from __future__ import annotations

from jamaint.ctl.cli.context import DONE, INTERRUPTED
from jamaint.ctl.output.execution_text import amount, error_text, freed, throttle_text, waiting_for, waiting_text
from jamaint.ctl.output.text import columns, percent, short
from jamaint.ctl.output.times import epoch, stamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from jamaint.ctl.cli.context import Call
    from jamaint.ctl.output.text import Cell, Look

    Event = Mapping[str, Any]

LATEST = 50
QUIET_SECONDS = 60.0
STYLES = {"failed": "red", "rolled_back": "yellow", "cancelled": "yellow", "completed": "green"}


def events(call: Call) -> int:
    """The verb."""
    if call.values.get("follow"):
        try:
            return _follow(call)
        except KeyboardInterrupt:
            return INTERRUPTED
    found = call.ask("execution.list", {"limit": LATEST})
    call.show({"items": past(found["items"]), "next_cursor": None}, draw)
    return DONE


def past(executions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The starts and ends of these executions as events, the oldest first."""
    found = []
    for execution in executions:
        for key, name in (("started_at", "execution.started"), ("completed_at", "execution.ended")):
            if execution.get(key):
                found.append({"event": name, "at": execution[key], "execution": execution})
    return sorted(found, key=lambda event: epoch(event["at"]) or 0.0)


def draw(found: Mapping[str, Any], look: Look) -> list[str]:
    """Past events as lines."""
    return columns([_row(event) for event in found["items"]], look) or ["no executions yet"]


def _follow(call: Call) -> int:
    call.ask("event.subscribe", {})
    while not call.screen.gone:
        event = call.client.event(QUIET_SECONDS)
        if event is None:
            continue
        if call.json:
            call.screen.document(event)
        else:
            call.screen.lines(columns([_row(event)], call.look))
        call.screen.flush()
    return DONE


def _row(event: Event) -> Sequence[Cell]:
    execution = event.get("execution") or {}
    style = STYLES.get(str(execution.get("status")), "") if event.get("event") == "execution.ended" else ""
    who = f"{execution.get('task_name')} {short(execution.get('id'))}" if execution else ""
    return ("dim", stamp(event.get("at"))), f"{event.get('event')!s:<20}", who, (style, _what(event, execution))


def _what(event: Event, execution: Mapping[str, Any]) -> str:
    """The news in a few words."""
    if event.get("message"):
        return str(event["message"])
    kind = event.get("event")
    if kind == "execution.progress":
        progress = execution.get("progress") or {}
        name = str(progress.get("step") or "")
        parts = (name, percent(progress.get("fraction")), amount(progress), waiting_text(execution))
        return " ".join(part for part in parts if part)
    if kind == "execution.step":
        step = event.get("step")
        return f"{step.get('name')} {step.get('status')}" if isinstance(step, dict) else str(step or "")
    if kind == "execution.scheduled":
        return f"waits: {waiting_for(execution)}" if waiting_for(execution) else ""
    if kind == "execution.ended":
        space = (execution.get("metrics") or {}).get("freed_space")
        told = error_text(execution) or (freed(space) if space else "")
        status = str(execution.get("status") or "").replace("_", " ")
        return f"{status}: {told}" if told else status
    return _held_back(kind, execution)


def _held_back(kind: Any, execution: Mapping[str, Any]) -> str:
    found = execution.get("paused") or {}
    if kind == "execution.paused":
        return f"by {found.get('by')}: {found.get('why')}" + (
            "" if found.get("reached") else " (at its next safe point)"
        )
    return (throttle_text(execution) or "no longer") if kind == "execution.throttled" else ""
