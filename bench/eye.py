"""A connection of its own to a peer's database, which says when a row is there for everybody to see."""

import asyncio
import time
from types import TracebackType
from typing import Self

import asyncpg

LOOK_SECONDS = 120
PAUSE_SECONDS = 0.0002


class Eye:
    """Looks every few tenths of a millisecond: more often, it would take the time that it measures from the peer."""

    def __init__(self, dsn: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._dsn = dsn

    def __enter__(self) -> Self:
        self._connection = self._loop.run_until_complete(asyncpg.connect(self._dsn))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.run_until_complete(self._connection.close())
        self._loop.close()

    def wait(self, counts: str, wanted: int, *args: object) -> None:
        """Returns when the query `counts` gives `wanted`. Raises TimeoutError."""
        deadline = time.monotonic() + LOOK_SECONDS
        while (found := self._loop.run_until_complete(self._connection.fetchval(counts, *args))) < wanted:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{found} of {wanted} rows after {LOOK_SECONDS} s")
            time.sleep(PAUSE_SECONDS)  # asyncio's own sleep takes a millisecond at least

    def value(self, query: str, *args: object) -> object:
        """The one value that a query gives."""
        return self._loop.run_until_complete(self._connection.fetchval(query, *args))

    def column(self, query: str, *args: object) -> list[float]:
        """The first column of what a query gives."""
        return [row[0] for row in self._loop.run_until_complete(self._connection.fetch(query, *args))]
