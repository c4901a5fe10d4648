"""APScheduler 4: schedules added to one that keeps them in memory."""

import asyncio

from apscheduler import AsyncScheduler
from apscheduler.triggers.cron import CronTrigger
from expressions import EXPRESSIONS, tell


async def load() -> None:
    """All schedules, each with its first time."""
    async with AsyncScheduler() as scheduler:
        await scheduler.configure_task("noop", func=print)
        for number, expression in enumerate(EXPRESSIONS):
            trigger = CronTrigger.from_crontab(expression, timezone="UTC")
            await scheduler.add_schedule("noop", trigger, id=str(number))


tell(lambda: asyncio.run(load()))
