"""The audit log, as rows: it only grows."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from jamaint.store.jsonb import columns, from_jsonb, jsonb
from jamaint.store.postgres import Connection
from jamaint.store.queries import statements

SQL = statements("audit")


class Entry(NamedTuple):
    """Who asked for what, and what came of it."""

    at: datetime
    uid: int
    pid: int
    user: str
    role: str
    method: str
    object: str | None
    outcome: str
    detail: Mapping[str, Any]


async def append(connection: Connection, entries: Sequence[tuple[str, Entry]]) -> None:
    """Add entries, each with a uuid of its own; harmless when it is done twice."""
    rows = ((*entry[:-1], jsonb(entry.detail), ident) for ident, entry in entries)
    await connection.execute(SQL["append"], *columns(rows))


async def page(
    connection: Connection, since: datetime | None, before: int | None, limit: int
) -> list[tuple[int, Entry]]:
    """Entries with their numbers, the newest first; `before` is the number of the last one of the page before."""
    rows = await connection.fetch(SQL["page"], since, before, limit)
    return [
        (
            row["id"],
            Entry(
                row["at"],
                row["uid"],
                row["pid"],
                row["user_name"],
                row["role"],
                row["method"],
                row["object"],
                row["outcome"],
                from_jsonb(row["detail"]),
            ),
        )
        for row in rows
    ]
