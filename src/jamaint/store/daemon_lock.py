"""Who holds the lock on a database: the one daemon that writes there."""

from datetime import datetime

from jamaint.store.postgres import Backend, Connection
from jamaint.store.queries import statements

SQL = statements("lock")
KEY = 0x6A616D61696E7464
"""`jamaintd` in ASCII: the advisory lock that a daemon holds as long as it lives."""


async def note_holder(connection: Connection, holder: str, now: datetime) -> None:
    """Writes down who has the lock, for the message that another daemon gives."""
    await connection.execute(SQL["note_holder"], holder, now)


async def holder(connection: Connection) -> str:
    """Who has it: `process 812 on web1, since 2026-11-24 02:00:00 UTC`."""
    if not await connection.fetchval(SQL["is_noted"]):  # it has the lock, and has made no tables yet
        return "another daemon"
    row = await connection.fetchrow(SQL["holder"])
    return "another daemon" if row is None else f"{row['holder']}, since {row['since']:%Y-%m-%d %H:%M:%S} UTC"


async def end(connection: Connection, backend: Backend) -> bool:
    """Ends that session of our own if it lives and has the lock still; whether it did.

    A network that swallows everything makes us lose a session of which the server thinks that it is well.
    """
    return bool(await connection.fetchval(SQL["end"], KEY, *backend))
