"""The machine's clock and the tests' own keep one contract."""

import ctypes
import errno
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from fake_clocks import Hand
from jamaint.host.clock import Clock, WallClock, Woken

START = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)


class ByHand:
    """The tests' own clock: time passes at once."""

    def __init__(self) -> None:
        self.hand = Hand(START)
        self.clock: Clock = self.hand.clock()

    async def let_pass(self, moment: datetime) -> None:
        await wait_all_tasks_blocked()
        self.hand.move_to(moment)

    def set_clock(self) -> None:
        self.hand.set(self.hand.moment - timedelta(hours=1))


class Timex(ctypes.Structure):
    """struct timex of adjtimex(2), as far as it is used here."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("between", ctypes.c_long * 8),
        ("seconds", ctypes.c_long),
        ("fraction", ctypes.c_long),
        ("rest", ctypes.c_char * 256),
    )


class OfTheMachine:
    """The machine's clock: time passes by itself. It is set by one nanosecond.

    Nobody else's time suffers, but the kernel takes it for unsynchronised until the NTP daemon corrects it again.
    """

    def __init__(self) -> None:
        self.clock: Clock = WallClock()

    async def let_pass(self, moment: datetime) -> None:
        """It passes while the clock is waited on."""

    def set_clock(self) -> None:
        change = Timex(modes=0x0100 | 0x2000, fraction=1)  # ADJ_SETOFFSET | ADJ_NANO
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.adjtimex(ctypes.byref(change)) < 0:
            assert ctypes.get_errno() == errno.EPERM, os.strerror(ctypes.get_errno())
            pytest.skip("setting the clock, even by a nanosecond, needs CAP_SYS_TIME")


Subject = ByHand | OfTheMachine


@pytest.fixture(params=[ByHand, OfTheMachine])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    made: Subject = request.param()
    async with made.clock:
        yield made


def soon(subject: Subject) -> datetime:
    return subject.clock.now() + timedelta(milliseconds=20)


class Waiting:
    """One wait in a task of its own, and how it ended."""

    def __init__(self, subject: Subject, nursery: trio.Nursery, until: datetime | None) -> None:
        self.result: Woken | None = None
        self.ended = trio.Event()
        nursery.start_soon(self._wait, subject.clock, until)

    async def _wait(self, clock: Clock, until: datetime | None) -> None:
        with trio.fail_after(60):  # only ends a test that would hang for ever
            self.result = await clock.wait(until)
        self.ended.set()


async def test_now_is_aware_and_in_utc(subject: Subject) -> None:
    assert subject.clock.now().utcoffset() == timedelta(0)


async def test_a_moment_that_is_over_is_due_at_once(subject: Subject) -> None:
    for moment in (subject.clock.now(), START - timedelta(days=1), datetime(1969, 7, 20, tzinfo=UTC)):
        assert await subject.clock.wait(min(moment, subject.clock.now())) == "due"


async def test_due_is_never_early(subject: Subject) -> None:
    for _time in range(5):
        moment = soon(subject)
        async with trio.open_nursery() as nursery:
            waiting = Waiting(subject, nursery, moment)
            await subject.let_pass(moment)
            await waiting.ended.wait()
            assert subject.clock.now() >= moment
        assert waiting.result == "due"


@pytest.mark.parametrize("until", [None, datetime.max.replace(tzinfo=UTC), datetime(2500, 1, 1, tzinfo=UTC)])
async def test_a_wait_for_ever_ends_by_wake(subject: Subject, until: datetime | None) -> None:
    async with trio.open_nursery() as nursery:
        waiting = Waiting(subject, nursery, until)
        await wait_all_tasks_blocked()
        assert not waiting.ended.is_set()
        subject.clock.wake()
    assert waiting.result == "woken"


async def test_a_wake_before_the_wait_ends_the_next_one_only(subject: Subject) -> None:
    subject.clock.wake()
    subject.clock.wake()
    assert await subject.clock.wait(None) == "woken"
    assert await subject.clock.wait(subject.clock.now()) == "due"


async def test_a_clock_that_is_set_ends_the_wait(subject: Subject) -> None:
    async with trio.open_nursery() as nursery:
        waiting = Waiting(subject, nursery, None)
        await wait_all_tasks_blocked()
        subject.set_clock()
    assert waiting.result == "clock_set"


async def test_a_clock_that_was_set_while_nobody_waited_is_told(subject: Subject) -> None:
    subject.set_clock()
    assert await subject.clock.wait(subject.clock.now()) == "clock_set"
    assert await subject.clock.wait(subject.clock.now()) == "due"


async def test_a_cancelled_wait_loses_nothing(subject: Subject) -> None:
    async with trio.open_nursery() as nursery:
        waiting = Waiting(subject, nursery, None)
        await wait_all_tasks_blocked()
        subject.clock.wake()
        nursery.cancel_scope.cancel()
    assert waiting.result == "woken" or await subject.clock.wait(None) == "woken"
    subject.set_clock()
    with trio.CancelScope() as scope:
        scope.cancel()
        await subject.clock.wait(None)
    assert await subject.clock.wait(None) == "clock_set"
    assert await subject.clock.wait(subject.clock.now()) == "due"


async def test_one_task_at_a_time(subject: Subject) -> None:
    async with trio.open_nursery() as nursery:
        waiting = Waiting(subject, nursery, None)
        await wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await subject.clock.wait(None)
        subject.clock.wake()
    assert waiting.result == "woken"


async def test_the_descriptor_is_given_back() -> None:
    before = len(os.listdir("/proc/self/fd"))
    async with WallClock() as clock:
        assert len(os.listdir("/proc/self/fd")) == before + 1
        assert await clock.wait(clock.now()) == "due"
    assert len(os.listdir("/proc/self/fd")) == before


async def test_waiting_sets_trio_no_deadline() -> None:
    """A deadline would be a wake-up."""
    async with WallClock() as clock, trio.open_nursery() as nursery:
        nursery.start_soon(clock.wait, clock.now() + timedelta(seconds=5))
        await wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().seconds_to_next_deadline == float("inf")
        nursery.cancel_scope.cancel()
