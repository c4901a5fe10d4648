"""A clock for tests: time moves when the test says so, and never otherwise."""

from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

import trio

from jamaint.host.clock import Reading, Woken


class Hand:
    """The hand that moves the time of all the clocks that it has given out."""

    def __init__(self, start: datetime) -> None:
        self.moment = start
        self.elapsed = 0.0
        self.awake = 0.0
        self.clocks: list[FakeClock] = []

    def clock(self) -> "FakeClock":
        """Another clock of the same time."""
        self.clocks.append(FakeClock(self))
        return self.clocks[-1]

    def advance(self, seconds: float) -> None:
        """Lets time pass; whoever waits for a moment up to the new one is due."""
        self.move_to(self.moment + timedelta(seconds=seconds))

    def move_to(self, moment: datetime) -> None:
        """Lets time pass until that moment."""
        assert moment >= self.moment, "time passes forwards; set() is for setting the clock"
        self.elapsed += (moment - self.moment).total_seconds()
        self.awake += (moment - self.moment).total_seconds()
        self.moment = moment
        for clock in self.clocks:
            clock.look()

    def suspend(self, seconds: float) -> None:
        """The machine sleeps so long, and whoever waits is told when it wakes, as of a clock that was set."""
        self.elapsed += seconds
        self.moment += timedelta(seconds=seconds)
        for clock in self.clocks:
            clock.take_setting()

    def set(self, moment: datetime) -> None:
        """Somebody sets the clock, forwards or backwards; whoever waits is told."""
        self.moment = moment
        for clock in self.clocks:
            clock.take_setting()


class FakeClock:
    """jamaint.host.clock.Clock by hand. `waits` says whether a task waits on it now, `until` for when."""

    def __init__(self, hand: Hand) -> None:
        self._hand = hand
        self._woken = False
        self._set = False
        self._look = trio.Event()
        self.waits = False
        self.until: datetime | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def now(self) -> datetime:
        return self._hand.moment

    def read(self) -> Reading:
        return Reading(self._hand.moment, self._hand.elapsed, self._hand.awake)

    async def wait(self, until: datetime | None) -> Woken:
        await trio.lowlevel.checkpoint()
        if self.waits:
            raise trio.BusyResourceError("another task waits on this clock")
        self.waits, self.until = True, until
        try:
            while (found := self._found(until)) is None:
                self._look = trio.Event()
                await self._look.wait()
        finally:
            self.waits = False
        return found

    def wake(self) -> None:
        self._woken = True
        self.look()

    @property
    def is_called(self) -> bool:
        """Whether the wait that is under way is about to end."""
        return self._woken or self._set or (self.until is not None and self.now() >= self.until)

    def look(self) -> None:
        """The hand has moved: is anything due?"""
        self._look.set()

    def take_setting(self) -> None:
        """The clock was set."""
        self._set = True
        self.look()

    def _found(self, until: datetime | None) -> Woken | None:
        if self._woken:
            self._woken = False
            return "woken"
        if self._set:
            self._set = False
            return "clock_set"
        return "due" if until is not None and self.now() >= until else None
