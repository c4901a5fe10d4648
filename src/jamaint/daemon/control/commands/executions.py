"""Executions: start, look at, stop, undo."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from trio import move_on_after

from jamaint.core.executions import ENDED, Execution, State
from jamaint.core.roles import allows
from jamaint.core.system_cleanup import narrowed, wrong_options
from jamaint.core.tasks import Task
from jamaint.daemon.control.commands import overrides
from jamaint.daemon.control.commands.command import Call, Daemon, ask, execution_of, moment_of, take, writable
from jamaint.daemon.control.commands.pagination import limit_of, moment_cursor, number_cursor, page
from jamaint.daemon.execution import undo
from jamaint.daemon.scheduling.due import of_request
from jamaint.daemon.state import json_views
from jamaint.errors import CONFLICT, JamaintError, invalid, refused
from jamaint.store import executions, rollback_points
from jamaint.worker_client.session import WorkerLostError

LOG_LIMIT = 1000
SHOWN_LINES = 100
"""Lines of the log, the newest, that come with an execution."""
APPROVED_WITHIN = timedelta(days=1)
"""How long one that was triggered by hand waits to be approved."""


async def start(daemon: Daemon, call: Call) -> dict[str, Any]:
    """Runs a task now, or tells what it would do; answers when it is durable, not when it has ended."""
    name, window_name, dry_run, plan, emergency, reason, options = take(
        call, task_=str, window=str, dry_run=bool, plan=str, emergency=bool, reason=str, options=dict
    )
    task = daemon.definitions.task(name)
    _refuse_unknown(options, task)
    window = None if window_name is None else daemon.definitions.window(window_name)
    execution = of_request(task, window, _requester(call, reason), daemon.now(), options or {})
    if plan is not None:
        chosen = await daemon.plans.usable(plan, task)
        execution = replace(execution, options={**execution.options, "plan": chosen.hash})
    unlifted = execution
    if emergency:
        execution = overrides.lifted(daemon, call, task, window, execution=execution, reason=reason)
    verdicts = await daemon.scheduler.verdicts(execution, task, daemon.now())
    if dry_run:
        return await _dry_run(daemon, execution, task.name, [verdict.to_json() for verdict in verdicts])
    against = [verdict for verdict in verdicts if verdict.verdict == "refuse"]
    if against:
        message = f"cannot run {task.name}: {against[0].detail}"
        raise refused(message, [verdict.to_json() for verdict in verdicts if verdict.verdict != "pass"])
    writable(daemon)
    waits = [verdict.to_json() for verdict in verdicts if verdict.guard == "policy" and verdict.verdict == "wait"]
    if waits:  # for somebody to approve it, and not for ever
        execution = replace(execution, deadline=daemon.now() + APPROVED_WITHIN)
    if emergency:
        lifted = await daemon.scheduler.verdicts(unlifted, task, daemon.now())
        await overrides.note(daemon, call, execution, lifted)
    await daemon.scheduler.request(execution, task)
    return {"execution_id": execution.id} | ({"waits": waits} if waits else {})


async def listed(daemon: Daemon, call: Call) -> dict[str, Any]:
    """A page of executions, the newest first; those of one task by its name or id."""
    task, status, since, limit, cursor = take(call, task=str, status=str, since=str, limit=int, cursor=str)
    if status is not None and status not in tuple(State):
        raise invalid("status", f"must be one of {', '.join(State)}")
    size = limit_of(limit)
    found = await ask(
        daemon,
        executions.page,
        task=None if task is None else daemon.definitions.name_of(task),
        status=status,
        since=moment_of("since", since),
        before=None if cursor is None else moment_cursor(cursor),
        limit=size,
    )
    points = await ask(daemon, rollback_points.of_executions, [one.id for one in found])
    items = [json_views.execution(daemon.current.get(one.id) or one, points.get(one.id)) for one in found]
    return page(items, len(found) == size, lambda index: f"{found[index].scheduled_for.isoformat()}|{found[index].id}")


async def get(daemon: Daemon, call: Call) -> dict[str, Any]:
    """One execution, with its rollback point and, for those who may read it, the newest lines of its log."""
    (reference,) = take(call, execution_=str)
    execution = await execution_of(daemon, reference)
    lines = None
    if allows(call.role, "operator") and daemon.recorder.away is None:
        lines = [
            json_views.log_line(row) for row in await ask(daemon, executions.last_lines, execution.id, SHOWN_LINES)
        ]
    return await _whole(daemon, execution) | {"logs": lines}


async def logs(daemon: Daemon, call: Call) -> dict[str, Any]:
    """Lines of an execution's log, the oldest first."""
    reference, after, limit, cursor = take(call, execution_=str, after_seq=int, limit=int, cursor=str)
    execution = await execution_of(daemon, reference)
    start_after = number_cursor(cursor) if cursor is not None else after or 0
    size = limit_of(limit, LOG_LIMIT)
    rows = await ask(daemon, executions.log_lines, execution.id, start_after, size)
    return page([json_views.log_line(row) for row in rows], len(rows) == size, lambda index: str(rows[index]["seq"]))


