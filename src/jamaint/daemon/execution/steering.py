"""Steering: how one execution under way is held back - who pauses it and why, and how much it is throttled.

Any single reason to pause wins, and the first is shown. The timeout does not run while the execution is paused.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

import trio

from jamaint.core.executions import Paused


class Steered(Protocol):
    """What takes the orders: the worker."""

    async def steer(self, message: dict[str, Any]) -> None:
        """Send pause, resume, throttle or move_end."""


class Steering:
    """The wishes about one execution, whose worker was opened with `ends_at`.

    `holder` is who may lift a pause: operator, window, condition, …
    """

    def __init__(
        self, timeout_seconds: float | None, now: Callable[[], datetime], ends_at: datetime | None = None
    ) -> None:
        self.timeout = trio.CancelScope()
        self.ratio = 0.0
        self.paused_seconds = 0.0
        self.ends_at = self._opened_with = ends_at
        self._timeout_seconds = timeout_seconds
        self._now = now
        self._holds: dict[str, Paused] = {}
        self._began: datetime | None = None
        self._number = 0
        self._left = float("inf")
        self._reached = trio.Event()
        self._changed = trio.Event()
        self._ended = False

    @property
    def paused(self) -> Paused | None:
        """The first reason of those that are in force."""
        first = next(iter(self._holds.values()), None)
        return first if first is None else replace(first, reached=self._reached.is_set())

    @property
    def open(self) -> bool:
        """Whether there is a worker to be steered, now or soon."""
        return not self._ended

    def pause(self, holder: str, by: str, why: str) -> bool:
        """Adds a reason, or replaces this holder's; false if it was paused before."""
        before, since = bool(self._holds), self._now()
        if holder in self._holds:
            since = self._holds[holder].since
        self._holds[holder] = Paused(by, why, since)
        if before:
            return False
        self._began = since
        self._number += 1
        self._reached = trio.Event()
        self._left = self.timeout.deadline - trio.current_time()
        self.timeout.deadline = float("inf")
        self._tell()
        return True

    def resume(self, holder: str) -> bool:
        """Takes this holder's reason back; true if it goes on now."""
        hold = self._holds.pop(holder, None)
        if hold is None or self._holds:
            return False
        self.timeout.deadline = trio.current_time() + self._left
        self._count_pause()
        self._tell()
        return True

    def throttle(self, ratio: float) -> None:
        """So many seconds of rest for each second of work."""
        self.ratio = ratio
        self._tell()

    def move_end(self, ends_at: datetime | None) -> None:
        """Set the end of the window that the work keeps to from now on."""
        self.ends_at = ends_at
        self._tell()

    def note_held(self, number: int) -> None:
        """The worker stands still in the pause of that number."""
        if number == self._number:
            self._reached.set()

    async def reached(self) -> None:
        """Returns when the worker stands still."""
        await self._reached.wait()

    def start_clock(self) -> None:
        """The timeout runs from here on, unless it is paused already."""
        if self._timeout_seconds is None:
            return
        if self._holds:
            self._left = self._timeout_seconds
        else:
            self.timeout.deadline = trio.current_time() + self._timeout_seconds

    async def serve(self, worker: Steered) -> None:
        """Hands each change on, until it is cancelled."""
        number, ratio, ends_at = 0, 0.0, self._opened_with
        while True:
            self._changed = trio.Event()
            wanted = self._number if self._holds else 0
            if self.ends_at != ends_at:  # before a resume: work that went on first would find its window ended
                ends_at = self.ends_at
                await worker.steer({"do": "move_end", "ends_at": None if ends_at is None else ends_at.isoformat()})
            elif wanted != number:
                await worker.steer({"do": "pause", "number": wanted} if wanted else {"do": "resume"})
                number = wanted
            elif self.ratio != ratio:
                ratio = self.ratio
                await worker.steer({"do": "throttle", "ratio": ratio})
            else:
                await self._changed.wait()

    def end(self) -> None:
        """There is nothing to steer any more."""
        self._ended = True
        if self._holds:
            self._count_pause()
        self._holds.clear()
        self.ratio = 0.0

    def _count_pause(self) -> None:
        """Add the pause that ends now: from the first reason on, which may have been lifted long before the last."""
        now = self._now()
        self.paused_seconds += max((now - (self._began or now)).total_seconds(), 0.0)

    def _tell(self) -> None:
        self._changed.set()
