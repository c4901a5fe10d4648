"""Emergency overrides: whether one is allowed, what it lifts, and that it is written down."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from jamaint.core.calendar.windows import Window
from jamaint.core.executions import Execution
from jamaint.core.guards.guard import Verdict
from jamaint.core.policies.overrides import KEY, LASTS, LIFTS, override
from jamaint.core.policies.policies import emergency_seconds
from jamaint.core.tasks import Task
from jamaint.daemon.control.commands.command import Call, Daemon, ask, moment_of, take
from jamaint.daemon.control.commands.pagination import limit_of, moment_cursor, page
from jamaint.daemon.state import json_views
from jamaint.errors import invalid, refused
from jamaint.store import policies
from jamaint.store.policies import Override


def lifted(
    daemon: Daemon, call: Call, task: Task, window: Window | None, *, execution: Execution, reason: str | None
) -> Execution:
    """The execution with an override. Raises JamaintError where there is no reason, or neither window nor policy
    allows."""
    if not (reason or "").strip():
        raise invalid("reason", "is needed with emergency: it is kept, and counted in reports")
    own = None if task.schedule is None or task.schedule.window is None else task.schedule.window
    asked = window or (None if own is None else daemon.definitions.windows.get(own))
    name = None if asked is None else asked.name
    seconds = emergency_seconds(task, name, daemon.definitions.policies_in_order)
    if seconds is None and (asked is None or not asked.emergency_override):
        where = f"window {name} has no emergency_override" if name else f"{task.name} has no window that could allow it"
        detail = f"{where}, and no policy has a rule `emergency` for it"
        raise refused(f"cannot override for {task.name}: {detail}", [Verdict("emergency", "refuse", detail).to_json()])
    lasts = LASTS if seconds is None else timedelta(seconds=seconds)
    given = override(str(uuid4()), call.user, str(reason)[:500], daemon.now(), lasts)
    return replace(execution, options={**execution.options, KEY: given})


async def note(daemon: Daemon, call: Call, execution: Execution, against: Sequence[Verdict]) -> None:
    """Writes the override down, with what stood against the start without it."""
    given = execution.options[KEY]
    await daemon.recorder.run(
        policies.override,
        Override(
            id=given["id"],
            execution_id=execution.id,
            task_name=execution.task_name,
            window_name=execution.window_name,
            given_by=call.user,
            uid=call.peer.uid,
            reason=given["reason"],
            given_at=datetime.fromisoformat(given["at"]),
            until=datetime.fromisoformat(given["until"]),
            lifts=LIFTS,
            lifted=[verdict.to_json() for verdict in against if verdict.verdict != "pass" and _is_lifted(verdict)],
        ),
    )


def _is_lifted(verdict: Verdict) -> bool:
    return verdict.guard in (*LIFTS, "policy")


async def listed(daemon: Daemon, call: Call) -> dict[str, Any]:
    """Emergency overrides, the newest first: who, why, until when, and what they lifted."""
    since, limit, cursor = take(call, since=str, limit=int, cursor=str)
    size = limit_of(limit)
    before = None if cursor is None else moment_cursor(cursor)
    found = await ask(daemon, policies.overrides, moment_of("since", since), before, size)
    items = [json_views.override(one) for one in found]
    return page(items, len(found) == size, lambda index: f"{found[index].given_at.isoformat()}|{found[index].id}")