async def wait(daemon: Daemon, call: Call) -> dict[str, Any]:
    """Answers when the execution has ended, or after `timeout` seconds as it stands then."""
    reference, timeout = take(call, execution_=str, timeout=(int, float))
    ident = (await execution_of(daemon, reference)).id
    with move_on_after(float("inf") if timeout is None else max(0.0, timeout)):
        await _until_ended(daemon, ident)
    return await _whole(daemon, await execution_of(daemon, ident))


async def cancel(daemon: Daemon, call: Call) -> dict[str, Any]:
    """Cancels what waits at once; what runs stops at its next safe point."""
    (reference,) = take(call, execution_=str)
    execution = await execution_of(daemon, reference)
    if not await daemon.scheduler.cancel(execution.id, f"cancelled by {call.user}"):
        raise JamaintError(
            CONFLICT,
            f"cannot cancel {execution.id[:8]}: it is {execution.status.value.replace('_', ' ')} already",
            {"status": execution.status.value},
        )
    return await _whole(daemon, await execution_of(daemon, execution.id))


async def roll_back(daemon: Daemon, call: Call) -> dict[str, Any]:
    """Undoes an ended execution, or tells what that would put back. Goes on also when the caller hangs up."""
    reference, dry_run, wait_for_it = take(call, execution_=str, dry_run=bool, wait=bool)
    execution = await execution_of(daemon, reference)
    if dry_run:
        result = await daemon.rollbacks.would_undo(execution)
        return await _undone(daemon, execution, result, dry_run=True)
    writable(daemon)
    daemon.rollbacks.check_free(execution, await daemon.rollbacks.point_of(execution))
    pending = daemon.background(daemon.rollbacks.undo, execution)
    if wait_for_it is False:
        return {"execution": await _whole(daemon, execution), "detached": True, "dry_run": False}
    execution, result = await pending.wait()
    return await _undone(daemon, execution, result, dry_run=False)


async def _dry_run(daemon: Daemon, execution: Execution, name: str, guards: list[dict[str, Any]]) -> dict[str, Any]:
    try:
        task = narrowed(daemon.definitions.task(name), execution.options)
        plan, _ = await daemon.runner.plan(execution.id, task, execution.options.get("plan"))
    except undo.UndoRefusedError as error:
        raise refused(f"{name} would be refused: {error}", error.reasons) from error
    except WorkerLostError as error:
        raise JamaintError(-32603, f"cannot plan {name}: {error}") from error
    return {
        "execution_id": None,
        "dry_run": True,
        "task": name,
        "guards": [*guards, *plan.refusals],
        "plan": json_views.plan(plan),
    }


def _refuse_unknown(options: Mapping[str, Any] | None, task: Task) -> None:
    """What this version does not carry out is refused, not passed over."""
    problem = wrong_options(task, options) if options else None
    if problem is not None:
        raise invalid("options", problem)


def _requester(call: Call, reason: str | None) -> str:
    return call.user if reason is None else f"{call.user}: {reason[:500]}"


async def _whole(daemon: Daemon, execution: Execution) -> dict[str, Any]:
    if execution.rollback_point is None or daemon.recorder.away is not None:
        return json_views.execution(execution)
    return json_views.execution(execution, await ask(daemon, rollback_points.of_execution, execution.id))


async def _undone(daemon: Daemon, execution: Execution, result: undo.Undone, dry_run: bool) -> dict[str, Any]:
    return {"execution": await _whole(daemon, execution), **result.to_json(), "dry_run": dry_run}


async def _until_ended(daemon: Daemon, ident: str) -> None:
    while True:
        subscription = daemon.observer.subscribe(ident)
        try:
            if (await execution_of(daemon, ident)).status in ENDED:
                return
            async for event in subscription.events:  # they end when they have come faster than they could be read
                if event["event"] == "execution.ended":
                    return
        finally:
            subscription.close()
