"""Who holds the lock on a database: the one daemon that writes there."""

from datetime import datetime

from jamaint.host.postgres import Connection
from jamaint.store.statements import statements

SQL = statements("lock")
KEY = 0x6A616D61696E7464
"""`jamaintd` in ASCII: the advisory lock that a daemon holds as long as it lives."""


async def note_holder(connection: Connection, holder: str, now: datetime) -> None:
    """Writes down who has the lock, for the message that another daemon gives."""
    await connection.execute(SQL["note_holder"], holder, now)


async def holder(connection: Connection) -> str:
    """Who has it: `process 812 on web1, since 2026-11-24 02:00:00 UTC`."""
    row = await connection.fetchrow(SQL["holder"])
    return "another daemon" if row is None else f"{row['holder']}, since {row['since']:%Y-%m-%d %H:%M:%S} UTC"
