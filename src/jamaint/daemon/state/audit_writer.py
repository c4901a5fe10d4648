"""The audit log's writer: who asked for what, and what came of it, gathered and written beside everything else."""

from collections.abc import Callable
from datetime import datetime
from uuid import uuid4

import trio

from jamaint.core.roles import NOBODY
from jamaint.store import audit_log
from jamaint.store.audit_log import Entry
from jamaint.store.postgres import DatabaseAwayError, Postgres

KEPT = 10_000
"""Entries that are kept while the database is away; more are counted, and one entry says how many were left out."""
RETRY_SECONDS = 2.0
REFUSALS = 400
"""Entries of refused calls of one user that are written in each hour; the rest is counted, and one says how many."""
STRANGERS = 1000
"""The same of all users together who have no role: a user of a machine can have thousands of uids."""
HOUR_SECONDS = 3600.0
ALL_STRANGERS = -1
"""Stands for the uid of all of them."""
GATHER_SECONDS = 0.02
"""How long an entry that nobody waits for may wait for others: its commit would hold up that of what was asked for."""


class Auditor:
    """Writes entries in the order in which they came, many at a time."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._entries: list[Entry] = []
        self._refused: dict[int, int] = {}
        """How many calls of whom, in this hour."""
        self._uncounted: dict[int, int] = {}
        self._last_refused: dict[int, Entry] = {}
        self._strangers = 0
        self._hour = trio.Event()
        self._left_out = 0
        self._work = trio.Event()
        self._hurry = trio.Event()
        self._written = trio.Event()

    def note(self, entry: Entry) -> bool:
        """Takes an entry; it is written within moments. False: it is one of so many that it is only counted."""
        if entry.outcome == "refused" and self._is_one_of_many(entry):
            return False
        if len(self._entries) >= KEPT:
            self._left_out += 1
            return False
        self._entries.append(entry)
        self._work.set()
        return True

    async def written(self) -> None:
        """Returns when all that has been noted is durable."""
        if self._entries:
            self._hurry.set()
            await self._written.wait()

    async def finish(self) -> None:
        """Note what was only counted, and return when all is durable."""
        self.sum_up()
        await self.written()

    async def serve(self, postgres: Postgres) -> None:
        """Writes until it is cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._count_refusals)
            await self._serve(postgres)

    async def _serve(self, postgres: Postgres) -> None:
        while True:
            await self._work.wait()
            with trio.move_on_after(GATHER_SECONDS):
                await self._hurry.wait()
            self._work = trio.Event()
            await self._write(postgres, list(self._entries))

    async def _write(self, postgres: Postgres, entries: list[Entry]) -> None:
        named = [(str(uuid4()), entry) for entry in entries]
        while True:
            try:
                await postgres.run(audit_log.append, named)
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

    def _is_one_of_many(self, entry: Entry) -> bool:
        self._hour.set()
        key = entry.uid
        if entry.role == NOBODY:
            self._strangers += 1
            key = ALL_STRANGERS if self._strangers > STRANGERS else key
        count = self._refused[key] = self._refused.get(key, 0) + 1
        if key != ALL_STRANGERS and count <= REFUSALS:
            return False
        self._uncounted[key] = self._uncounted.get(key, 0) + 1
        self._last_refused[key] = entry
        return True

    async def _count_refusals(self) -> None:
        while True:
            await self._hour.wait()
            await trio.sleep(HOUR_SECONDS)
            self.sum_up()

    def sum_up(self) -> None:
        """Note how many refused calls were only counted in this hour, and begin the next."""
        self._hour, self._refused, self._strangers = trio.Event(), {}, 0
        uncounted, self._uncounted = self._uncounted, {}
        last, self._last_refused = self._last_refused, {}
        for key, entry in last.items():
            whose = "of users without a role" if key == ALL_STRANGERS else "of this user"
            detail = {"entries": uncounted[key], "why": f"too many refused calls {whose} in an hour"}
            self.note(entry._replace(at=self._now(), outcome="entries left out", detail=detail))

    def _omission(self) -> Entry:
        left_out, self._left_out = self._left_out, 0
        detail = {"entries": left_out}
        return Entry(self._now(), 0, 0, "jamaintd", "daemon", "audit", None, "entries left out", detail)
