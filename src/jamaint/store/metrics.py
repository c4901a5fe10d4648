"""Metrics: figures of executions by task, and samples of the daemon and its machine in rows of 5 minutes and days."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from jamaint.core.figures import Counts, Durations
from jamaint.core.metrics import Sampled
from jamaint.store.postgres import Connection
from jamaint.store.queries import statements

SQL = statements("metrics")


class TaskFigures(NamedTuple):
    """How a task's executions of a period did; durations are of completed ones."""

    counts: Counts
    durations: Durations
    freed_bytes: int


class WindowRun(NamedTuple):
    """When something ran for a window; both ends are aware."""

    window: str
    started_at: datetime
    ended_at: datetime


async def task_figures(connection: Connection, since: datetime, until: datetime) -> dict[str, TaskFigures]:
    """Return the figures of executions that ended in since <= t < until, by task name."""
    return {
        row["task_name"]: TaskFigures(
            Counts(row["completed"], row["failed"], row["rolled_back"], row["cancelled"], row["skipped"]),
            Durations(row["timed"], row["mean_seconds"], row["median_seconds"], row["p90_seconds"]),
            row["freed_bytes"],
        )
        for row in await connection.fetch(SQL["task_figures"], since, until)
    }


async def last_successes(connection: Connection) -> dict[str, datetime]:
    """Return when each task completed last, of the executions on record."""
    return {row["task_name"]: row["at"] for row in await connection.fetch(SQL["last_successes"])}


async def window_runs(connection: Connection, since: datetime, until: datetime) -> list[WindowRun]:
    """Return the executions for windows that ran in the period."""
    return [WindowRun(*row) for row in await connection.fetch(SQL["window_runs"], since, until)]


async def add(connection: Connection, at: datetime, samples: Iterable[Sampled]) -> None:
    """Add a row for each metric of the five minutes that begin at `at`; harmless when it is done twice."""
    columns = list(zip(*samples, strict=True))
    if columns:
        await connection.execute(SQL["add"], at, *columns)


async def roll_up(connection: Connection, since: datetime, until: datetime) -> None:
    """Make the rows of the days of since <= t < until anew; both ends are midnight in UTC."""
    await connection.execute(SQL["roll_up"], since, until)


async def since(connection: Connection, moment: datetime, until: datetime) -> list[Sampled]:
    """Return one figure a metric over the samples of the period."""
    return [
        Sampled(row["metric_type"], row["metric_name"], row["unit"], row["n"], row["least"], row["mean"], row["most"])
        for row in await connection.fetch(SQL["since"], moment, until)
    ]


async def forget(connection: Connection, samples_before: datetime, days_before: datetime) -> None:
    """Delete rows of five minutes and of days that are older."""
    await connection.execute(SQL["forget"], samples_before, days_before)
