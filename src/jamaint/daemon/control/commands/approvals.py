"""Approvals: say that an execution, or the next ones of a task, may start; or that it may not."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import trio

from jamaint.core.executions import Execution, State
from jamaint.core.policies.approvals import OWNER, Approval, asker_of, digest_of
from jamaint.core.policies.policies import about
from jamaint.core.tasks import Task
from jamaint.daemon.control.commands.command import (
    Call,
    Daemon,
    execution_of,
    is_owner,
    moment_of,
    refuse_own,
    take,
    writable,
)
from jamaint.daemon.state import json_views
from jamaint.errors import CONFLICT, NOT_AUTHORISED, JamaintError, invalid
from jamaint.host.peer_credentials import gid_of, uid_of
from jamaint.store import policies

LASTS = timedelta(days=7)
"""How long an approval holds where it does not say."""
OCCURRENCES = 1000


async def approve(daemon: Daemon, call: Call) -> dict[str, Any]:
    """Lets a waiting execution start; with `occurrences`, also so many of its task altogether."""
    reference, count, until, reason = take(call, execution_=str, occurrences=int, until=str, reason=str)
    execution = await execution_of(daemon, reference)
    _refuse_unless_waiting(execution, "approve")
    refuse_own(call, asker_of(execution), f"cannot approve {execution.id[:8]}: {call.user} asked for it")
    task = daemon.definitions.task(execution.task_name)
    _refuse_own_definition(daemon, call, task)
    return await _approve(
        daemon, call, task, execution.window_name, count=count, until=until, reason=reason, execution=execution.id
    )


async def approve_task(daemon: Daemon, call: Call) -> dict[str, Any]:
    """Approves executions of a task before there are any: one or so many, until then, of any plan or of one."""
    name, count, until, reason, plan = take(call, task_=str, occurrences=int, until=str, reason=str, plan=str)
    task = daemon.definitions.task(name)
    _refuse_own_definition(daemon, call, task)
    for one in daemon.current.all():
        if one.task_name == task.name and one.status is State.SCHEDULED:
            refuse_own(call, asker_of(one), f"cannot approve {task.name}: {call.user} asked for {one.id[:8]}")
    window = None if task.schedule is None else task.schedule.window
    if plan is not None:
        plan = (await daemon.plans.usable(plan, task)).hash
    return await _approve(daemon, call, task, window, count=count, until=until, reason=reason, plan=plan)


async def reject(daemon: Daemon, call: Call) -> dict[str, Any]:
    """Cancels an execution that waits to be approved, with the reason."""
    reference, reason = take(call, execution_=str, reason=str)
    execution = await execution_of(daemon, reference)
    _refuse_unless_waiting(execution, "reject")
    task = daemon.definitions.task(execution.task_name)
    await _principals(daemon, call, task, execution.window_name)
    because = f": {reason[:500]}" if reason else ""
    if not await daemon.scheduler.give_up(execution.id, "policy", f"rejected by {call.user}{because}"):
        raise JamaintError(CONFLICT, f"cannot reject {execution.id[:8]}: it has started already")
    return json_views.execution(await execution_of(daemon, execution.id))


async def _approve(
    daemon: Daemon,
    call: Call,
    task: Task,
    window: str | None,
    *,
    count: int | None,
    until: str | None,
    reason: str | None,
    execution: str | None = None,
    plan: str | None = None,
) -> dict[str, Any]:
    occurrences = 1 if count is None else count
    if not 1 <= occurrences <= OCCURRENCES:
        raise invalid("occurrences", f"must be from 1 to {OCCURRENCES}")
    now = daemon.now()
    expires_at = moment_of("until", until) or now + LASTS
    if expires_at <= now:
        raise invalid("until", f"{until} lies in the past")
    principals = await _principals(daemon, call, task, window)
    writable(daemon)
    approval = Approval(
        id=str(uuid4()),
        task_name=task.name,
        by=call.user,
        at=now,
        expires_at=expires_at,
        occurrences=occurrences,
        execution_id=execution,
        plan=plan,
        definition=digest_of(task.definition),
        reason=None if reason is None else reason[:500],
        as_principals=principals | ({OWNER} if is_owner(call) else frozenset()),
    )
    await daemon.recorder.run(policies.approve, approval, daemon.definitions.seal_of(approval))
    daemon.scheduler.take_approval(approval)
    return json_views.approval(approval)


def _refuse_own_definition(daemon: Daemon, call: Call, task: Task) -> None:
    stored = daemon.definitions.stored.get(task.name)
    authors = () if stored is None or task.origin == "file" else stored.authors
    if call.user in authors:
        refuse_own(call, call.user, f"cannot approve {task.name}: {call.user} made or changed it")


def _refuse_unless_waiting(execution: Execution, verb: str) -> None:
    if execution.status is not State.SCHEDULED:
        status = execution.status.value.replace("_", " ")
        raise JamaintError(CONFLICT, f"cannot {verb} {execution.id[:8]}: it is {status} already", {"status": status})


async def _principals(daemon: Daemon, call: Call, task: Task, window: str | None) -> frozenset[str]:
    """As whom the caller may approve the task. Raises JamaintError where nothing asks for it, or for somebody else."""
    asking = [
        policy
        for policy in about(daemon.definitions.policies_in_order, task, window)
        if policy.rules.approval_by is not None or policy.decision == "require_approval"
    ]
    if not asking:
        raise JamaintError(CONFLICT, f"no policy asks for {task.name} to be approved")
    wanted = {name for policy in asking for name in (policy.rules.approval_by or ("admin",))}
    mine = frozenset(await trio.to_thread.run_sync(_matching, call, wanted))
    if not mine:
        whom = " or ".join(sorted(wanted)).replace("admin", "an admin")
        raise JamaintError(NOT_AUTHORISED, f"cannot decide over {task.name}: its policies ask for {whom}")
    return mine


def _matching(call: Call, wanted: set[str]) -> set[str]:
    """Of the names of a policy, those that the caller goes by; an owner goes by all."""
    return {name for name in wanted if is_owner(call) or _goes_by(call, name)}


def _goes_by(call: Call, name: str) -> bool:
    kind, _, account = name.partition(":")
    if kind == "user":
        return call.peer.uid == uid_of(account)
    if kind == "group":
        return gid_of(account) in call.peer.gids
    return name == "admin" and call.role == "admin"
