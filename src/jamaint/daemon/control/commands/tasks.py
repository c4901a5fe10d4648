"""Tasks: look at, explain, make, change, switch."""

from collections.abc import Iterable, Mapping
from typing import Any

from jamaint.config import parse_task
from jamaint.core.calendar.restrictions import Hold
from jamaint.core.estimates import quantile
from jamaint.core.roles import allows
from jamaint.core.scheduling.never_starts import never_comes
from jamaint.core.tasks import Task
from jamaint.daemon.control.commands import freezes
from jamaint.daemon.control.commands.command import Call, Daemon, ask, moment_of, refuse_file, take, writable
from jamaint.daemon.control.commands.pagination import by_name
from jamaint.daemon.state import json_views
from jamaint.errors import CONFLICT, JamaintError, invalid
from jamaint.store import executions


async def listed(daemon: Daemon, call: Call) -> dict[str, Any]:
    """All tasks, by name."""
    limit, cursor = take(call, limit=int, cursor=str)
    tasks = daemon.definitions
    holds = freezes.holds_now(daemon)
    return by_name(list(tasks.tasks), lambda name: _view(daemon, call, tasks.task(name), holds), limit, cursor)


async def get(daemon: Daemon, call: Call) -> dict[str, Any]:
    """One task, with its newest execution."""
    (name,) = take(call, task_=str)
    task = daemon.definitions.task(name)
    newest = await ask(daemon, executions.page, task=task.name, limit=1)
    return _view(daemon, call, task) | {"last_execution": json_views.execution(newest[0]) if newest else None}


async def create(daemon: Daemon, call: Call) -> dict[str, Any]:
    """Makes a task; it may name what `grants` lists, or anything if root makes it."""
    (value,) = take(call, task_=dict)
    task = _parse(daemon, call, value)
    if task.name in daemon.definitions.tasks:
        raise JamaintError(CONFLICT, f"there is a task {task.name} already: update it, or choose another name")
    return await _put(daemon, call, task)


async def update(daemon: Daemon, call: Call) -> dict[str, Any]:
    """Changes the given keys of a task that was made through the socket."""
    name, changes = take(call, task_=str, changes_=dict)
    task = daemon.definitions.task(name)
    refuse_file("task", task.name, task.origin, daemon.definitions.config.path)
    changed = _parse(daemon, call, {**task.definition, **changes})
    if changed.name != task.name:
        raise invalid("name", "cannot be changed: create a new task and delete this one")
    return await _put(daemon, call, changed)


