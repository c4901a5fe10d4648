"""The recent past for a status: asked of the store only when something has ended since, or a minute has gone by."""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import NamedTuple

import trio

from jamaint.core.executions import ENDED, Execution
from jamaint.daemon.state.live import Current
from jamaint.store import executions, rollback_points
from jamaint.store.postgres import DatabaseAwayError, Postgres
from jamaint.store.rollback_points import RollbackPoint

SHOWN = 10
FRESH = timedelta(seconds=60)
DAY = timedelta(days=1)
PATIENCE_SECONDS = 1.0
TRIED = timedelta(seconds=5)
"""How long a database that has just not answered is not asked again: each status would wait for it anew."""


class Past(NamedTuple):
    """The newest executions that have ended, the last day's totals, and rollbacks that have left something."""

    recent: tuple[Execution, ...]
    totals: dict[str, int]
    incomplete: tuple[RollbackPoint, ...] = ()


class History:
    """Keeps the last answer; while the database is away, that is the one that is shown."""

    def __init__(self, postgres: Postgres, current: Current) -> None:
        self._postgres = postgres
        self._current = current
        self._past = Past((), {})
        self._asking = trio.Lock()
        self._seen = -1
        self._until: datetime | None = None

    async def past(self, now: datetime) -> Past:
        """As it stands at `now`."""
        if self._is_old(now):
            async with self._asking:
                if self._is_old(now):
                    changes, until = self._current.changes_of_history, now + TRIED
                    with trio.move_on_after(PATIENCE_SECONDS), suppress(DatabaseAwayError):
                        self._past = await self._ask(now)
                        until = now + FRESH
                    self._seen, self._until = changes, until
        return self._past

    def _is_old(self, now: datetime) -> bool:
        return self._current.changes_of_history != self._seen or self._until is None or not now < self._until

    async def _ask(self, now: datetime) -> Past:
        found = await self._postgres.run(executions.page, limit=SHOWN * 2)
        totals = await self._postgres.run(executions.totals, now - DAY)
        left = await self._postgres.run(rollback_points.incomplete)
        ended = [execution for execution in found if execution.status in ENDED]
        return Past(tuple(ended[:SHOWN]), totals, tuple(left))
