"""Pacing of database statements: how long ones are stopped, paused and held back, and what they wait for."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from jamaint.core.plans import Step
from jamaint.core.rate_limits import WindowEnd
from jamaint.databases.connection import Target, TargetError, failures_named
from jamaint.databases.rules.batch_size import LOOKS, Limits, Vitals, rest_seconds, why_wait, writes_much
from jamaint.host.sql_files import statements

T = TypeVar("T")
LOOK_SECONDS = 0.25
"""How often is looked whether to stop or to stand still, while a statement runs."""
VITALS_SECONDS = 1.0
MOST_REST_SECONDS = 60.0
"""After one batch, however long it took."""
PATIENCE_SECONDS = 1800.0
"""How long to wait for others without a single batch in between, before the rest is left for another time."""
OTHERS_SECONDS = 10.0
"""When the server's log still grows too fast after we stood still for so long, it is others who write it."""
LIMITS = Limits()

SQL = statements("jamaint.databases", "vitals")


class ExecutorHost(Protocol):
    """What an executor's host does for what runs here; see executors.shared.executor.Host."""

    def progress(self, done: int, total: int | None, unit: str) -> None: ...
    def log(self, level: str, message: str) -> None: ...
    def waiting(self, why: str) -> None: ...
    def checkpoint(self) -> None: ...
    def paused(self) -> int: ...
    def held(self, number: int) -> None: ...


_HIDDEN = (
    "whether others are at work cannot be seen with this role, so that all their sessions count as one, and the rests "
    "between batches are short: grant pg_monitor to it"
)


