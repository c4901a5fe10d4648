"""Cleanup history: what each cleanup did, operation by operation."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from jamaint.core.system_cleanup import Cleanup
from jamaint.store.jsonb import from_jsonb, jsonb
from jamaint.store.postgres import Connection
from jamaint.store.queries import statements

SQL = statements("cleanups")


class Kept(NamedTuple):
    """A cleanup with what its execution says today; both of those are None when that row is gone."""

    cleanup: Cleanup
    task_name: str | None
    status: str | None
    metrics_now: Mapping[str, Any]


async def put(connection: Connection, cleanup: Cleanup) -> None:
    """Writes a cleanup, new or not."""
    await connection.execute(
        SQL["put"],
        UUID(cleanup.id),
        cleanup.cleanup_type,
        cleanup.started_at,
        cleanup.completed_at,
        cleanup.duration_ms,
        jsonb(list(cleanup.operations)),
        cleanup.freed_space,
        cleanup.processed_items,
        cleanup.success,
        cleanup.error_message,
    )


async def page(
    connection: Connection, since: datetime | None, before: tuple[datetime, str] | None, limit: int
) -> list[Kept]:
    """Cleanups, the newest first; `before` is start and id of the last one of the page before."""
    moment, ident = before or (None, None)
    rows = await connection.fetch(SQL["page"], since, moment, None if ident is None else UUID(ident), limit)
    return [
        Kept(
            Cleanup(
                id=str(row["id"]),
                cleanup_type=row["cleanup_type"],
                started_at=row["started_at"],
                completed_at=row["completed_at"],
                duration_ms=row["duration"],
                operations=tuple(from_jsonb(row["operations"])),
                success=row["success"],
                error_message=row["error_message"],
            ),
            row["task_name"],
            row["status"],
            from_jsonb(row["metrics_now"]) or {},
        )
        for row in rows
    ]


async def freed(connection: Connection, since: datetime) -> dict[str, tuple[int, int]]:
    """Bytes freed and items processed since then, by operation."""
    rows = await connection.fetch(SQL["freed"], since)
    return {row["type"]: (row["freed_space"], row["processed_items"]) for row in rows}
