"""Purging by the wall clock: when a retention ends it purges, and not when the clock was only set there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import structlog
import trio
import trio.lowlevel
import trio.testing

from fake_clocks import FakeClock, Hand
from jamaint.core.executions import Execution, State, advance
from jamaint.core.plans import Step
from jamaint.daemon.execution.rollbacks import Rollbacks
from jamaint.daemon.state.events import Observer
from jamaint.daemon.state.live import Current
from jamaint.daemon.state.recorder import Recorder
from jamaint.errors import JamaintError
from jamaint.host.signatures import Seals
from jamaint.store import executions, rollback_points
from jamaint.store.postgres import open_postgres
from jamaint.store.rollback_points import RollbackPoint
from logs_cleanup_runs import executor, put, run_all

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
RETENTION = timedelta(days=7)
HOUR = timedelta(hours=1)
YEAR = timedelta(days=365)
LOGS = {"log_paths": [], "retention_seconds": 86400.0, "compress": None, "archive": None, "exclude": []}


@dataclass
class Place:
    """A purger at work on a clock by hand, beside trio's own, and the one point that it has to purge."""

    hand: Hand
    clock: FakeClock
    recorder: Recorder
    execution: Execution
    monotonic: trio.testing.MockClock
    said: list[str]
    rollbacks: Rollbacks

    async def status(self) -> str:
        """The point's status once the purger sleeps."""
        while not self.clock.waits:
            await trio.lowlevel.checkpoint()
        point = await self.recorder.run(rollback_points.of_execution, self.execution.id)
        assert point is not None
        return point.status

    def passes(self, time: timedelta) -> None:
        """Time passes, on both clocks."""
        self.monotonic.jump(time.total_seconds())
        self.hand.advance(time.total_seconds())


@asynccontextmanager
async def purging(
    dsn: str, state: Path, hand: Hand, monotonic: trio.testing.MockClock, steps: tuple[Step, ...] = ()
) -> AsyncIterator[Place]:
    log = structlog.get_logger()
    said: list[str] = []
    async with open_postgres(dsn) as pool, trio.open_nursery() as nursery:
        recorder, clock, seals = Recorder(pool, "a daemon", lambda: NOON, log), hand.clock(), Seals(str(state))
        await recorder.connect()
        nursery.start_soon(recorder.serve)
        execution = await _kept(recorder, seals, steps)
        log = structlog.wrap_logger(_Said(said), processors=[lambda _logger, _name, event: event["event"]])
        rollbacks = Rollbacks(
            postgres=pool,
            recorder=recorder,
            current=Current(Observer(), clock.now),
            clock=clock,
            seals=seals,
            log=log,
        )
        nursery.start_soon(rollbacks.purge_expired)
        yield Place(hand, clock, recorder, execution, monotonic, said, rollbacks)
        nursery.cancel_scope.cancel()


class _Said:
    def __init__(self, said: list[str]) -> None:
        self.info = self.warning = self.error = said.append


async def _kept(recorder: Recorder, seals: Seals, steps: tuple[Step, ...]) -> Execution:
    """An execution of NOON that has kept a way back, of those steps; one made before, if any."""
    for before in await recorder.run(executions.page, limit=1):
        return before
    execution = Execution(
        id=str(uuid4()),
        task_id=None,
        task_name="logs",
        status=State.SCHEDULED,
        trigger="request",
        scheduled_for=NOON,
    )
    execution = advance(execution, State.RUNNING, started_at=NOON)
    await recorder.put(advance(execution, State.COMPLETED, completed_at=NOON))
    executor = "logs.cleanup" if steps else "noop"
    opening = {"execution": execution.id, "executor": executor, "user": None, "now": NOON.isoformat()}
    opening |= {"task": {"name": "logs", "config": dict(LOGS), "rollback": True, "timeout_seconds": None}}
    opening["task"] |= {"mass_deletion": {"share": 1.0, "items": 0}}  # type: ignore[operator]
    opening |= {"limits": {"low_space": 0.0}}
    point = RollbackPoint(
        id=str(uuid4()),
        execution_id=execution.id,
        status="open",
        created_at=NOON,
        expires_at=NOON + RETENTION,
        opening=opening,
        steps=steps,
        seal=seals.of(rollback_points.sealed(opening, steps)),
    )
    await recorder.run(rollback_points.create, point)
    return execution


@pytest.fixture
def monotonic(mock_clock: trio.testing.MockClock) -> trio.testing.MockClock:
    return mock_clock


