"""APScheduler 4: schedules that all come in the same second, kept in PostgreSQL; how late each job starts.

usage: crowd_peer.py DSN N AT_ONCE AHEAD_SECONDS
"""

import asyncio
import json
import os
import sys
from datetime import UTC, datetime, timedelta

from apscheduler import AsyncScheduler
from apscheduler.datastores.sqlalchemy import SQLAlchemyDataStore
from apscheduler.triggers.date import DateTrigger
from sqlalchemy.ext.asyncio import create_async_engine

DSN, N, AT_ONCE, AHEAD_SECONDS = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
DUE = (datetime.now(UTC) + timedelta(seconds=AHEAD_SECONDS)).replace(microsecond=0)
lateness: list[float] = []


async def noop() -> None:
    """Notes how late it is."""
    lateness.append(1000 * (datetime.now(UTC) - DUE).total_seconds())


async def main() -> None:
    """Measures."""
    engine = create_async_engine(DSN.replace("postgresql:", "postgresql+asyncpg:"), pool_size=AT_ONCE, max_overflow=2)
    async with AsyncScheduler(SQLAlchemyDataStore(engine), max_concurrent_jobs=AT_ONCE) as scheduler:
        await scheduler.configure_task("noop", func=noop, max_running_jobs=None)
        for number in range(N):
            await scheduler.add_schedule("noop", DateTrigger(DUE), id=str(number))
        if datetime.now(UTC) > DUE:
            raise SystemExit(f"adding {N} schedules took longer than {AHEAD_SECONDS:g} s")
        await scheduler.start_in_background()
        while len(lateness) < N:  # noqa: ASYNC110 - the jobs only count
            await asyncio.sleep(0.05)
    ordered = sorted(lateness)
    print(
        json.dumps(
            {
                "first ms": ordered[0],
                "p50 ms": ordered[N // 2],
                "p99 ms": ordered[N * 99 // 100],
                "a second": N / (ordered[-1] / 1000),
            }
        ),
        flush=True,
    )


asyncio.run(main())
os._exit(0)
