"""Databases: remove what tasks have left in one."""

from typing import Any
from uuid import uuid4

from jamaint.core.plans import Step
from jamaint.core.resources import database_of
from jamaint.core.tasks import Task
from jamaint.daemon.control.commands.command import Call, Daemon, ask, take, writable
from jamaint.daemon.execution import undo as undoing
from jamaint.errors import INTERNAL, NOT_FOUND, JamaintError, invalid, not_found, refused
from jamaint.executors.shared.database_config import LOCK_TIMEOUT_SECONDS
from jamaint.store import rollback_points
from jamaint.worker_client.session import WorkerLostError

EXECUTORS = frozenset({"database.cleanup", "database.optimize"})
FORGET = "database_forget"


async def forget(daemon: Daemon, call: Call) -> dict[str, Any]:
    """Removes the schema jamaint from a task's database, or a granted one; refused while a way back needs it."""
    name, with_kept, dry_run = take(call, task_=str, with_kept=bool, dry_run=bool)
    task = _task_of(daemon, name)
    if not dry_run:
        writable(daemon)
    await _check_unused(daemon, task)
    undo = {"forget": True, "with_kept": bool(with_kept), "dry_run": bool(dry_run)}
    step = Step(FORGET, "Remove what is left in the database.", undo=undo)
    pending = daemon.background(_forgotten, daemon, task, step)
    found: dict[str, Any] = await pending.wait()
    return {"database": database_of(task.config["dsn"]), "dry_run": bool(dry_run), **found}


def _task_of(daemon: Daemon, name: str) -> Task:
    """The task of that name, or one that stands for the granted database of that name. Raises JamaintError."""
    try:
        task = daemon.definitions.task(name)
    except JamaintError as problem:
        granted = daemon.definitions.config.grants.databases
        if problem.code != NOT_FOUND:
            raise
        if name not in granted:
            names = f" (it has: {', '.join(sorted(granted))})" if granted else ""
            raise not_found("task", f"{name}, nor a database in grants.databases{names}") from problem
        return _granted(name, granted[name])
    if task.executor not in EXECUTORS:
        raise invalid("task", f"{task.name} is no task on a database")
    return task


def _granted(name: str, address: Any) -> Task:
    config = {
        "dsn": address,
        "lock_timeout_seconds": LOCK_TIMEOUT_SECONDS,
        "user": None,
        "cleanup_old_data": [],
    }
    return Task(str(uuid4()), name, "cleanup", "database", "database.cleanup", None, config)


async def _forgotten(daemon: Daemon, task: Task, step: Step) -> dict[str, Any]:
    try:
        answer = await daemon.runner.purge_of(str(uuid4()), task, step)
    except WorkerLostError as error:
        raise JamaintError(INTERNAL, f"nothing was removed: {error}") from error
    if answer["is"] != "done":
        why = undoing.why(answer)
        raise refused(f"nothing was removed: {why}", [{"guard": "database", "verdict": "refuse", "detail": why}])
    return dict(answer["details"])


async def _check_unused(daemon: Daemon, task: Task) -> None:
    """Raises JamaintError(REFUSED) while an execution runs on the same database, or one can still be rolled back
    there."""
    where = database_of(task.config["dsn"])
    names = {
        one.name
        for one in daemon.definitions.tasks.values()
        if one.executor in EXECUTORS and database_of(one.config["dsn"]) == where
    }
    whys = [f"{one.task_name} runs there" for one in daemon.current.all() if one.task_name in names]
    for one in await ask(daemon, rollback_points.kept):
        opening = one.point.opening
        config = (opening.get("task") or {}).get("config") or {}
        if opening.get("executor") in EXECUTORS and database_of(config.get("dsn", "")) == where:
            whys.append(
                f"{one.task_name} {one.point.execution_id[:8]} can be rolled back there: jamaintctl purge it first"
            )
    if whys:
        raise refused(
            f"nothing is removed from {where}: {whys[0]}",
            [{"guard": "rollback_point", "verdict": "refuse", "detail": why} for why in whys],
        )
