"""How everything stands: status, events, the audit log."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from jamaint.core.calendar.windows import Opening, next_opening
from jamaint.core.executions import Execution, State
from jamaint.core.guards.scheduler import DRAIN_OFF
from jamaint.core.guards.task import QUARANTINED
from jamaint.core.roles import allows
from jamaint.daemon.control.commands import freezes
from jamaint.daemon.control.commands.command import Call, Daemon, Stream, ask, execution_of, moment_of, take
from jamaint.daemon.control.commands.pagination import limit_of, number_cursor, page
from jamaint.daemon.state import json_views
from jamaint.daemon.state.recent import Past
from jamaint.store import audit_log as audit
from jamaint.store.rollback_points import RollbackPoint

RECENT = 10


async def status(daemon: Daemon, call: Call) -> dict[str, Any]:
    """All at one glance; from memory while the database is away."""
    take(call)
    live = daemon.current.all()
    running = [execution for execution in live if execution.status is State.RUNNING]
    queued = [execution for execution in live if execution.status is State.SCHEDULED]
    past = await daemon.history.past(daemon.now())
    recent, totals = past.recent, past.totals
    openings = sorted(daemon.scheduler.openings.values(), key=lambda opening: opening.end)
    current = [json_views.opening(opening, daemon.scheduler.running_in(opening.window.name)) for opening in openings]
    alerts = _alerts(daemon, past)
    return {
        "overall": _overall(bool(running), bool(openings), bool(alerts)),
        "daemon": service_state(daemon),
        "scheduler": {
            "state": daemon.scheduler.state,
            "wake_at": json_views.time(daemon.scheduler.wake_at),
            "next_due": json_views.time(daemon.scheduler.first_due),
            "tasks": len(daemon.definitions.tasks),
            "windows": len(daemon.definitions.windows),
            "max_concurrent_tasks": daemon.definitions.config.scheduler.max_concurrent_tasks,
        },
        "active_tasks": [json_views.brief(execution) for execution in running],
        "queued_tasks": [json_views.brief(execution) for execution in queued[:RECENT]],
        "queued": len(queued),
        "current_window": current[0] if current else None,
        "current_windows": current,
        "next_window": json_views.opening(_next_window(daemon)),
        "recent_executions": [json_views.brief(execution) for execution in recent],
        "freezes": freezes.holding(daemon),
        "metrics": {"last_24h": totals},
        "alerts": alerts,
    }


async def alerts(daemon: Daemon, call: Call) -> dict[str, Any]:
    """What needs somebody's attention."""
    take(call)
    return {"items": _alerts(daemon, await daemon.history.past(daemon.now())), "next_cursor": None}


async def firing(daemon: Daemon) -> list[tuple[str, str]]:
    """Return the alerts that stand now, as (kind, severity)."""
    found = _alerts(daemon, await daemon.history.past(daemon.now()))
    return [(one["kind"], one["severity"]) for one in found]


async def subscribe(daemon: Daemon, call: Call) -> Stream:
    """Events from now on: all, or one execution's until it has ended."""
    (reference,) = take(call, execution=str)
    sees_logs = allows(call.role, "operator")
    if reference is None:
        return Stream({"subscribed": True, "execution": None}, daemon.observer.subscribe(None, sees_logs))
    ident = (await execution_of(daemon, reference)).id
    subscription = daemon.observer.subscribe(ident, sees_logs)
    try:
        execution = await execution_of(daemon, ident)  # as it stands now that no event can be missed
    except BaseException:
        subscription.close()
        raise
    if execution.status not in (State.RUNNING, State.SCHEDULED):
        subscription.send.send_nowait(
            {
                "event": "execution.ended",
                "at": json_views.time(daemon.now()),
                "execution": json_views.execution(execution),
            }
        )
    return Stream({"subscribed": True, "execution": json_views.execution(execution)}, subscription)


