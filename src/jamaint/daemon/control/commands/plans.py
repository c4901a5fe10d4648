"""Stored plans: make, look at item by item, approve."""

import re
from typing import Any

from jamaint.daemon.control.commands.command import Call, Daemon, moment_of, refuse_own, take, writable
from jamaint.daemon.control.commands.pagination import NOT_OURS, limit_of, page
from jamaint.daemon.execution import undo
from jamaint.daemon.scheduling.due import of_request
from jamaint.daemon.state import json_views
from jamaint.errors import INTERNAL, JamaintError, invalid, refused
from jamaint.host.plan_file import PlanFileError
from jamaint.store.plans import StoredPlan
from jamaint.worker_client.session import WorkerLostError

_CURSOR = re.compile(r"([0-9a-f]{64})-([0-9]{1,18})-([0-9]{1,18})")


async def make(daemon: Daemon, call: Call) -> dict[str, Any]:
    """Stores exactly what the task would do now and tells it; with a cursor, the next items of a plan stored before."""
    name, limit, cursor = take(call, task_=str, limit=int, cursor=str)
    task = daemon.definitions.task(name)
    size = limit_of(limit)
    if cursor is not None:
        return await _page(daemon, cursor, size)
    writable(daemon)
    execution = of_request(task, None, call.user, daemon.now())
    verdicts = await daemon.scheduler.verdicts(execution, task, daemon.now())
    collected = daemon.plans.collect()
    try:
        plan, itemised = await daemon.runner.plan(execution.id, task, collected=collected)
        if not itemised:
            collected = daemon.plans.emptied(collected)
        stored = await daemon.plans.keep(task, plan, collected, call.user, itemised)
    except undo.UndoRefusedError as error:
        raise refused(f"{task.name} would be refused: {error}", error.reasons) from error
    except WorkerLostError as error:
        raise JamaintError(INTERNAL, f"cannot plan {task.name}: {error}") from error
    except (OSError, PlanFileError, ValueError) as error:
        raise JamaintError(INTERNAL, f"the plan of {task.name} cannot be kept: {error}") from error
    finally:
        collected.writing.close()
    guards = [verdict.to_json() for verdict in verdicts] + [dict(one) for one in stored.refusals]
    return {**_view(daemon, stored), "guards": guards, **await _items(daemon, stored, 0, 0, size)}


async def get(daemon: Daemon, call: Call) -> dict[str, Any]:
    """A stored plan with a page of its items."""
    reference, limit, cursor = take(call, plan_=str, limit=int, cursor=str)
    size = limit_of(limit)
    if cursor is not None:
        return await _page(daemon, cursor, size)
    stored = await daemon.plans.find(reference)
    return {**_view(daemon, stored), **await _items(daemon, stored, 0, 0, size)}


async def listed(daemon: Daemon, call: Call) -> dict[str, Any]:
    """A page of the plans that can still be used, the newest first."""
    limit, cursor = take(call, limit=int, cursor=str)
    size = limit_of(limit)
    before = None
    if cursor is not None:
        moment, _, name = cursor.partition("|")
        at = moment_of("cursor", moment)
        if at is None or not re.fullmatch(r"[0-9a-f]{64}", name):
            raise invalid("cursor", NOT_OURS)
        before = (at, name)
    found = await daemon.plans.listed(before, size)
    items = [_view(daemon, stored) for stored in found]
    return page(items, len(found) == size, lambda index: f"{found[index].created_at.isoformat()}|{found[index].hash}")


async def approve(daemon: Daemon, call: Call) -> dict[str, Any]:
    """Lets this very plan be carried out although the guard against mass deletion refuses it."""
    (reference,) = take(call, plan_=str)
    writable(daemon)
    stored = await daemon.plans.find(reference)
    refuse_own(call, stored.created_by, f"cannot approve plan {stored.hash[:12]}: {call.user} made it")
    return _view(daemon, await daemon.plans.approve(stored.hash, call.user))


async def _page(daemon: Daemon, cursor: str, limit: int) -> dict[str, Any]:
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise invalid("cursor", NOT_OURS)
    stored = await daemon.plans.find(match[1])
    return {**_view(daemon, stored), **await _items(daemon, stored, int(match[2]), int(match[3]), limit)}


async def _items(daemon: Daemon, stored: StoredPlan, offset: int, skip: int, limit: int) -> dict[str, Any]:
    """{items, next_cursor}; a page that would be too long for a line has fewer items."""
    while True:
        found, following = await daemon.plans.page(stored, offset, skip, limit)
        shown = page([json_views.plan_item(step, item) for step, item in found], False, lambda _index: "")
        if shown["next_cursor"] is None:
            cursor = None if following is None else f"{stored.hash}-{following[0]}-{following[1]}"
            return {"items": shown["items"], "next_cursor": cursor}
        limit = len(shown["items"])


def _view(daemon: Daemon, stored: StoredPlan) -> dict[str, Any]:
    return json_views.stored_plan(stored, daemon.plans.is_approved(stored))