async def put_schedules(daemon: Daemon, call: Call, schedules: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give tasks made through the socket other schedules, by their names: all of them, or none. Raises JamaintError."""
    changed = []
    for name, schedule in schedules.items():
        try:
            changed.append(_parse(daemon, call, {**daemon.definitions.task(name).definition, "schedule": schedule}))
        except JamaintError as problem:
            raise JamaintError(
                problem.code, f"{name}: {problem.message}; no schedule was changed", problem.data
            ) from problem
    writable(daemon)
    await daemon.definitions.put_tasks(changed, daemon.now(), call.user, by_root=call.peer.uid == 0)
    daemon.scheduler.take_definitions()
    return [_view(daemon, call, daemon.definitions.task(task.name)) for task in changed]


async def delete(daemon: Daemon, call: Call) -> dict[str, Any]:
    """Deletes a task that was made through the socket; its executions stay."""
    (name,) = take(call, task_=str)
    task = daemon.definitions.task(name)
    refuse_file("task", task.name, task.origin, daemon.definitions.config.path)
    needed_by = [
        one.name
        for one in daemon.definitions.tasks.values()
        if any(d.task == task.name for d in one.dependencies) or _follows(one, task.name)
    ]
    if needed_by:
        raise JamaintError(CONFLICT, f"cannot delete {task.name}: {', '.join(needed_by)} depends on it")
    writable(daemon)
    await daemon.definitions.delete_task(task.name)
    daemon.scheduler.take_task(task.name)
    return {"deleted": task.name}


async def enable(daemon: Daemon, call: Call) -> dict[str, Any]:
    """Switches a task on again, ends a pause and a quarantine; what came due meanwhile is not made up for."""
    shown = await _switch(daemon, call, off=False)
    if daemon.definitions.quarantined_at(shown["name"]) is not None:
        await daemon.definitions.quarantine_task(shown["name"], None, daemon.now())
        daemon.scheduler.take_definitions()
        shown = _view(daemon, call, daemon.definitions.task(shown["name"]))
    if shown["paused_until"] is None:
        return shown
    await daemon.definitions.pause_task(shown["name"], None)
    daemon.scheduler.take_task(shown["name"])
    return _view(daemon, call, daemon.definitions.task(shown["name"]))


async def disable(daemon: Daemon, call: Call) -> dict[str, Any]:
    """Switches a task off until it is enabled again, also one from a file."""
    return await _switch(daemon, call, off=True)


async def pause(daemon: Daemon, call: Call) -> dict[str, Any]:
    """Skips what comes due until then, each with that reason; without `until`, ends a pause."""
    name, until = take(call, task_=str, until=str)
    task = daemon.definitions.task(name)
    moment = moment_of("until", until)
    if moment is not None and moment <= daemon.now():
        raise invalid("until", f"{until} lies in the past; to end a pause, enable the task")
    writable(daemon)
    await daemon.definitions.pause_task(task.name, moment)
    daemon.scheduler.take_task(task.name)
    return _view(daemon, call, task)


async def _switch(daemon: Daemon, call: Call, off: bool) -> dict[str, Any]:
    (name,) = take(call, task_=str)
    task = daemon.definitions.task(name)
    if not off and not daemon.definitions.tasks[task.name].enabled:
        refuse_file("task", task.name, task.origin, daemon.definitions.config.path)
        raise JamaintError(CONFLICT, f"{task.name} is disabled by its definition: update it with enabled: true")
    writable(daemon)
    await daemon.definitions.switch_task(task.name, off, daemon.now())
    daemon.scheduler.take_task(task.name)
    return _view(daemon, call, daemon.definitions.task(task.name))


def _follows(task: Task, name: str) -> bool:
    return task.schedule is not None and task.schedule.after is not None and task.schedule.after.task == name


def _parse(daemon: Daemon, call: Call, value: dict[str, Any]) -> Task:
    grants = None if call.peer.uid == 0 else daemon.definitions.config.grants
    return parse_task(value, origin="api", grants=grants, known=daemon.definitions.known())


async def _put(daemon: Daemon, call: Call, task: Task) -> dict[str, Any]:
    writable(daemon)
    await daemon.definitions.put_task(task, daemon.now(), call.user, by_root=call.peer.uid == 0)
    daemon.scheduler.take_task(task.name)
    late = never_comes(task, daemon.now())
    shown = _view(daemon, call, daemon.definitions.task(task.name))
    return shown | {"warnings": [] if late is None else [late]}


def _view(daemon: Daemon, call: Call, task: Task, holds: Iterable[Hold] | None = None) -> dict[str, Any]:
    """A task; for those who may not change it without the values of its environment, which may be secrets."""
    last = daemon.scheduler.last_ended(task.name)
    shown = json_views.task(
        task,
        enabled=task.enabled,
        paused_until=daemon.definitions.paused_until(task.name),
        next_due=daemon.scheduler.next_due(task.name),
    )
    environment = shown["config"].get("environment")
    if environment and not allows(call.role, "admin"):
        shown["config"]["environment"] = dict.fromkeys(environment, "***")
    frozen = freezes.frozen(task, freezes.holds_now(daemon) if holds is None else holds)
    return shown | {
        "frozen": frozen,
        "metrics": _metrics(daemon, task.name),
        "last_execution": None if last is None else json_views.brief(last),
    }


def _metrics(daemon: Daemon, name: str) -> dict[str, Any]:
    """How long the task's newest completed executions took, in milliseconds, and when the newest of them ended."""
    durations, completed = daemon.scheduler.experience.durations.get(name, ()), daemon.scheduler.experience.completed
    return {
        "executions": len(durations),
        "duration_median": quantile(durations, 0.5) if durations else None,
        "duration_p90": quantile(durations, 0.9) if durations else None,
        "last_completed_at": json_views.time(completed.get(name)),
    }
