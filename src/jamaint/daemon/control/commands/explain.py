"""Why a task runs or does not: now and later by its guards, in the past by what was written down then."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from jamaint.core.executions import Execution, State
from jamaint.core.held_places import overlap
from jamaint.core.resources import touched
from jamaint.core.tasks import Task
from jamaint.daemon.control.commands.command import Call, Daemon, ask, moment_of, take
from jamaint.daemon.control.commands.held import held_now
from jamaint.daemon.scheduling.due import of_request
from jamaint.daemon.state import json_views
from jamaint.store import executions

NOW = timedelta(minutes=1)
"""A moment as near as this to now is now."""
NEAR = timedelta(hours=12)
"""Occurrences as near as this to a moment of the past are told of: nobody knows the minute of last night's."""
KNOWN_AHEAD = frozenset({"window", "freeze", "fit", "retry", "policy"})
"""Guards that know what will be; all others can only say what is so now."""


async def explain(daemon: Daemon, call: Call) -> dict[str, Any]:
    """Why the task runs or does not, now, at a moment to come, or at one that is past."""
    name, at = take(call, task_=str, at=str)
    task, now = daemon.definitions.task(name), daemon.now()
    moment = moment_of("at", at) or now
    if moment < now - NOW:
        return await _past(daemon, task, moment)
    window = None if task.schedule is None else task.schedule.window
    execution = replace(
        of_request(task, None if window is None else daemon.definitions.window(window), "", moment),
        trigger="schedule",
    )
    verdicts = await daemon.scheduler.verdicts(execution, task, moment)
    live = [one for one in daemon.current.all() if one.task_name == task.name] if moment < now + NOW else []
    guards = [verdict.to_json() for verdict in verdicts]
    if moment >= now + NOW:
        guards = [guard if guard["guard"] in KNOWN_AHEAD else {**guard, "of": "now"} for guard in guards]
    return {
        "task": task.name,
        "at": json_views.time(moment),
        "verdict": _verdict(live, {verdict.verdict for verdict in verdicts}),
        "next_due": json_views.time(daemon.scheduler.next_due(task.name)),
        "guards": guards,
        "last": await _last(daemon, task),
        "held": await _held(daemon, task),
    }


async def _held(daemon: Daemon, task: Task) -> list[dict[str, Any]]:
    """What rollbacks have put back and a run of the task would leave alone."""
    paths = [touch.value for touch in touched(task.executor, task.config) if touch.kind == "path"]
    return [
        one
        for one in await held_now(daemon)
        if one["task_name"] == task.name or any(overlap(one["path"], path) for path in paths)
    ]


async def _past(daemon: Daemon, task: Task, moment: datetime) -> dict[str, Any]:
    """What became of the occurrences around that moment; the nearest decides over the verdict."""
    found: list[Execution] = await ask(daemon, executions.around, task.name, moment, NEAR)
    found = [daemon.current.get(one.id) or one for one in found]
    nearest = min(found, key=lambda one: _distance(one, moment), default=None)
    stored = daemon.definitions.stored.get(task.name)
    return {
        "task": task.name,
        "at": json_views.time(moment),
        "past": True,
        "verdict": "was_not_due" if nearest is None else _fate(nearest),
        "next_due": json_views.time(daemon.scheduler.next_due(task.name)),
        "guards": [] if nearest is None else [dict(reason) for reason in nearest.reasons],
        "nearest": None if nearest is None else nearest.id,
        "occurrences": [json_views.brief(one) for one in found],
        "definition": {
            "changed_at": json_views.time(None if stored is None else stored.updated_at),
            "counts_from": json_views.time(None if stored is None else stored.due_from),
        },
        "window": _window(daemon, task, moment, found),
        "last": await _last(daemon, task),
    }


def _distance(execution: Execution, moment: datetime) -> timedelta:
    """None at all while it ran, or waited."""
    begins, ends = execution.scheduled_for, execution.completed_at
    if begins <= moment and (ends is None or moment <= ends):
        return timedelta(0)
    return min(abs(begins - moment), abs((ends or begins) - moment))


def _fate(execution: Execution) -> str:
    if execution.started_at is not None:
        return "runs" if execution.status is State.RUNNING else "ran"
    return "waits" if execution.status is State.SCHEDULED else "was_skipped"


def _window(daemon: Daemon, task: Task, moment: datetime, found: Sequence[Execution]) -> dict[str, Any] | None:
    """The window in which it runs, and whether that was open then, as it is defined now."""
    name = task.schedule.window if task.schedule else None
    name = name or next((one.window_name for one in found if one.window_name), None)
    if name is None:
        return None
    opening = daemon.scheduler.calendar.openings_at(moment).get(name)
    return {"name": name, "is_defined": name in daemon.definitions.windows, "opening": json_views.opening(opening)}


async def _last(daemon: Daemon, task: Task) -> dict[str, Any] | None:
    newest = await ask(daemon, executions.page, task=task.name, limit=1)
    return json_views.execution(newest[0]) if newest else None


def _verdict(live: list[Execution], verdicts: set[str]) -> str:
    if any(execution.status is State.RUNNING for execution in live):
        return "runs"
    if live:
        return "waits"
    return "would_run" if verdicts == {"pass"} else "does_not_run"
