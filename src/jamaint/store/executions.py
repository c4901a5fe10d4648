"""Executions, their logs and occurrences, as rows."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from jamaint.core.executions import Execution, State, StepRecord
from jamaint.store.jsonb import from_jsonb, jsonb, optional_jsonb
from jamaint.store.postgres import Connection, Row, errors_named
from jamaint.store.queries import statements

SQL = statements("executions")


class LogLine(NamedTuple):
    """One line of an execution's log."""

    execution_id: str
    seq: int
    at: datetime
    level: str
    step: str | None
    message: str


async def write(connection: Connection, executions: Sequence[Execution], logs: Sequence[LogLine] = ()) -> None:
    """Writes the state of executions, new or not, and log lines, all or nothing. Harmless when it is done twice.

    Raises OccurrenceTakenError.
    """
    rows = [_row(execution) for execution in executions]
    lines = [tuple(line) for line in logs]
    with errors_named():
        if not lines:  # one statement is a transaction: it costs one round trip
            await _write(connection, SQL["put"], rows)
            return
        async with connection.transaction():
            await _write(connection, SQL["put"], rows)
            await _write(connection, SQL["add_log"], lines)


async def unfinished(connection: Connection) -> list[Execution]:
    """Executions that are scheduled or running, in the order they were due."""
    return [from_row(row) for row in await connection.fetch(SQL["unfinished"])]


async def by_reference(connection: Connection, reference: str) -> list[Execution]:
    """The executions that an id, a prefix of one (8 characters or more) or `last` may mean: at most two."""
    if reference == "last":
        rows = await connection.fetch(SQL["newest"])
    elif (whole := _as_uuid(reference)) is not None:
        rows = await connection.fetch(SQL["by_id"], whole)
    elif (bounds := _bounds(reference)) is not None:
        rows = await connection.fetch(SQL["by_prefix"], *bounds)
    else:
        rows = []
    return [from_row(row) for row in rows]


async def page(
    connection: Connection,
    *,
    task: str | None = None,
    status: str | None = None,
    since: datetime | None = None,
    before: tuple[datetime, str] | None = None,
    limit: int = 100,
) -> list[Execution]:
    """Executions, the newest first; `before` is the (scheduled_for, id) of the last one of the page before."""
    moment, ident = before or (None, None)
    rows = await connection.fetch(SQL["page"], task, status, since, moment, ident, limit)
    return [from_row(row) for row in rows]


async def around(connection: Connection, task: str, moment: datetime, near: timedelta) -> list[Execution]:
    """A task's executions that were due, or still at it, within `near` of a moment: a few, the oldest first."""
    rows = await connection.fetch(SQL["around"], task, moment, near)
    return [from_row(row) for row in rows]


async def newest_ended_by_task(connection: Connection) -> dict[str, Execution]:
    """By task name, the newest execution that ran and has ended."""
    return {row["task_name"]: from_row(row) for row in await connection.fetch(SQL["newest_ended_by_task"])}


async def newest_skipped_by_task(connection: Connection) -> dict[str, Execution]:
    """By task name, the newest execution that was given up before it started."""
    return {row["task_name"]: from_row(row) for row in await connection.fetch(SQL["newest_skipped_by_task"])}


async def durations(connection: Connection, most: int) -> dict[str, list[tuple[int, datetime]]]:
    """By task name, how long its newest completed executions took, in milliseconds, and when each ended: at most so
    many, the oldest first."""
    found: dict[str, list[tuple[int, datetime]]] = {}
    for row in await connection.fetch(SQL["durations"], most):
        found.setdefault(row["task_name"], []).append((row["duration"], row["completed_at"]))
    return found


async def crashes_in_a_row(connection: Connection, names: Sequence[str], at_most: int) -> dict[str, int]:
    """Of each of these tasks, how many of its newest executions (up to `at_most`) were cut short by the daemon's death,
    without another between them, since it was last let run again."""
    rows = await connection.fetch(SQL["crashes_in_a_row"], list(names), at_most)
    return {row["task_name"]: row["crashes"] for row in rows}


