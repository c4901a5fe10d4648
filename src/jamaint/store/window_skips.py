"""Skipped openings of windows, as rows."""

from collections.abc import Iterable
from datetime import datetime

from jamaint.store.postgres import Connection
from jamaint.store.queries import statements

SQL = statements("skips")


async def all_of_them(connection: Connection) -> dict[str, dict[datetime, str]]:
    """By window, the scheduled start of each skipped opening, and who skipped it."""
    found: dict[str, dict[datetime, str]] = {}
    for row in await connection.fetch(SQL["all"]):
        found.setdefault(row["window_name"], {})[row["starts_at"]] = row["skipped_by"]
    return found


async def add(connection: Connection, window: str, starts: Iterable[datetime], by: str) -> None:
    """Skips openings; one that is skipped already stays as it is."""
    await connection.executemany(SQL["add"], [(window, start, by) for start in starts])


async def take_back(connection: Connection, window: str, after: datetime) -> None:
    """Lets happen what was skipped and has not been due by `after`."""
    await connection.execute(SQL["take_back"], window, after)
