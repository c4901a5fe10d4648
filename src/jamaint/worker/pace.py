"""Pace: where a worker waits at a safe point while its execution is paused, throttled or limited.

Orders come from the thread that listens to the daemon; what works waits in its own. No order waits for a wait.
"""

import time
from collections.abc import Callable
from threading import Event, Lock

from jamaint.core.rate_limits import Limits, Pacing

LOOK_SECONDS = 0.2
"""How long a wait goes on at most before it is looked at again, whatever is forgotten to wake it."""


class Pace:
    """`clock` is monotonic; `wait` sleeps so many seconds, or until an order comes. Both are there for tests."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, wait: Callable[[float], object] | None = None
    ) -> None:
        self._clock = clock
        self._changed = Event()
        self._wait = wait or self._wait_for_an_order
        self._waiting = Lock()
        self._number = 0
        self._ratio = 0.0
        self._pacing = Pacing(Limits(), clock())
        self._is_limited = False

    @property
    def paused(self) -> int:
        """The number of the pause that is in force, or 0."""
        return self._number

    @property
    def holds_back(self) -> bool:
        """Whether work may have to wait at the next safe point."""
        return bool(self._number or self._ratio or self._is_limited)

    def portion(self, most: int) -> int:
        """How many of up to `most` items may be done before the next safe point."""
        return self._pacing.limits.portion(most)

    def limit(self, limits: Limits) -> None:
        """Another operation begins, which keeps these limits."""
        self._pacing = Pacing(limits, self._clock(), self._ratio)
        self._is_limited = limits != Limits()

    def pause(self, number: int) -> None:
        """Lets nothing go on; each pause has a number of its own, from 1."""
        self._number = number
        self._changed.set()

    def resume(self) -> None:
        """Lets what was paused go on."""
        self._number = 0
        self._changed.set()

    def throttle(self, ratio: float) -> None:
        """So many seconds of rest for each second of work; 0 for none."""
        self._ratio = ratio
        self._changed.set()

    def note(self, unit: str, done: int) -> None:
        """So much of the operation is done."""
        if self._is_limited:
            self._pacing.note(unit, done, self._clock())

    def keep(self, stopping: Callable[[], bool], on_rest: Callable[[], None], on_hold: Callable[[int], None]) -> None:
        """Returns when work may go on, or is to stop.

        `on_rest` is called before it waits at all, `on_hold` with the number of each pause that it waits in.
        """
        if not self.holds_back:
            self._pacing.since = self._clock()
            return
        with self._waiting:  # one waits for its turn while another rests: together they are one execution
            told, rested = 0, False
            self._pacing.ratio = self._ratio
            self._pacing.work_ends(self._clock())
            while not stopping():
                self._changed.clear()
                self._pacing.ratio = self._ratio
                number = self._number
                rest = LOOK_SECONDS if number else self._pacing.rest(self._clock())
                if not rest:
                    break
                if not rested:
                    on_rest()
                    rested = True
                if number and number != told:
                    on_hold(number)
                    told = number
                self._wait(min(rest, LOOK_SECONDS))
            self._pacing.work_begins(self._clock())

    def _wait_for_an_order(self, seconds: float) -> None:
        self._changed.wait(seconds)
