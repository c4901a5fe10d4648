"""APScheduler 3: jobs added to a scheduler that is paused, then its triggers going on."""

from datetime import timedelta
from typing import Any

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from expressions import EXPRESSIONS, NOW, STEPS, N, tell

scheduler = BackgroundScheduler(timezone="UTC")
scheduler.start(paused=True)


def load() -> list[Any]:
    """All jobs, each with its first time."""
    for number, expression in enumerate(EXPRESSIONS):
        scheduler.add_job(print, CronTrigger.from_crontab(expression, timezone="UTC"), id=str(number))
    return [job.trigger for job in scheduler.get_jobs()]


def go_on(triggers: list[Any]) -> int:
    """Each trigger's next times."""
    for trigger in triggers:
        moment = NOW
        for _ in range(STEPS):
            moment = trigger.get_next_fire_time(moment, moment + timedelta(seconds=1))
    return STEPS * N


tell(load, go_on)
