"""Jitter: how much later than its schedule says a task comes, so that many do not come at once.

Drawn from the task, the machine and, unless it is stable, the occurrence: a restart, a forecast and the run itself
agree, so nothing is drawn again and no occurrence is lost or doubled by it.
"""

from datetime import datetime, timedelta
from hashlib import blake2b

from jamaint.core.recurrence.schedule import Jitter

PARTS = 1 << 64


def delay(jitter: Jitter, machine: str, task: str, due: datetime) -> timedelta:
    """From nothing to less than `up_to_seconds`, in whole milliseconds."""
    key = f"{machine}\0{task}" if jitter.stable else f"{machine}\0{task}\0{due.timestamp()!r}"
    share = int.from_bytes(blake2b(key.encode(), digest_size=8).digest()) / PARTS
    return timedelta(milliseconds=int(share * jitter.up_to_seconds * 1000))
