"""APScheduler 4: jobs added ten at a time, and worked off by a scheduler in this process."""

import asyncio
import os
import time
from uuid import UUID

import asyncpg
from apscheduler import AsyncScheduler
from apscheduler.datastores.sqlalchemy import SQLAlchemyDataStore
from lone import AT_ONCE, DSN, N, at_once, lone, tell
from sqlalchemy.ext.asyncio import create_async_engine

LOOK_SECONDS = 0.01


async def noop() -> None:
    """Nothing."""


async def main() -> None:
    """Measures."""
    eye = await asyncpg.connect(DSN)
    engine = create_async_engine(DSN.replace("postgresql:", "postgresql+asyncpg:"), pool_size=AT_ONCE, max_overflow=2)
    # Its event broker on asyncpg stalls after the first jobs (4.0.0a6); the one in the process does not.
    async with AsyncScheduler(SQLAlchemyDataStore(engine), max_concurrent_jobs=AT_ONCE) as scheduler:
        await scheduler.configure_task("noop", func=noop, max_running_jobs=None)

        async def add() -> UUID:
            return await scheduler.add_job("noop")

        async def is_done(job: UUID) -> bool:
            return not await eye.fetchval("SELECT count(*) FROM jobs WHERE id = $1", job)

        cpu, began = time.process_time(), time.perf_counter()
        await at_once(N, add)
        await scheduler.start_in_background()
        while await eye.fetchval("SELECT count(*) FROM jobs"):  # noqa: ASYNC110 - only the rows tell
            await asyncio.sleep(LOOK_SECONDS)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        tell(seconds, cpu, await lone(add, is_done))


asyncio.run(main())
os._exit(0)
