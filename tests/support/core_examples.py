"""Objects of the core with everything filled in, so that a test names only what it is about."""

from datetime import UTC, datetime, timedelta
from typing import Any

from jamaint.core.calendar.windows import Window
from jamaint.core.executions import Execution, State
from jamaint.core.recurrence import Schedule
from jamaint.core.tasks import Task

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def task(name: str = "cleanup", **changes: Any) -> Task:
    fields: dict[str, Any] = {
        "id": f"id of {name}",
        "name": name,
        "type": "cleanup",
        "category": "logs",
        "executor": "noop",
        "schedule": None,
        "config": {},
    }
    return Task(**{**fields, **changes})


def window(name: str = "night", **changes: Any) -> Window:
    """From 02:00 UTC, for four hours, each day."""
    fields: dict[str, Any] = {
        "id": f"id of {name}",
        "name": name,
        "schedule": Schedule(cron="0 2 * * *"),
        "duration_minutes": 240,
        "timezone": "UTC",
        "allowed_tasks": (),
    }
    return Window(**{**fields, **changes})


def execution(ident: str = "e1", **changes: Any) -> Execution:
    fields: dict[str, Any] = {
        "id": ident,
        "task_id": "id of cleanup",
        "task_name": "cleanup",
        "status": State.SCHEDULED,
        "trigger": "schedule",
        "scheduled_for": NOON,
    }
    return Execution(**{**fields, **changes})
