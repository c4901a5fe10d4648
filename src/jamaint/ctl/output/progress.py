"""The live progress of an execution: events of the daemon -> a line that is redrawn, or a line for each step.

What is drawn goes to standard error, so that standard output has the result alone.
"""

from __future__ import annotations

import sys
import time

from jamaint.ctl.cli.client import UnreachableError
from jamaint.ctl.output.execution_text import (
    ENDED,
    amount,
    duration,
    left,
    paused_text,
    step_name,
    waiting_text,
    waits_text,
)
from jamaint.ctl.output.terminal import columns_of, speaks_unicode
from jamaint.ctl.output.text import Look, bar, cut, percent, short, wide
from jamaint.ctl.output.times import epoch, span
from jamaint.errors import UNAVAILABLE, JamaintError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from jamaint.ctl.cli.client import Client
    from jamaint.ctl.cli.context import Call
    from jamaint.ctl.output.terminal import Screen

    Execution = dict[str, Any]

TICK_SECONDS = 1.0
BAR_WIDTH = 20
RETURN_SECONDS = 20.0
"""So long a daemon that went away in the middle may take to come back: a restart with its PostgreSQL."""
RETRY_SECONDS = 0.25


class Silence:
    """Draws nothing, for --json."""

    def update(self, execution: Execution, event: Mapping[str, Any]) -> None:
        """The execution as it stands after that event (empty at first)."""

    def tick(self) -> None:
        """Nothing has happened for a while."""

    def say(self, text: str) -> None:
        """A line that stays."""

    def end(self) -> None:
        """Leaves the terminal as it was."""


class Lines(Silence):
    """A line for each thing that happens: for a log, a pipe, a cron mail."""

    def __init__(self, screen: Screen, look: Look) -> None:
        self._screen = screen
        self._look = look
        self._steps: dict[str, str] = {}
        self._status = ""

    def update(self, execution: Execution, event: Mapping[str, Any]) -> None:
        head = f"{execution.get('task_name')} {short(execution.get('id'))}"
        state = _state(execution)
        if state != self._status and execution.get("status") not in ENDED:
            self._screen.note(f"{head}: {state}")
        self._status = state
        for step in execution.get("steps") or ():
            name, status = str(step.get("name")), str(step.get("status"))
            if status != self._steps.get(name, "planned"):
                self._screen.note(f"{head}: {name} {_step_news(status, step)}")
            self._steps[name] = status
        if event.get("level") in {"warning", "error"}:
            self._screen.note(f"{head}: {event['level']}: {event.get('message')}")

    def say(self, text: str) -> None:
        self._screen.note(text)


class Bar(Silence):
    """One line of a terminal, drawn again and again."""

    def __init__(self, screen: Screen, look: Look) -> None:
        self._screen = screen
        self._look = look
        self._execution: Execution = {}

    def update(self, execution: Execution, event: Mapping[str, Any]) -> None:
        self._execution = execution
        if event.get("level") in {"warning", "error"}:
            self.say(f"{self._look.paint('yellow', str(event['level']))}: {event.get('message')}")
        self.tick()

    def tick(self) -> None:
        self._look.now = time.time()
        self._look.width = columns_of(sys.stderr)
        self._screen.draw("\r" + line(self._execution, self._look) + "\x1b[K")

    def say(self, text: str) -> None:
        self._screen.draw(f"\r\x1b[K{text}\n")

    def end(self) -> None:
        self._screen.draw("\r\x1b[K")


def line(execution: Execution, look: Look) -> str:
    """The one line: name, step, bar, percentage, amount, time left; cut where the terminal ends."""
    name = str(execution.get("task_name") or "")
    if execution.get("status") == "scheduled":
        return cut(f"{name}  {_state(execution)}", look.width - 1)
    progress = execution.get("progress") or {}
    fraction = progress.get("fraction")
    started = epoch(execution.get("started_at"))
    gone = "" if started is None or look.now - started < 1 else f"{span(round(look.now - started))} elapsed"
    rest = f"throttled ({execution['throttle']:g})" if execution.get("throttle") else ""
    held = paused_text(execution, look) or waiting_text(execution)
    words = [percent(fraction), amount(progress), held or left(execution, look) or gone, rest]
    doing = step_name(execution) or ("" if execution.get("status") == "running" else _state(execution))
    head = "  ".join(text for text in (name, doing) if text)
    tail = "  ".join(text for text in words if text)
    if not isinstance(fraction, (int, float)):
        return cut(f"{head}  {tail}", look.width - 1)
    room = look.width - 1 - wide(head) - wide(tail) - 4
    if room < BAR_WIDTH // 2:
        return cut(f"{head}  {tail}", look.width - 1)
    return f"{head}  {look.paint('cyan', bar(fraction, min(room, BAR_WIDTH), look.unicode))}  {tail}"


