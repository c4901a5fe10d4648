"""What a server says of itself: its part, how far its standbys are behind, and how busy it is."""

import asyncio
from collections.abc import Mapping
from typing import Any

from jamaint.databases.connection import Address, connected, failures_named
from jamaint.host.sql_files import statements

_SQL = statements("jamaint.databases", "state")


async def state_of(dsn: str, seconds: float) -> Mapping[str, Any]:
    """One row, of any server, a standby too. Raises TargetError, TimeoutError."""
    async with asyncio.timeout(seconds):
        connection = await connected(Address(dsn, "condition"))
        try:
            with failures_named("at that address"):
                row = await connection.fetchrow(_SQL["state"])
                assert row is not None  # an aggregate always has its row
                return dict(row)
        finally:
            connection.terminate()
