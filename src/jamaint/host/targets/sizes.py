"""How large a database is."""

from jamaint.host.statements import statements
from jamaint.host.targets.connection import Target

SQL = statements("jamaint.host.targets", "sizes")


async def size_of(target: Target) -> int:
    """All of it, in bytes, as the server counts."""
    return int(await target.watch.fetchval(SQL["database"]))
