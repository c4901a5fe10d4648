"""What a look at a fact has at hand, and how one that the kernel may keep waiting is kept from holding up others."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import trio

from jamaint.probes.deadline import LookError, reason
from jamaint.probes.worker_pool import ProbePool

__all__ = ["LookError", "ProbeContext", "reason"]

T = TypeVar("T")
Params = Any

THREADS = 16
"""Looks that hang in the kernel at a time, as at a network mount whose server is gone; more than these are unknown."""


@dataclass(slots=True)
class ProbeContext:
    """What looks need beside their parameters. `lookers` looks at what a worker has to; None where there are none."""

    lookers: ProbePool | None = None
    limiter: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(THREADS))
    hanging: set[str] = field(default_factory=set)

    async def apart(self, what: str, work: Callable[..., T], *args: Any) -> T:
        """`work(*args)` in a thread, which is left behind when the look's time is up. Raises LookError as long as an
        earlier one of the same `what` hangs there still: so no number of looks takes more than one thread each."""
        if what in self.hanging:
            raise LookError("an earlier look at it has not come back")
        self.hanging.add(what)

        def run() -> T:
            try:
                return work(*args)
            finally:
                self.hanging.discard(what)

        return await trio.to_thread.run_sync(run, abandon_on_cancel=True, limiter=self.limiter)
