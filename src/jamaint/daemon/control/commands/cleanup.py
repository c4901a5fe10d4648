"""Cleanup: run what the section `cleanup` says, what cleanups have done, what is used, and what would help."""

from typing import Any

from jamaint.core.cleanup_kinds import KINDS, SYSTEM
from jamaint.daemon.control.commands import executions
from jamaint.daemon.control.commands.command import Call, Daemon, ask, moment_of, take
from jamaint.daemon.control.commands.pagination import limit_of, moment_cursor, page
from jamaint.daemon.state import json_views
from jamaint.errors import invalid, not_found
from jamaint.store import cleanup_history
from jamaint.store.cleanup_history import Kept

TASK = "cleanup"


async def run(daemon: Daemon, call: Call) -> dict[str, Any]:
    """Starts the cleanup of all kinds, or of those named; answers as `execution.start` does."""
    kinds, dry_run, reason = take(call, kinds=list, dry_run=bool, reason=str)
    params: dict[str, Any] = {"task": TASK, "dry_run": dry_run, "reason": reason}
    if kinds:
        params["options"] = {"kinds": _known(daemon, kinds)}
    else:
        _kinds(daemon)
    return await executions.start(daemon, call._replace(params=params))


async def analysis(daemon: Daemon, call: Call) -> dict[str, Any]:
    """What is used, what a cleanup would free now, and what to do."""
    take(call)
    return await daemon.usage.analysis()


async def usage(daemon: Daemon, call: Call) -> dict[str, Any]:
    """How large everything is that the tasks work on, how it grows, and when a disk is full."""
    take(call)
    return {"items": await daemon.usage.measure(), "next_cursor": None}


async def history(daemon: Daemon, call: Call) -> dict[str, Any]:
    """A page of cleanups, the newest first."""
    since, limit, cursor = take(call, since=str, limit=int, cursor=str)
    size = limit_of(limit)
    before = None if cursor is None else moment_cursor(cursor)
    found = await ask(daemon, cleanup_history.page, moment_of("since", since), before, size)
    return page(
        [_view(kept) for kept in found],
        len(found) == size,
        lambda index: f"{found[index].cleanup.started_at.isoformat()}|{found[index].cleanup.id}",
    )


def _known(daemon: Daemon, kinds: list[Any]) -> list[str]:
    there = _kinds(daemon)
    for kind in kinds:
        if kind not in KINDS:
            raise invalid("kinds", f"there is no kind {str(kind)[:60]!r}: there are {', '.join(KINDS)}")
        if kind not in there:
            raise invalid("kinds", f"{kind} is not configured: the section `cleanup` has {', '.join(there)}")
    return [kind for kind in there if kind in kinds]


def _kinds(daemon: Daemon) -> list[str]:
    """The kinds that are configured. Raises JamaintError when there are none."""
    task = daemon.definitions.tasks.get(TASK)
    if task is None or task.executor != SYSTEM:
        raise not_found("section", "cleanup: it says what is cleaned up, and the configuration has none")
    return [one["kind"] for one in task.config["kinds"]]


def _view(kept: Kept) -> dict[str, Any]:
    cleanup = kept.cleanup
    return {
        "id": cleanup.id,
        "cleanup_type": cleanup.cleanup_type,
        "task_name": kept.task_name,
        "started_at": json_views.time(cleanup.started_at),
        "completed_at": json_views.time(cleanup.completed_at),
        "duration": cleanup.duration_ms,
        "operations": [dict(operation) for operation in cleanup.operations],
        "total_freed_space": cleanup.freed_space,
        "total_processed_items": cleanup.processed_items,
        "success": cleanup.success,
        "error_message": cleanup.error_message,
        "status": kept.status,
        "freed_by_now": int(kept.metrics_now.get("freed_space", 0)),
    }
