"""How large a database is."""

from jamaint.databases.connection import Target
from jamaint.host.sql_files import statements

SQL = statements("jamaint.databases", "sizes")


async def size_of(target: Target) -> int:
    """All of it, in bytes, as the server counts."""
    return int(await target.watch.fetchval(SQL["database"]))
