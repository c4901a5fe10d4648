"""The wall clock, and waiting for a moment of it: an idle daemon sleeps, and a clock that is set wakes it at once.

trio's own deadlines run on the monotonic clock: they stand still while the machine sleeps, and learn nothing of a wall
clock that is set.
"""

import ctypes
import errno
import os
import time
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Literal, NamedTuple, Protocol, Self

import trio

Woken = Literal["due", "clock_set", "woken"]

_CLOCK_REALTIME = 0
_CREATE_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC
_ABSTIME = 1
_CANCEL_ON_SET = 2
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NEVER = datetime(2200, 1, 1, tzinfo=UTC)
"""After all that is due, before the kernel's clock ends. Only a timer that runs hears of a clock that is set."""


class _Itimerspec(ctypes.Structure):
    _fields_ = (
        ("interval_seconds", ctypes.c_long),
        ("interval_nanoseconds", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("nanoseconds", ctypes.c_long),
    )


_libc = ctypes.CDLL(None, use_errno=True)
_timerfd_create = _libc.timerfd_create
_timerfd_create.argtypes = (ctypes.c_int, ctypes.c_int)
_timerfd_settime = _libc.timerfd_settime
_timerfd_settime.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.POINTER(_Itimerspec), ctypes.c_void_p)


class Reading(NamedTuple):
    """What the clocks say at one moment: the wall's, real time with suspends, and real time without (seconds)."""

    wall: datetime
    elapsed: float
    awake: float


def jump_seconds(before: Reading, after: Reading) -> float:
    """By how much the wall clock went further than real time: it was set."""
    return (after.wall - before.wall).total_seconds() - (after.elapsed - before.elapsed)


def slept_seconds(before: Reading, after: Reading) -> float:
    """For how long the machine was suspended."""
    return (after.elapsed - before.elapsed) - (after.awake - before.awake)


class Clock(Protocol):
    """What tells the time and waits for it. A context; one task at a time waits."""

    def now(self) -> datetime:
        """The moment, aware, in UTC."""

    def read(self) -> Reading:
        """All clocks at once: two readings tell a clock that was set from a machine that slept."""

    async def wait(self, until: datetime | None) -> Woken:
        """Waits until that moment (None: for ever), until the clock is set, or until `wake` was called."""

    def wake(self) -> None:
        """Ends the wait that is under way, or else the next one, with "woken". Called from tasks of the same run."""

    async def __aenter__(self) -> Self:
        """From here on it can be waited on."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Gives back what it holds."""


def now() -> datetime:
    """The moment by the machine's wall clock, aware, in UTC."""
    return datetime.now(UTC)


class WallClock:
    """The machine's wall clock.

    "due" is never early: `now()` is then at or after the moment. "clock_set" is also told, by the next wait, when the
    clock was set while nobody waited. A wait that is cancelled loses none of this, nor a `wake`.
    """

    def __init__(self) -> None:
        self._fd = -1
        self._woken = False
        self._sleeping: trio.CancelScope | None = None

    async def __aenter__(self) -> Self:
        """Raises OSError when there is no descriptor left."""
        self._fd = _timerfd_create(_CLOCK_REALTIME, _CREATE_FLAGS)
        if self._fd < 0:
            raise _error("timerfd_create")
        self._arm(_NEVER)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the timer; a wait that is under way raises trio.ClosedResourceError."""
        fd, self._fd = self._fd, -1
        trio.lowlevel.notify_closing(fd)
        os.close(fd)

    def now(self) -> datetime:
        """The moment, aware, in UTC."""
        return now()

    def read(self) -> Reading:
        """All clocks at once."""
        return Reading(now(), time.clock_gettime(time.CLOCK_BOOTTIME), time.monotonic())

    async def wait(self, until: datetime | None) -> Woken:
        """See Clock. Raises trio.BusyResourceError while another task waits, and OSError for a timer that fails."""
        await trio.lowlevel.checkpoint()
        if self._sleeping is not None:
            raise trio.BusyResourceError("another task waits on this clock")
        with trio.CancelScope() as scope:
            self._sleeping = scope
            try:
                while not self._woken:
                    if (found := await self._wait_once(until)) is not None:
                        return found
            finally:
                self._sleeping = None
        self._woken = False
        return "woken"

    def wake(self) -> None:
        """Ends the wait that is under way, or else the next one, with "woken"."""
        self._woken = True
        if self._sleeping is not None:
            self._sleeping.cancel()

    async def _wait_once(self, until: datetime | None) -> Woken | None:
        if not self._arm(_NEVER if until is None else min(until, _NEVER)):
            return "clock_set"
        await trio.lowlevel.wait_readable(self._fd)
        return self._read()

    def _arm(self, moment: datetime) -> bool:
        """False when the clock was set since the timer was last armed or read; it is armed all the same."""
        # Below zero the kernel refuses, and zero would disarm it.
        since = max(moment - _EPOCH, timedelta(microseconds=1))
        seconds, microseconds = since.days * 86400 + since.seconds, since.microseconds
        timer = _Itimerspec(0, 0, seconds, microseconds * 1000)
        if _timerfd_settime(self._fd, _ABSTIME | _CANCEL_ON_SET, ctypes.byref(timer), None) == 0:
            return True
        if ctypes.get_errno() == errno.ECANCELED:
            return False
        raise _error("timerfd_settime")

    def _read(self) -> Woken | None:
        """None when there was nothing to read after all."""
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno == errno.ECANCELED:
                return "clock_set"
            raise
        return "due"


def _error(call: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{call}: {os.strerror(number)}")
