"""Figures of executions from the store, beside the same figures reckoned in Python over random histories."""

import random
import statistics
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import structlog

from jamaint.core.executions import Execution, State
from jamaint.core.figures import Counts
from jamaint.core.metrics import Sampled
from jamaint.daemon.state.recorder import Recorder
from jamaint.store import executions, metrics
from jamaint.store.metrics import TaskFigures
from jamaint.store.postgres import open_postgres

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = timedelta(days=1)
HISTORIES = 50


def history(seed: int) -> list[Execution]:
    """A few executions of one task before NOON, some of them retries of others, named for their history."""
    draw = random.Random(seed)
    found: list[Execution] = []
    for number in range(draw.randrange(12)):
        status = draw.choice([State.COMPLETED, State.COMPLETED, State.FAILED, State.ROLLED_BACK, State.CANCELLED])
        end = NOON - timedelta(seconds=draw.randrange(1, 3 * 86400))
        started = status is not State.CANCELLED or draw.random() < 0.5
        tried_again = [one for one in found if one.status is State.FAILED]
        again = draw.choice(tried_again).id if tried_again and draw.random() < 0.5 else None
        found.append(
            Execution(
                id=str(UUID(int=seed * 1000 + number + 1)),
                task_id=None,
                task_name=f"history-{seed}",
                status=status,
                trigger="retry" if again else "request",
                scheduled_for=end - timedelta(hours=1),
                started_at=end - timedelta(milliseconds=draw.randrange(1, 10**6)) if started else None,
                completed_at=end,
                metrics={"freed_space": draw.randrange(-100, 10**9)} if draw.random() < 0.7 else {},
                attempt=2 if again else 1,
                retry_of=again,
            )
        )
    return found


def expected(found: list[Execution], since: datetime) -> TaskFigures | None:
    """The figures, the slow way."""
    inside = [one for one in found if one.completed_at is not None and since <= one.completed_at < NOON]
    tried_again = {one.retry_of for one in inside}
    counted = [one for one in inside if one.id not in tried_again]
    if not counted:
        return None
    by = {state: [one for one in counted if one.status is state] for state in State}
    started = [one for one in by[State.CANCELLED] if one.started_at is not None]
    took = sorted(one.duration_ms / 1000 for one in by[State.COMPLETED] if one.duration_ms is not None)
    counts = Counts(
        len(by[State.COMPLETED]),
        len(by[State.FAILED]),
        len(by[State.ROLLED_BACK]),
        len(started),
        len(by[State.CANCELLED]) - len(started),
    )
    durations = metrics.Durations(len(took))
    if took:
        p90 = statistics.quantiles(took, n=10, method="inclusive")[-1] if len(took) > 1 else took[0]
        durations = metrics.Durations(len(took), statistics.fmean(took), statistics.median(took), p90)
    return TaskFigures(counts, durations, sum(one.metrics.get("freed_space", 0) for one in counted))


async def test_task_figures_are_those_of_a_second_reckoning(database: str) -> None:
    histories = {f"history-{seed}": history(seed) for seed in range(HISTORIES)}
    since = NOON - 2 * DAY
    async with open_postgres(database) as pool:
        recorder = Recorder(pool, "a test", lambda: NOON, structlog.get_logger())
        await recorder.connect()
        for found in histories.values():
            for one in found:
                await recorder.run(executions.write, [one])
        told = await pool.run(metrics.task_figures, since, NOON)
        last = await pool.run(metrics.last_successes)
        await recorder.close()
    for name, found in histories.items():
        wanted = expected(found, since)
        if wanted is None:
            assert name not in told
            continue
        assert told[name].counts == wanted.counts
        assert told[name].freed_bytes == wanted.freed_bytes
        assert told[name].durations == pytest.approx(wanted.durations)
    completed = {
        name: max(one.completed_at for one in found if one.status is State.COMPLETED and one.completed_at is not None)
        for name, found in histories.items()
        if any(one.status is State.COMPLETED for one in found)
    }
    assert last == completed


async def test_samples_are_rolled_up_to_days_without_adding_twice(database: str) -> None:
    midnight = NOON.replace(hour=0)
    async with open_postgres(database) as pool:
        recorder = Recorder(pool, "a test", lambda: NOON, structlog.get_logger())
        await recorder.connect()
        for minute, mean in ((0, 1.0), (5, 4.0)):
            at = midnight + timedelta(minutes=minute)
            for _ in range(2):  # an answer that was lost has it written again
                await recorder.run(metrics.add, at, [Sampled("system", "load1", "", 5, mean - 1, mean, mean + 1)])
            await recorder.run(metrics.roll_up, midnight, midnight + DAY)
        assert await pool.run(metrics.since, midnight, NOON) == [Sampled("system", "load1", "", 10, 0.0, 2.5, 5.0)]
        days = "SELECT timestamp, value::float8 AS value, metadata FROM maintenance_metrics WHERE tags ->> 'per' = '1d'"
        (day,) = await pool.run(_fetch, days)
        assert (day["timestamp"], day["value"]) == (midnight, 2.5)
        await recorder.run(metrics.forget, NOON, midnight)
        assert await pool.run(metrics.since, midnight, NOON) == []
        assert len(await pool.run(_fetch, days)) == 1
        await recorder.run(metrics.forget, NOON, NOON)
        assert await pool.run(_fetch, days) == []
        await recorder.close()


async def _fetch(connection: metrics.Connection, sql: str) -> list[object]:
    return list(await connection.fetch(sql))
