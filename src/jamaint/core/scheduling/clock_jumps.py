"""Clock jumps: after a large jump forward, irreversible purges are deferred until a person could correct it.

Whatever is kept until a time would be gone at once, and a clock that was set wrong is usually set right soon after
(reliability: systemd#13513, pg_cron#105).
"""

from datetime import datetime, timedelta

LEAP = timedelta(hours=1)
"""A clock that moved by less was corrected; one that moved by more may be wrong."""
HOLD = timedelta(hours=1)


def held_until(held: datetime | None, before: datetime, elapsed: timedelta, now: datetime) -> datetime | None:
    """Until when nothing is let go for good, None for no hold: `before` was the wall clock `elapsed` real time ago."""
    leapt = now - before - elapsed
    if leapt > LEAP:
        return now + HOLD
    if leapt < -LEAP:
        return None
    return held if held is not None and now < held else None