@dataclass(slots=True)
class StatementControl:
    """One execution's: it stops by the exception that its host raises, and counts how long it stood aside.

    `slowly`: others alone make the server write more log than it should, so that we go on, but at a slow pace.
    """

    host: ExecutorHost
    target: Target
    window_end: WindowEnd = field(default_factory=WindowEnd)
    waited_seconds: float = 0.0
    slowly: bool = False
    _paused_seconds: float = 0.0
    _others: deque[int] = field(default_factory=lambda: deque(maxlen=LOOKS))
    _before: Vitals | None = None
    _before_last: Vitals | None = None
    _looked_at: float = float("-inf")
    _told_hidden: bool = False

    def left_seconds(self) -> float:
        """Return the seconds until the window's end; infinite where there is none."""
        ends_at = self.window_end.at
        return float("inf") if ends_at is None else (ends_at - datetime.now(UTC)).total_seconds()

    async def is_over(self) -> bool:
        """Return whether the window has ended and the rest is to be left for another execution.

        A task that pauses at its window's end waits here for the pause, and through it for the next opening.
        """
        while self.left_seconds() <= 0:
            if not self.window_end.pauses:
                return True
            await self.rest(LOOK_SECONDS)
        return False

    async def checkpoint(self) -> None:
        """A safe point between two statements: waits here while the execution is paused or throttled."""
        await asyncio.get_running_loop().run_in_executor(None, self.host.checkpoint)

    async def drive(
        self,
        start: Callable[[], Awaitable[T]],
        look: Callable[[], Awaitable[None]] | None = None,
        leave: Callable[[], Awaitable[None]] | None = None,
    ) -> T:
        """Runs `start()`, and cancels it when the execution is to stop or to pause; after a pause it starts again.

        What it leaves behind when it is cancelled `leave` clears away before a pause; before a stop the caller does.
        `look` is called now and then meanwhile.
        """
        while True:
            running = asyncio.ensure_future(start())
            try:
                while not running.done() and not (number := self.host.paused()):
                    await asyncio.wait({running}, timeout=LOOK_SECONDS)
                    if look is not None and not running.done():
                        await look()
            except BaseException:
                await _end(running)
                raise
            if running.done():
                return running.result()
            if await _end(running):  # it had ended all the same
                return running.result()
            if leave is not None:
                await leave()
            self.host.held(number)
            await self.checkpoint()

    async def rest(self, seconds: float) -> None:
        """Sleeps, and wakes up to stop or to stand still; a pause is a rest too."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(left, LOOK_SECONDS))
            if self.host.paused():
                paused_at = time.monotonic()
                await self.checkpoint()
                self._paused_seconds += time.monotonic() - paused_at

    async def rest_after(self, worked_seconds: float) -> None:
        """Rests after a batch, the longer the more others are at work."""
        others = sum(self._others) / len(self._others) if self._others else 0.0
        wanted = rest_seconds(worked_seconds, others, self.slowly)
        await self.rest(max(0.0, min(wanted, MOST_REST_SECONDS, self.left_seconds())))

    async def wait_for_others(self, oid: int, in_batches: bool = False) -> str | None:
        """Waits while the server is not well enough for more; returns why when it does not become so in time.

        `in_batches`: it is called between any two of them, and looks only now and then; and when it is others who fill
        the log, it lets the work go on slowly.
        """
        if in_batches and time.monotonic() - self._looked_at < VITALS_SECONDS:
            return None
        began, told = self._awake(), None
        while (why := await self._why_not_now(oid, in_batches, self._awake() - began)) is not None:
            kind = _kind(why)
            if kind != told:
                self.host.log("info", f"waiting: {why}")
                self.host.waiting(why)
                told = kind
            await self.rest(VITALS_SECONDS)
            if await self.is_over() or self._awake() - began > PATIENCE_SECONDS:
                break
        if told is not None:
            self.waited_seconds += self._awake() - began
            self.host.waiting("")
        return why

    def _awake(self) -> float:
        """The moment by a clock that stands still in a pause, which is nobody's but the operator's."""
        return time.monotonic() - self._paused_seconds

    async def _why_not_now(self, oid: int, in_batches: bool, waited: float) -> str | None:
        now, before = await self._vitals(oid), self._before_last
        if now.hidden and in_batches and not self._told_hidden:
            self._told_hidden = True
            self.host.log("warning", _HIDDEN)
        why, much = why_wait(now, LIMITS), writes_much(now, before, LIMITS)
        if much is None:
            self.slowly = False
        elif why is None and in_batches and not self.slowly and waited > OTHERS_SECONDS:
            self.slowly = True
            self.host.log("info", f"{much}, also without us: goes on at a slow pace meanwhile")
        return why or (None if self.slowly else much)

    async def _vitals(self, oid: int) -> Vitals:
        with failures_named(self.target.identity.database):
            row = await self.target.watch.fetchrow(SQL["vitals"], oid, list(self.target.pids))
        assert row is not None  # it is one row of functions
        self._looked_at = time.monotonic()
        self._before_last, self._before = self._before, Vitals(at_seconds=self._looked_at, **dict(row))
        self._others.append(self._before.others)
        return self._before


@dataclass(frozen=True, slots=True)
class Doing:
    """A step under way. What has been done stands in `tally`, also when it is cut short; `now` is when it was due."""

    target: Target
    reins: StatementControl
    execution: str
    now: datetime
    step: Step
    tally: dict[str, Any]

    def check_rights(self) -> None:
        """Raise TargetError where the plan found that the role may do nothing of what is to be done."""
        if why := self.step.args.get("may_not"):
            raise TargetError(why, "refused")

    def skip(self, name: str, why: str) -> None:
        """Notes something that is left as it is."""
        self.tally["skipped"].append({"path": name, "why": why})
        self.tally["skipped_count"] += 1


async def _end(running: "asyncio.Future[T]") -> bool:
    """Cancels it and waits for its end; True if it had a result before."""
    running.cancel()
    await asyncio.wait({running})
    if running.cancelled():
        return False
    return running.exception() is None


def _kind(why: str) -> str:
    """A reason without its figures, which change with every look."""
    return " ".join(word for word in why.split() if not any(character.isdigit() for character in word))
