"""The audit log's writer: who asked for what, and what came of it, gathered and written beside everything else."""

from collections.abc import Callable
from datetime import datetime

import trio

from jamaint.host.postgres import DatabaseAwayError, Postgres
from jamaint.store import audit
from jamaint.store.audit import Entry

KEPT = 10_000
"""Entries that are kept while the database is away; more are counted, and one entry says how many were left out."""
RETRY_SECONDS = 2.0
GATHER_SECONDS = 0.02
"""How long an entry that nobody waits for may wait for others: its commit would hold up that of what was asked for."""


class Auditor:
    """Writes entries in the order in which they came, many at a time."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._entries: list[Entry] = []
        self._left_out = 0
        self._work = trio.Event()
        self._hurry = trio.Event()
        self._written = trio.Event()

    def note(self, entry: Entry) -> None:
        """Takes an entry; it is written within moments."""
        if len(self._entries) >= KEPT:
            self._left_out += 1
            return
        self._entries.append(entry)
        self._work.set()

    async def written(self) -> None:
        """Returns when all that has been noted is durable."""
        if self._entries:
            self._hurry.set()
            await self._written.wait()

    async def serve(self, postgres: Postgres) -> None:
        """Writes until it is cancelled."""
        while True:
            await self._work.wait()
            with trio.move_on_after(GATHER_SECONDS):
                await self._hurry.wait()
            self._work = trio.Event()
            await self._write(postgres, list(self._entries))

    async def _write(self, postgres: Postgres, entries: list[Entry]) -> None:
        while True:
            try:
                await postgres.run(audit.append, entries)
            except DatabaseAwayError:
                await trio.sleep(RETRY_SECONDS)
            else:
                break
        del self._entries[: len(entries)]
        if self._left_out:
            self._entries.append(self._omission())
        if self._entries:
            self._work.set()
        else:
            self._hurry = trio.Event()
            written, self._written = self._written, trio.Event()
            written.set()

    def _omission(self) -> Entry:
        left_out, self._left_out = self._left_out, 0
        detail = {"entries": left_out}
        return Entry(self._now(), 0, 0, "jamaintd", "daemon", "audit", None, "entries left out", detail)
