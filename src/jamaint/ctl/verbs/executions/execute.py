"""`jamaintctl execute`: run a task now, watch it, and say how it ended."""

from __future__ import annotations

import time

from jamaint.ctl.cli.arguments import UsageError
from jamaint.ctl.cli.client import ANSWER_SECONDS
from jamaint.ctl.cli.context import DONE, FAILED, INTERRUPTED, REFUSED
from jamaint.ctl.output.execution_text import ending
from jamaint.ctl.output.guards_text import guard_rows
from jamaint.ctl.output.progress import RETRY_SECONDS, follow
from jamaint.ctl.output.text import blocks, columns, count, paragraph, short, size
from jamaint.errors import JamaintError
from jamaint.protocol.control import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from jamaint.ctl.cli.context import Call
    from jamaint.ctl.output.text import Cell, Look


SAMPLE = 5
WITHOUT_UNDO = {
    "analysis": "changes nothing",
    "database_analysis": "changes nothing",
    "index_optimization": "nothing to undo",
    "statistics_update": "nothing to undo",
}
"""Steps after which everything is as it was, as far as anybody can see."""

"""So many items of a step are named; --json has more."""


def execute(call: Call) -> int:
    """The verb. With --json and no --detach the one document is the execution as it ended."""
    params = _params(call)
    if call.values.get("dry_run"):
        call.show(when_up(call, "execution.start", {**params, "dry_run": True}, patient=True), draw_plan)
        return DONE
    return watch(call, str(call.values["task"]), "execution.start", params)


def watch(call: Call, name: str, method: str, params: dict[str, Any]) -> int:
    """Starts an execution by that method and shows how it gets on; the exit code."""
    try:
        started = when_up(call, method, params)
    except KeyboardInterrupt:
        call.screen.note("interrupted before the daemon answered; to see whether it runs: jamaintctl status")
        return INTERRUPTED
    ident = str(started["execution_id"])
    if call.values.get("detach") or started.get("waits"):
        return _leave(call, started)
    try:
        execution = follow(call, ident)
    except KeyboardInterrupt:
        if call.json:
            call.screen.document(started)
            return INTERRUPTED
        call.screen.note(f"detached: {name} continues as {short(ident)}")
        call.screen.note(f"  to see it:  jamaintctl execution show {short(ident)}")
        call.screen.note(f"  to stop it: jamaintctl execution cancel {short(ident)}")
        return INTERRUPTED
    call.show(execution, ending)
    return exit_code(execution)


def when_up(call: Call, method: str, params: dict[str, Any], patient: bool = False) -> Any:
    """The result of a call; a daemon that is coming up is waited for, as long as for any answer (--timeout).

    Raises as Call.ask does, also the daemon's word that it is not up when the time has passed.
    """
    seconds = call.values.get("timeout") or ANSWER_SECONDS
    deadline, told = time.monotonic() + seconds, call.json
    while True:
        try:
            return call.ask(method, params, patient)
        except JamaintError as problem:
            if not problem.data.get("coming_up") or time.monotonic() + RETRY_SECONDS > deadline:
                raise
            if not told:
                call.screen.note(f"{problem.message}; waiting up to {seconds:g} s for it")
                told = True
        time.sleep(RETRY_SECONDS)


def _leave(call: Call, started: Mapping[str, Any]) -> int:
    """It is not watched: because nobody wants to, or because it waits for somebody to approve it."""
    if call.values.get("detach"):
        call.show(started, lambda _started, _look: [str(started["execution_id"])])
        return DONE
    call.show(started, draw_waits)
    return REFUSED


def exit_code(execution: Mapping[str, Any]) -> int:
    """Of an execution that has ended: 0 completed, 5 refused by a guard, else 1."""
    if execution.get("status") == "completed":
        return DONE
    error = execution.get("error")
    return REFUSED if isinstance(error, dict) and error.get("kind") == "refused" else FAILED


def draw_waits(started: Mapping[str, Any], _look: Look) -> list[str]:
    """One that starts only when somebody has approved it."""
    waits = "; ".join(str(reason.get("detail")) for reason in started["waits"])
    ident = short(started["execution_id"])
    return [
        f"not started: {waits}",
        f"  to approve it, within a day: jamaintctl execution approve {ident}",
        f"  to take it back: jamaintctl execution cancel {ident}",
    ]


def draw_plan(found: Mapping[str, Any], look: Look) -> list[str]:
    """The result of a dry run as lines."""
    return plan_lines(found, look, f"{found['task']}: this is a dry run, nothing has been changed")


def plan_lines(found: Mapping[str, Any], look: Look, head: str, samples: bool = True) -> list[str]:
    """What a plan would do, under a head: what stands against it, its steps with the first items of each."""
    steps, warnings = found["plan"]["steps"], found["plan"].get("warnings") or []
    lines = [head]
    stopping = [guard for guard in found.get("guards") or [] if guard.get("verdict") != "pass"]
    if stopping:
        lines += ["it would not start now:", *columns(guard_rows(stopping), look, "  "), ""]
    for step, row in zip(steps, blocks([_planned(step) for step in steps], look, "  ", right=(1, 2)), strict=True):
        lines += [*row, *_says(step, look), *(_sample(step, look) if samples else []), *_skipped(step, look)]
    if not steps:
        lines.append("  there is nothing to do")
    if warnings:
        lines += ["", *columns([(("yellow", "warning"), str(warning)) for warning in warnings], look, "  ")]
    return lines


def _planned(step: Mapping[str, Any]) -> Sequence[Cell]:
    back: Cell = "can be undone" if step.get("undo") else ("yellow", "cannot be undone")
    items, amount = count(step.get("items") or 0, "item"), size(step.get("bytes") or 0)
    # An analysis changes nothing, so there is nothing to undo: a warning would only frighten.
    return str(step["name"]), items, amount, WITHOUT_UNDO.get(str(step["name"]), back)


def _says(step: Mapping[str, Any], look: Look) -> list[str]:
    return [line.rstrip() for line in paragraph(str(step.get("says") or ""), look, "    ")]


def _sample(step: Mapping[str, Any], look: Look) -> list[str]:
    sample = (step.get("sample") or [])[:SAMPLE]
    rows: list[Sequence[Cell]] = [(size(item.get("bytes")), str(item.get("path"))) for item in sample]
    more = (step.get("items") or 0) - len(sample)
    lines = columns(rows, look, "      ", right=(0,))
    return [*lines, f"      … and {more:,} more"] if more > 0 and lines else lines


def _skipped(step: Mapping[str, Any], look: Look) -> list[str]:
    skipped = (step.get("skipped") or [])[:SAMPLE]
    lines = [f"      not {item.get('path')}: {item.get('why')}" for item in skipped]
    more = (step.get("skipped_count") or 0) - len(skipped)
    lines += [f"      … and {more:,} more are left alone"] if more > 0 and lines else []
    return [line for text in lines for line in paragraph(text.strip(), look, "      ")]


def _params(call: Call) -> dict[str, Any]:
    if call.values.get("emergency") and not call.values.get("reason"):
        raise UsageError("--emergency needs --reason TEXT", "execute")
    params = call.params(task="task", window="window", plan="plan", emergency="emergency", reason="reason")
    settings = dict(call.values.get("set") or ())
    if settings:
        params["options"] = {key: _setting(text) for key, text in settings.items()}
    return params


def _setting(text: str) -> Any:
    """JSON where it is JSON, else the text: `retention_days=7` is a number, `algorithm=zstd` a text."""
    try:
        return loads(text)
    except ValueError:
        return text