async def test_it_purges_when_the_retention_has_passed(
    database: str, tmp_path: Path, monotonic: trio.testing.MockClock
) -> None:
    async with purging(database, tmp_path, Hand(NOON), monotonic) as place:
        assert await place.status() == "open"
        assert place.clock.until == NOON + RETENTION
        place.passes(RETENTION)
        while await place.status() == "open":
            await trio.lowlevel.checkpoint()
        assert await place.status() == "purged"


async def test_a_clock_set_far_forward_purges_nothing_and_set_right_is_as_if_nothing_had_been(
    database: str, tmp_path: Path, monotonic: trio.testing.MockClock
) -> None:
    async with purging(database, tmp_path, Hand(NOON), monotonic) as place:
        assert await place.status() == "open"
        place.hand.set(NOON + YEAR)
        while place.clock.until != NOON + YEAR + HOUR:
            assert await place.status() == "open"
        assert "no way back is purged before 2027-11-24 13:00 UTC" in place.said[-1]
        place.hand.set(NOON + timedelta(minutes=1))
        while place.clock.until != NOON + RETENTION:
            assert await place.status() == "open"


async def test_if_nobody_sets_it_right_it_is_believed(
    database: str, tmp_path: Path, monotonic: trio.testing.MockClock
) -> None:
    async with purging(database, tmp_path, Hand(NOON), monotonic) as place:
        assert await place.status() == "open"
        place.hand.set(NOON + YEAR)
        while place.clock.until != NOON + YEAR + HOUR:
            assert await place.status() == "open"
        place.passes(HOUR)
        while (status := await place.status()) == "open":
            await trio.lowlevel.checkpoint()
        assert status == "purged"


async def test_a_daemon_that_was_down_for_long_waits_too(
    database: str, tmp_path: Path, monotonic: trio.testing.MockClock
) -> None:
    async with purging(database, tmp_path, Hand(NOON), monotonic) as place:
        assert await place.status() == "open"
    async with purging(database, tmp_path, Hand(NOON + YEAR), monotonic) as place:
        assert await place.status() == "open"
        assert place.clock.until == NOON + YEAR + HOUR


@pytest.mark.parametrize("away", [("a",), ("a", "b")], ids=["one of two", "all"])
async def test_what_a_purge_has_begun_to_let_go_is_not_called_rolled_back(
    database: str, tmp_path: Path, monotonic: trio.testing.MockClock, away: tuple[str, ...]
) -> None:
    """A disk that is not there is waited for. What of the rest is purged by then can be put back by nobody."""
    for name in ("a", "b"):
        put(tmp_path / name / "old.log", 40).parent.chmod(0o755)
    globs = [f"{tmp_path}/{name}/*.log" for name in ("a", "b")]
    steps, _ = run_all(executor(log_paths=globs))
    state = tmp_path / "state"
    state.mkdir()
    for name in away:
        (tmp_path / name).rename(tmp_path / f"{name}.away")
    async with purging(database, state, Hand(NOON), monotonic, tuple(steps)) as place:
        assert await place.status() == "open"
        place.passes(RETENTION)
        while place.clock.until != NOON + RETENTION + HOUR:
            await trio.lowlevel.checkpoint()
        if len(away) == 2:  # nothing has been let go: it can all be put back as long as that is so
            assert await place.status() == "open"
        else:
            assert await place.status() == "purging"
            (execution,) = await place.recorder.run(executions.by_reference, place.execution.id)
            with pytest.raises(JamaintError, match="part of it may be gone"):
                await place.rollbacks.point_of(execution)
        for name in away:
            (tmp_path / f"{name}.away").rename(tmp_path / name)
        place.passes(HOUR)
        while await place.status() != "purged":
            await trio.lowlevel.checkpoint()
        assert not (tmp_path / "a" / ".jamaint-trash").exists()


async def test_an_early_purge_lets_nothing_go_that_a_rollback_has_left_since_it_was_looked_at(
    database: str, tmp_path: Path, monotonic: trio.testing.MockClock
) -> None:
    """A purge of many takes its time, and an operator may roll one of them back meanwhile."""
    async with purging(database, tmp_path, Hand(NOON), monotonic) as place:
        seen = await place.recorder.run(rollback_points.of_execution, place.execution.id)
        assert seen is not None
        for before, after in (("open", "undoing"), ("undoing", "incomplete")):
            assert await place.recorder.move_point(seen.id, [before], after) is not None
        with pytest.raises(JamaintError, match="taken its rollback point"):
            await place.rollbacks.purge_now(seen, "root")
        assert await place.status() == "incomplete"
