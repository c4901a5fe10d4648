"""Usage samples: how large things were, kept so that growth is measured."""

from collections.abc import Iterable
from datetime import datetime

from jamaint.core.capacity import Sample, Target
from jamaint.store.postgres import Connection
from jamaint.store.queries import statements

SQL = statements("samples")


async def add(connection: Connection, at: datetime, sizes: Iterable[tuple[Target, int]], keep_from: datetime) -> None:
    """Adds a sample of each, and forgets those from before `keep_from`."""
    found = list(sizes)
    if found:
        kinds, names = [target.kind for target, _ in found], [target.name for target, _ in found]
        await connection.execute(SQL["add"], at, kinds, names, [size for _, size in found])
    await connection.execute(SQL["forget"], keep_from)


async def since(
    connection: Connection, moment: datetime, each_from: datetime, now: datetime
) -> dict[Target, list[Sample]]:
    """The samples since then, the oldest first: one a day before `each_from`, all after that.

    Those from after `now` were taken while the clock was wrong.
    """
    found: dict[Target, list[Sample]] = {}
    for row in await connection.fetch(SQL["since"], moment, each_from, now):
        found.setdefault(Target(row["kind"], row["name"]), []).append(Sample(row["timestamp"], row["value"]))
    return found
