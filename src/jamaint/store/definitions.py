"""Tasks and windows as rows: the definition is the authority, the other columns are read from it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from jamaint.core.calendar.windows import Window
from jamaint.core.tasks import Task
from jamaint.store.jsonb import from_jsonb, jsonb, kept, optional_jsonb
from jamaint.store.postgres import Connection, Row
from jamaint.store.queries import statements

SQL = statements("objects")


class StoredTask(NamedTuple):
    """What the store alone knows of a task: the rest is its definition."""

    name: str
    origin: str
    definition: Mapping[str, Any]
    due_from: datetime
    paused_until: datetime | None
    switched_off: bool
    created_by: str | None
    seal: str | None
    quarantined_at: datetime | None = None
    updated_at: datetime | None = None
    authors: tuple[str, ...] = ()
    """Accounts that have defined or changed it since root, or a file, last defined it."""


class StoredWindow(NamedTuple):
    """A window's definition, and where it comes from."""

    name: str
    origin: str
    definition: Mapping[str, Any]
    created_by: str | None
    seal: str | None


async def tasks(connection: Connection) -> dict[str, StoredTask]:
    """All tasks, by name."""
    return {row["name"]: _task(row) for row in await connection.fetch(SQL["tasks"])}


async def put_task(
    connection: Connection, task: Task, due_from: datetime, created_by: str | None = None, seal: str | None = None
) -> StoredTask:
    """Inserts or replaces a task; `due_from` holds from then on if its schedule is new."""
    given = kept(task.origin, task.definition)
    row = await connection.fetchrow(
        SQL["put_task"],
        task.id,
        task.name,
        task.description,
        task.type,
        task.category,
        task.priority,
        optional_jsonb(given.get("schedule")),
        task.enabled,
        jsonb(given.get("config", {})),
        jsonb(given.get("dependencies", ())),
        jsonb(given.get("conditions", ())),
        jsonb(given.get("rollback", {})),
        jsonb(given.get("notifications", {})),
        task.executor,
        task.origin,
        jsonb(given),
        due_from,
        created_by,
        seal,
    )
    assert row is not None  # an upsert always returns its row
    return _task(row)


async def put_tasks(
    connection: Connection, given: Sequence[tuple[Task, str | None]], due_from: datetime, created_by: str
) -> dict[str, StoredTask]:
    """As `put_task`, of several tasks with their seals, all or none; by name."""
    async with connection.transaction():
        return {task.name: await put_task(connection, task, due_from, created_by, seal) for task, seal in given}


async def delete_task(connection: Connection, name: str) -> None:
    """Deletes a task; its executions stay, with its name."""
    await connection.execute(SQL["delete_task"], name)


async def switch_task(connection: Connection, name: str, off: bool, now: datetime) -> None:
    """Switches a task off or on; switched on, its occurrences count from `now`."""
    await connection.execute(SQL["switch_task"], name, off, now)


async def pause_task(connection: Connection, name: str, until: datetime | None) -> None:
    """Pauses a task; what comes due until then is skipped, with that reason."""
    await connection.execute(SQL["pause_task"], name, until)


async def quarantine_task(connection: Connection, name: str, since: datetime | None, now: datetime) -> None:
    """Keeps a task from running since then, or lets it run again; interruptions count from `now` then."""
    await connection.execute(SQL["quarantine_task"], name, since, now)


async def windows(connection: Connection) -> dict[str, StoredWindow]:
    """All windows, by name."""
    rows = await connection.fetch(SQL["windows"])
    return {
        row["name"]: StoredWindow(
            row["name"], row["origin"], from_jsonb(row["definition"]), row["created_by"], row["seal"]
        )
        for row in rows
    }


async def put_window(connection: Connection, window: Window, created_by: str | None, seal: str | None = None) -> None:
    """Inserts or replaces a window."""
    given = kept(window.origin, window.definition)
    await connection.execute(
        SQL["put_window"],
        window.id,
        window.name,
        window.description,
        jsonb(given.get("schedule", {})),
        window.duration_minutes,
        window.timezone,
        jsonb(list(window.allowed_tasks)),
        window.max_concurrent_tasks,
        window.emergency_override,
        jsonb(given.get("notifications", {})),
        jsonb(given.get("conditions", ())),
        window.origin,
        jsonb(given),
        created_by,
        seal,
    )


async def delete_window(connection: Connection, name: str) -> None:
    """Deletes a window; executions keep its name."""
    await connection.execute(SQL["delete_window"], name)


def _task(row: Row) -> StoredTask:
    return StoredTask(
        row["name"],
        row["origin"],
        from_jsonb(row["definition"]),
        row["due_from"],
        row["paused_until"],
        row["switched_off"],
        row["created_by"],
        row["seal"],
        row["quarantined_at"],
        row["updated_at"],
        tuple(row["authors"]),
    )
