"""The contract's objects as JSON. Pure; only the client formats."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from jamaint.core.calendar.windows import Opening, Window
from jamaint.core.executions import Execution, Paused, Progress, StepRecord
from jamaint.core.held_places import SECOND_NS, HeldPlace
from jamaint.core.plans import Item, Plan
from jamaint.core.policies.approvals import Approval
from jamaint.core.policies.overrides import KEY as EMERGENCY
from jamaint.core.policies.policies import Policy
from jamaint.core.recurrence import change_at
from jamaint.core.safety.plan_contract import at_once
from jamaint.core.secrets import without_passwords
from jamaint.core.tasks import Task
from jamaint.store.audit_log import Entry
from jamaint.store.plans import StoredPlan
from jamaint.store.policies import Override
from jamaint.store.rollback_points import RollbackPoint


def time(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC, to the millisecond."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def milliseconds(seconds: float | None) -> int | None:
    """Whole milliseconds."""
    return None if seconds is None else round(seconds * 1000)


def execution(value: Execution, point: RollbackPoint | None = None) -> dict[str, Any]:
    """An execution; its rollback point whole where it is known."""
    return {
        "id": value.id,
        "task_id": value.task_id,
        "task_name": value.task_name,
        "window_id": value.window_id,
        "window_name": value.window_name,
        "status": value.status.value,
        "trigger": value.trigger,
        "scheduled_for": time(value.scheduled_for),
        "started_at": time(value.started_at),
        "completed_at": time(value.completed_at),
        "duration": value.duration_ms,
        "paused_for": value.paused_ms,
        "steps": [step(record) for record in value.steps],
        "metrics": dict(value.metrics),
        "rollback_point": rollback_point(value, point),
        "error": None if value.error is None else dict(value.error),
        "progress": None if value.progress is None else progress(value.progress),
        "eta": time(value.eta),
        "paused": None if value.paused is None else paused(value.paused),
        "throttle": value.throttle,
        "reasons": [dict(reason) for reason in value.reasons],
        "requested_by": value.requested_by,
        "attempt": value.attempt,
        "retry_of": value.retry_of,
        "emergency": value.options.get(EMERGENCY),
    }


def brief(value: Execution) -> dict[str, Any]:
    """An execution among others, at a glance: of what a step tells, the lists are left out, which can be long."""
    shown = execution(value)
    for one in shown["steps"]:
        one["details"] = {
            key: detail for key, detail in one["details"].items() if not isinstance(detail, (list, tuple))
        }
    return shown


def step(record: StepRecord) -> dict[str, Any]:
    """A step of an execution."""
    return {
        "name": record.name,
        "status": record.status,
        "started_at": time(record.started_at),
        "duration": record.duration_ms,
        "details": dict(record.details),
        "error": record.error,
    }


def progress(value: Progress) -> dict[str, Any]:
    """How far an execution is."""
    return {
        "step": value.step,
        "done": value.done,
        "total": value.total,
        "unit": value.unit,
        "fraction": value.fraction,
        "waiting": value.waiting,
    }


def paused(value: Paused) -> dict[str, Any]:
    """By whom and why an execution stands still, and whether it does already."""
    return {"by": value.by, "why": value.why, "since": time(value.since), "reached": value.reached}


def rollback_point(value: Execution, point: RollbackPoint | None) -> dict[str, Any] | None:
    """What an execution keeps; only its id where the rest was not asked for."""
    if point is None:
        return None if value.rollback_point is None else {"id": value.rollback_point}
    return {
        "id": point.id,
        "status": point.status,
        "created_at": time(point.created_at),
        "expires_at": time(point.expires_at),
        "bytes": point.bytes,
        "problems": [*(point.result or {}).get("kept", ()), *(point.result or {}).get("problems", ())],
    }


def held_place(value: HeldPlace) -> dict[str, Any]:
    """What a rollback has put back at one place, and until when it is left alone."""
    ends = datetime.fromtimestamp(value["until_ns"] // SECOND_NS, UTC)
    return {"path": value["path"], "items": value["items"], "unit": value["unit"], "until": time(ends)}


def opening(value: Opening | None, running: int = 0) -> dict[str, Any] | None:
    """One opening of a window, with how many executions run in it now."""
    if value is None:
        return None
    return {
        "window_id": value.window.id,
        "window_name": value.window.name,
        "starts_at": time(value.start),
        "ends_at": time(value.end),
        "starts_until": time(value.starts_until),
        "runs_until": time(value.runs_until),
        "timezone": value.window.timezone,
        "duration_minutes": value.window.duration_minutes,
        "max_concurrent_tasks": value.window.max_concurrent_tasks,
        "clock_change": change_at(value.window.schedule, value.start),
        "running": running,
    }


def task(value: Task, *, enabled: bool, paused_until: datetime | None, next_due: datetime | None) -> dict[str, Any]:
    """A task, as it was defined and as it stands."""
    given = without_passwords(value.definition)
    return {
        "id": value.id,
        "name": value.name,
        "description": value.description,
        "type": value.type,
        "category": value.category,
        "priority": value.priority,
        "schedule": given.get("schedule"),
        "enabled": enabled,
        "executor": value.executor,
        "timeout": milliseconds(value.timeout_seconds),
        "expected_duration": milliseconds(value.expected_duration_seconds),
        "on_window_end": value.on_window_end,
        "config": dict(given.get("config") or {}),
        "dependencies": list(given.get("dependencies", ())),
        "conditions": list(given.get("conditions", ())),
        "rollback": asdict(value.rollback),
        "mass_deletion": {"share": value.mass_deletion.share, "items": value.mass_deletion.items},
        "limits": {name: limit for name, limit in asdict(value.limits).items() if limit is not None},
        "notifications": dict(given.get("notifications", {})),
        "origin": value.origin,
        "paused_until": time(paused_until),
        "quarantined_at": time(value.quarantined_at),
        "next_due": time(next_due),
    }


def window(value: Window, current: Opening | None, following: Opening | None, running: int) -> dict[str, Any]:
    """A window, as it was defined, and its openings now and next."""
    given = without_passwords(value.definition)
    return {
        "id": value.id,
        "name": value.name,
        "description": value.description,
        "schedule": given.get("schedule"),
        "duration": value.duration_minutes,
        "timezone": value.timezone,
        "cutoff": value.cutoff_minutes,
        "allowed_tasks": list(value.allowed_tasks),
        "max_concurrent_tasks": value.max_concurrent_tasks,
        "emergency_override": value.emergency_override,
        "conditions": list(given.get("conditions", ())),
        "exclusions": list(given.get("exclusions", ())),
        "notifications": dict(given.get("notifications", {})),
        "enabled": value.enabled,
        "origin": value.origin,
        "current": opening(current, running),
        "next": opening(following),
    }


def policy(value: Policy) -> dict[str, Any]:
    """A policy, as it was defined."""
    given = without_passwords(value.definition)
    return {
        "id": value.id,
        "name": value.name,
        "description": value.description,
        "scope": dict(given.get("scope") or {}),
        "rules": list(given.get("rules") or ()),
        "actions": list(given.get("actions") or (() if value.decision is None else (value.decision,))),
        "conditions": list(given.get("conditions") or ()),
        "enabled": value.enabled,
        "priority": value.priority,
        "origin": value.origin,
    }


def approval(value: Approval) -> dict[str, Any]:
    """An approval."""
    return {
        "id": value.id,
        "task": value.task_name,
        "execution": value.execution_id,
        "plan": value.plan,
        "occurrences": value.occurrences,
        "by": value.by,
        "reason": value.reason,
        "approved_at": time(value.at),
        "expires_at": time(value.expires_at),
    }


def override(value: Override) -> dict[str, Any]:
    """An emergency override."""
    return {
        "id": value.id,
        "execution": value.execution_id,
        "task": value.task_name,
        "window": value.window_name,
        "by": value.given_by,
        "uid": value.uid,
        "reason": value.reason,
        "given_at": time(value.given_at),
        "until": time(value.until),
        "lifts": list(value.lifts),
        "lifted": [dict(verdict) for verdict in value.lifted],
    }


def plan(value: Plan) -> dict[str, Any]:
    """What an execution would do."""
    steps = [
        {
            "name": one.name,
            "says": one.says,
            "items": one.items,
            "bytes": one.bytes,
            "undo": one.undo is not None,
            "at_once": at_once(one),
            "sample": [dict(item) for item in one.sample],
            "skipped": [dict(item) for item in one.args.get("skipped", ())],
            "skipped_count": one.args.get("skipped_count", 0),
        }
        for one in value.steps
    ]
    return {"steps": steps, "warnings": list(value.warnings)}


def stored_plan(value: StoredPlan, approved: bool) -> dict[str, Any]:
    """A stored plan, without its items; `count` of them."""
    return {
        "hash": value.hash,
        "task": value.task_name,
        "created_at": time(value.created_at),
        "created_by": value.created_by,
        "expires_at": time(value.expires_at),
        "count": value.items,
        "bytes": value.bytes,
        "itemised": value.itemised,
        "plan": {"steps": [dict(one) for one in value.steps], "warnings": list(value.warnings)},
        "refusals": [dict(one) for one in value.refusals],
        "approved_by": value.approved_by if approved else None,
        "approved_at": time(value.approved_at) if approved else None,
    }


def plan_item(step: str, item: Item) -> dict[str, Any]:
    """One thing that a step of a stored plan acts on, as it was"""
    return {
        "step": step,
        "path": f"{item.root}/{item.path}",
        "bytes": item.size,
        "device": item.device,
        "inode": str(item.inode),
        "mtime": moment_of_ns(item.mtime_ns),
        "ctime": moment_of_ns(item.ctime_ns),
    }


def moment_of_ns(nanoseconds: int) -> str | None:
    """A time of a file as RFC 3339, to the millisecond; None for one that no calendar has."""
    try:
        return time(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=nanoseconds // 1000))
    except OverflowError:
        return None


def audit_entry(number: int, entry: Entry) -> dict[str, Any]:
    """Who did what."""
    return {
        "id": number,
        "at": time(entry.at),
        "uid": entry.uid,
        "pid": entry.pid,
        "user": entry.user,
        "role": entry.role,
        "method": entry.method,
        "object": entry.object,
        "outcome": entry.outcome,
        "detail": dict(entry.detail),
    }


def log_line(row: Mapping[str, Any]) -> dict[str, Any]:
    """A line of an execution's log."""
    return {**row, "at": time(row["at"])}