async def last_occurrences(connection: Connection) -> dict[str, datetime]:
    """By task id, when its newest occurrence was due."""
    return {str(row["task_id"]): row["scheduled_for"] for row in await connection.fetch(SQL["last_occurrences"])}


async def totals(connection: Connection, since: datetime) -> dict[str, int]:
    """How many ended in each state since then, and the bytes they freed."""
    row = await connection.fetchrow(SQL["totals"], since)
    return {} if row is None else {key: int(value) for key, value in row.items()}


async def log_lines(connection: Connection, execution_id: str, after: int, limit: int) -> list[dict[str, Any]]:
    """The execution's log after line `after`, as {seq, at, level, step, message}."""
    return [dict(row) for row in await connection.fetch(SQL["logs"], UUID(execution_id), after, limit)]


async def last_lines(connection: Connection, execution_id: str, limit: int) -> list[dict[str, Any]]:
    """Return the newest lines of the execution's log, the oldest first, as `log_lines` does."""
    return [dict(row) for row in await connection.fetch(SQL["last_logs"], UUID(execution_id), limit)]


def from_row(row: Row) -> Execution:
    """The value of a row of maintenance_executions."""
    return Execution(
        id=str(row["id"]),
        task_id=_text(row["task_id"]),
        task_name=row["task_name"],
        status=State(row["status"]),
        trigger=row["trigger"],
        scheduled_for=row["scheduled_for"],
        window_id=_text(row["window_id"]),
        window_name=row["window_name"],
        deadline=row["deadline"],
        started_at=row["started_at"],
        completed_at=row["completed_at"],
        steps=tuple(_step_from_json(step) for step in from_jsonb(row["steps"])),
        metrics=from_jsonb(row["metrics"]),
        rollback_point=_text(row["rollback_point"]),
        error=from_jsonb(row["error"]),
        reasons=tuple(from_jsonb(row["reasons"])),
        requested_by=row["requested_by"],
        options=from_jsonb(row["options"]),
        attempt=row["attempt"],
        retry_of=_text(row["retry_of"]),
        paused_ms=row["paused"],
    )


async def _write(connection: Connection, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
    if len(rows) == 1:
        await connection.execute(sql, *rows[0])
    elif rows:
        await connection.executemany(sql, rows)


def _row(execution: Execution) -> tuple[Any, ...]:
    return (
        execution.id,
        execution.task_id,
        execution.task_name,
        execution.window_id,
        execution.window_name,
        execution.status.value,
        execution.trigger,
        execution.scheduled_for,
        execution.deadline,
        execution.started_at,
        execution.completed_at,
        execution.duration_ms,
        jsonb([_step_to_json(step) for step in execution.steps]) if execution.steps else "[]",
        jsonb(execution.metrics),
        execution.rollback_point,
        optional_jsonb(execution.error),
        jsonb(execution.reasons),
        execution.requested_by,
        jsonb(execution.options),
        execution.attempt,
        execution.retry_of,
        execution.paused_ms,
    )


def _step_to_json(step: StepRecord) -> dict[str, Any]:
    return {
        "name": step.name,
        "status": step.status,
        "started_at": None if step.started_at is None else step.started_at.isoformat(),
        "duration": step.duration_ms,
        "details": step.details,
        "error": step.error,
    }


def _step_from_json(value: Mapping[str, Any]) -> StepRecord:
    began = value["started_at"]
    return StepRecord(
        name=value["name"],
        status=value["status"],
        started_at=None if began is None else datetime.fromisoformat(began),
        duration_ms=value["duration"],
        details=value["details"],
        error=value["error"],
    )


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)


def _as_uuid(reference: str) -> UUID | None:
    try:
        return UUID(reference)
    except ValueError:
        return None


def _bounds(prefix: str) -> tuple[UUID, UUID] | None:
    digits = prefix.replace("-", "").lower()
    if not 8 <= len(digits) <= 32 or any(char not in "0123456789abcdef" for char in digits):
        return None
    return UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
