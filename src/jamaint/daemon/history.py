"""The recent past for a status: asked of the store only when something has ended since, or a minute has gone by."""

from datetime import datetime, timedelta
from typing import NamedTuple

from jamaint.core.executions import ENDED, Execution
from jamaint.daemon.current import Current
from jamaint.host.postgres import DatabaseAwayError, Postgres
from jamaint.store import executions, rollback_points
from jamaint.store.rollback_points import RollbackPoint

SHOWN = 10
FRESH = timedelta(seconds=60)
DAY = timedelta(days=1)


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
        self._seen = -1
        self._until: datetime | None = None

    async def past(self, now: datetime) -> Past:
        """As it stands at `now`."""
        changes = self._current.changes_of_history
        if changes != self._seen or self._until is None or not now < self._until:
            try:
                found = await self._postgres.run(executions.page, limit=SHOWN * 2)
                totals = await self._postgres.run(executions.totals, now - DAY)
                left = await self._postgres.run(rollback_points.incomplete)
            except DatabaseAwayError:
                return self._past
            ended = [execution for execution in found if execution.status in ENDED]
            self._past, self._seen, self._until = Past(tuple(ended[:SHOWN]), totals, tuple(left)), changes, now + FRESH
        return self._past