def follow(call: Call, ident: str) -> Execution:
    """The execution as it ended, drawn while it runs, across a restart of the daemon too.

    Raises KeyboardInterrupt when the person has seen enough, UnreachableError when the daemon does not come back.
    """
    drawing = drawing_for(call)
    client: Client | None = call.client
    deadline: float | None = None
    try:
        while True:
            try:
                client = client or call.connect()
                execution = client.call("event.subscribe", {"execution": ident})["execution"]
                deadline = None
                return _watch(client, execution, drawing)
            except JamaintError as lost:
                client = None
                deadline = _patience(lost, deadline, drawing, ident)
    finally:
        drawing.end()


def drawing_for(call: Call) -> Silence:
    """What draws on this standard error: nothing with --json, a bar on a terminal, else lines."""
    if call.json:
        return Silence()
    width = columns_of(sys.stderr)
    colours = bool(width) and call.wants_colours
    look = Look(call.look.now, width, colours, speaks_unicode(sys.stderr))
    return Bar(call.screen, look) if width else Lines(call.screen, look)


def merge(execution: Execution, event: Mapping[str, Any]) -> Execution:
    """The execution after that event, which carries it whole, or in part, or only a step of it."""
    found = event.get("execution") or {}
    merged = {**execution, **found}
    step = event.get("step")
    if isinstance(step, dict) and "steps" not in found:
        steps = list(execution.get("steps") or ())
        names = [old.get("name") for old in steps]
        if step.get("name") in names:
            steps[names.index(step["name"])] = step
        else:
            steps.append(step)
        merged["steps"] = steps
    return merged


def _watch(client: Client, execution: Execution, drawing: Silence) -> Execution:
    drawing.update(execution, {})
    ended = execution.get("status") in ENDED
    while not ended:
        event = client.event(TICK_SECONDS)
        if event is None:
            drawing.tick()
        elif event.get("event") == "daemon.cut_off":
            raise UnreachableError(client.path, "the daemon closed the event stream")
        elif (event.get("execution") or {}).get("id") == execution["id"]:
            execution = merge(execution, event)
            drawing.update(execution, event)
            ended = event.get("event") == "execution.ended"
    return _whole(client, execution)


def _whole(client: Client, execution: Execution) -> Execution:
    """The ended execution with what its rollback point says now, which no event carries; as it is, failing that."""
    try:
        found: Execution = client.call("execution.get", {"execution": execution["id"]})
    except JamaintError:
        return execution
    return found


def _patience(lost: JamaintError, deadline: float | None, drawing: Silence, ident: str) -> float:
    """Until when a lost daemon is waited for, after a moment of waiting. Raises what it cannot wait for."""
    if lost.code != UNAVAILABLE:
        raise lost
    if deadline is None:
        drawing.say(f"{lost.message}; waiting for the daemon to come back")
        deadline = time.monotonic() + RETURN_SECONDS
    elif time.monotonic() > deadline:
        message = f"{lost.message}; when the daemon is back: jamaintctl execution show {short(ident)}"
        raise JamaintError(UNAVAILABLE, message, lost.data)
    time.sleep(RETRY_SECONDS)
    return deadline


def _state(execution: Execution) -> str:
    status = str(execution.get("status") or "")
    if status == "scheduled":
        return waits_text(execution)
    if status == "running" and execution.get("paused"):
        found = execution["paused"]
        return f"{'paused' if found.get('reached') else 'pauses'} by {found.get('by')}: {found.get('why')}"
    window = execution.get("window_name")
    return f"{status.replace('_', ' ')} in {window}" if window and status == "running" else status.replace("_", " ")


def _step_news(status: str, step: Mapping[str, Any]) -> str:
    took = duration(step.get("duration"))
    text = "started" if status == "running" else status.replace("_", " ")
    if took and status in {"completed", "failed", "cancelled"}:
        text += f" after {took}"
    return f"{text}: {step['error']}" if step.get("error") else text
