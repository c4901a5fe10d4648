"""A forecast as JSON: figures of each task and window, and the first runs one by one."""

from datetime import datetime
from typing import Any

from jamaint.core.scheduling.simulation import Forecast, Run, TaskForecast, WindowForecast, never_run, too_full
from jamaint.daemon.state import json_views


def forecast(found: Forecast, start: datetime, most: int) -> dict[str, Any]:
    """Lengths of time are in milliseconds. Of the tasks at most so many are told, those with skips first."""
    tasks = sorted(found.tasks.items(), key=lambda pair: (-pair[1].skipped, -pair[1].busy_seconds, pair[0]))
    return {
        "from": json_views.time(start),
        "until": json_views.time(found.until),
        "decisions": found.decisions,
        "most_at_once": found.most_at_once,
        "due": sum(one.due for one in found.tasks.values()),
        "runs": sum(one.runs for one in found.tasks.values()),
        "skipped": sum(one.skipped for one in found.tasks.values()),
        "tasks": [_task(name, one) for name, one in tasks[:most]],
        "tasks_left_out": max(len(tasks) - most, 0),
        "windows": [_window(name, one) for name, one in sorted(found.windows.items())],
        "never": [{"task": name, "why": why} for name, why in never_run(found)[:most]],
        "too_full": [{"window": name, "why": why} for name, why in too_full(found)],
        "items": [_run(run) for run in sorted(found.runs, key=_moment)],
        "items_left_out": found.left_out,
    }


def _moment(run: Run) -> tuple[datetime, str]:
    return (run.starts_at or run.scheduled_for, run.task)


def _run(run: Run) -> dict[str, Any]:
    return {
        "task": run.task,
        "window": run.window,
        "scheduled_for": json_views.time(run.scheduled_for),
        "starts_at": json_views.time(run.starts_at),
        "ends_at": json_views.time(run.ends_at),
        "guard": run.guard,
        "why": run.why,
    }


def _task(name: str, one: TaskForecast) -> dict[str, Any]:
    return {
        "task": name,
        "due": one.due,
        "runs": one.runs,
        "skipped": one.skipped,
        "busy": round(one.busy_seconds * 1000),
        "longest_wait": round(one.longest_wait_seconds * 1000),
        "past_the_end": one.past_the_end,
        "against": dict(one.against),
        "why": one.example,
    }


def _window(name: str, one: WindowForecast) -> dict[str, Any]:
    return {
        "window": name,
        "openings": one.openings,
        "runs": one.runs,
        "skipped": one.skipped,
        "used": round(one.busy_seconds / one.room_seconds, 4) if one.room_seconds else 0.0,
        "fullest": round(one.fullest, 4),
        "fullest_at": json_views.time(one.fullest_at),
    }