async def audit_log(daemon: Daemon, call: Call) -> dict[str, Any]:
    """Who asked for what, the newest first."""
    since, limit, cursor = take(call, since=str, limit=int, cursor=str)
    size = limit_of(limit)
    before = None if cursor is None else number_cursor(cursor)
    rows = await ask(daemon, audit.page, moment_of("since", since), before, size)
    items = [json_views.audit_entry(number, entry) for number, entry in rows]
    return page(items, len(rows) == size, lambda index: str(rows[index][0]))


def service_state(daemon: Daemon) -> dict[str, Any]:
    """The daemon itself."""
    return daemon.configuration() | {"started_at": json_views.time(daemon.started_at)}


def _overall(running: bool, open_window: bool, alerts: bool) -> str:
    if alerts:
        return "issues"
    if running:
        return "running"
    return "maintenance" if open_window else "healthy"


def _alerts(daemon: Daemon, past: Past) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if daemon.recorder.away is not None:
        found.append({"kind": "database_away", "severity": "critical", "message": daemon.recorder.away})
    if daemon.scheduler.state == "draining":
        message = f"draining: no task starts until `{DRAIN_OFF}` or a restart of jamaintd"
        found.append({"kind": "draining", "severity": "warning", "message": message})
    state = daemon.configuration()
    found += [{"kind": one["kind"], "severity": "critical", "message": one["message"]} for one in state["shortages"]]
    problem = state["config"]["problem"]
    if problem is not None:
        message = f"the previous configuration stays in force; jamaintctl config check tells what is wrong: {problem}"
        found.append({"kind": "configuration_refused", "severity": "warning", "message": message})
    found += [
        {"kind": "not_in_force", "severity": "critical", "message": message} for message in daemon.definitions.left_out
    ]
    found += [
        {"kind": "fits_no_window", "severity": "warning", "message": message, "task": task}
        for task, message in daemon.scheduler.calendar.misfits(daemon.now())
    ]
    for name, stored in daemon.definitions.stored.items():
        if stored.quarantined_at is not None:
            message = f"{name} is in quarantine: {QUARANTINED}"
            found.append({"kind": "task_quarantined", "severity": "critical", "message": message, "task": name})
    found += [_incomplete(point) for point in past.incomplete]
    found += [_failed(execution) for execution in _newest_failures(daemon, past)]
    return found


def _newest_failures(daemon: Daemon, past: Past) -> Iterator[Execution]:
    """Executions that failed and are the newest of their task; of what is no task any more, those of the last day."""
    defined = daemon.definitions.tasks
    ended = [last for name in defined if (last := daemon.scheduler.last_ended(name)) is not None]
    since, seen = daemon.now() - timedelta(days=1), set(defined)
    for execution in past.recent:
        if execution.task_name not in seen and (execution.completed_at or since) > since:
            ended.append(execution)
        seen.add(execution.task_name)
    yield from (execution for execution in ended if execution.status is State.FAILED)


def _failed(execution: Execution) -> dict[str, Any]:
    message = f"{execution.task_name} failed: {(execution.error or {}).get('message', '')}"
    return {
        "kind": "execution_failed",
        "severity": "warning",
        "message": message,
        "execution": execution.id,
        "at": json_views.time(execution.completed_at),
    }


def _incomplete(point: RollbackPoint) -> dict[str, Any]:
    left = [*(point.result or {}).get("kept", ()), *(point.result or {}).get("problems", ())]
    first = f"{left[0].get('path')}: {left[0].get('why')}" if left else "see its log"
    message = f"the rollback of {point.execution_id[:8]} is incomplete, {len(left)} left ({first}); roll back again"
    return {"kind": "rollback_incomplete", "severity": "warning", "message": message, "execution": point.execution_id}


def _next_window(daemon: Daemon) -> Opening | None:
    found = [next_opening(window, daemon.now()) for window in daemon.definitions.windows.values()]
    return min((one for one in found if one is not None), key=lambda one: one.start, default=None)
