"""Metrics: samples of the daemon and its machine, and figures of tasks and windows from the executions on record."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import trio
from structlog.typing import FilteringBoundLogger

from jamaint.core.calendar.windows import Window
from jamaint.core.executions import State
from jamaint.core.figures import Counts, Durations, success_rate
from jamaint.core.metrics import (
    OPENINGS_LIMIT,
    Sampled,
    efficiency,
    gathered,
    midnight,
    openings_between,
    period_of,
)
from jamaint.daemon.monitoring.openmetrics import Figures, openmetrics, textfile
from jamaint.daemon.monitoring.run_counters import RunCounters
from jamaint.daemon.scheduling.scheduler import Scheduler
from jamaint.daemon.state import json_views
from jamaint.daemon.state.definitions import Definitions
from jamaint.daemon.state.live import Current
from jamaint.daemon.state.recorder import Recorder
from jamaint.host.disk_space import disk
from jamaint.host.machine_figures import machine_figures
from jamaint.host.replaced_file import replace_file
from jamaint.store import metrics
from jamaint.store.postgres import Connection, DatabaseAwayError, Postgres

EVERY_SECONDS = 60.0
LOOKED_BACK = timedelta(days=30)
DAY = timedelta(days=1)
SAMPLES_KEPT, DAYS_KEPT = timedelta(days=30), timedelta(days=400)
CLOSED = timedelta(minutes=15)
"""How long after its end a day is rolled up again, for rows that came late."""
TEXTFILE_MODE = 0o644
TEXTFILE_SECONDS = 5.0
"""How long the file may keep us waiting, as on a network file system whose server is gone."""
LOOK_SECONDS = 5.0
"""How long a disk or the database may keep a sample waiting; its figure is left out then."""
WRITE_SECONDS = 30.0

Alerts = Callable[[], Awaitable[list[tuple[str, str]]]]


class Metrics:
    """Samples once a minute while it serves; a figure that could not be had is left out, never 0."""

    def __init__(
        self,
        *,
        definitions: Definitions,
        scheduler: Scheduler,
        current: Current,
        recorder: Recorder,
        postgres: Postgres,
        now: Callable[[], datetime],
        log: FilteringBoundLogger,
    ) -> None:
        self._definitions = definitions
        self._scheduler = scheduler
        self._current = current
        self._recorder = recorder
        self._postgres = postgres
        self._now = now
        self._log = log
        self._samples: dict[tuple[str, str, str], list[float]] = {}
        self._period: datetime | None = None
        self._rolled_up: datetime | None = None
        self._problems: dict[str, str] = {}
        self._writing = trio.Lock()
        self.counters = RunCounters(self._category_of)
        self._alerts: Alerts = _none

    async def serve(self, alerts: Alerts) -> None:
        """Sample until it is cancelled; `alerts` tells which fire, as (name, severity)."""
        self._alerts = alerts
        with suppress(DatabaseAwayError):
            self.counters.last_success |= await self._postgres.run(metrics.last_successes)
        while True:
            await self.write_textfile()
            started = trio.current_time()
            await trio.sleep(EVERY_SECONDS)
            lag = trio.current_time() - started - EVERY_SECONDS
            try:
                await self.sample({("performance", "loop_lag_seconds", "s"): max(lag, 0.0)})
            except Exception as error:
                self._tell_once("sample", f"internal error in a sample ({type(error).__name__})", error)
            else:
                self._problems.pop("sample", None)

    async def sample(self, more: Mapping[tuple[str, str, str], float] | None = None) -> None:
        """Take one sample of everything, and write the five minutes that are over."""
        now = self._now()
        period = period_of(now)
        if self._period is not None and period != self._period:
            await self._write(self._period, gathered(self._samples), now)
            self._samples = {}
        self._period = period
        for key, value in {**await self._values(), **(more or {})}.items():
            self._samples.setdefault(key, []).append(value)

    async def collect(self) -> dict[str, Any]:
        """Return the specification's MaintenanceMetrics: scheduler, tasks, windows, system, performance."""
        now = self._now()
        since = now - LOOKED_BACK
        figures = await self._postgres.run(metrics.task_figures, since, now)
        runs = await self._postgres.run(metrics.window_runs, since, now)
        sampled = await self._postgres.run(metrics.since, now - DAY, now)
        values = await self._values()
        busy: dict[str, list[tuple[datetime, datetime]]] = {}
        for run in runs:
            busy.setdefault(run.window, []).append((run.started_at, run.ended_at))
        reckon = partial(_windows, dict(self._definitions.windows), busy, since, now)
        used = await trio.to_thread.run_sync(reckon, abandon_on_cancel=True)
        windows = [{**one, "open": one["window"] in self._scheduler.openings} for one in used]
        return {
            "timestamp": json_views.time(now),
            "since": json_views.time(since),
            "scheduler": {
                "state": self._scheduler.state,
                "next_due": json_views.time(self._scheduler.first_due),
                "max_concurrent_tasks": self._definitions.config.scheduler.max_concurrent_tasks,
                **_of_type("scheduler", values),
                "last_24h": _last_day("scheduler", sampled),
            },
            "tasks": {"defined": len(self._definitions.tasks), "items": self._tasks(figures)},
            "windows": {"defined": len(self._definitions.windows), "items": windows},
            "system": {**_of_type("system", values), "last_24h": _last_day("system", sampled)},
            "performance": {**_of_type("performance", values), "last_24h": _last_day("performance", sampled)},
        }

    async def openmetrics(self) -> str:
        """Return the text of a scrape."""
        return openmetrics(self.counters, await self._figures()).decode()

    async def write_textfile(self) -> None:
        """Write the file of `monitoring.textfile`, if there is one: whole or not at all. A problem is told once.

        Raises nothing: the daemon and a reload go on without it.
        """
        path = self._definitions.config.textfile
        if path is None:
            return
        try:
            with trio.fail_after(TEXTFILE_SECONDS):
                async with self._writing:
                    text = textfile(self.counters, await self._figures())
                    await trio.to_thread.run_sync(replace_file, path, text, TEXTFILE_MODE, abandon_on_cancel=True)
        except trio.TooSlowError:
            self._tell_once("textfile", f"{path} cannot be written within {TEXTFILE_SECONDS:g} s")
        except OSError as error:
            self._tell_once("textfile", f"{path} cannot be written: {error.strerror}")
        except Exception as error:
            self._tell_once("textfile", f"{path}: internal error ({type(error).__name__})", error)
        else:
            self._problems.pop("textfile", None)

    def _tell_once(self, kind: str, problem: str, error: Exception | None = None) -> None:
        """Log a problem, but not each minute again while it stays the same."""
        if self._problems.get(kind) != problem:
            self._log.warning(f"{problem}; metrics are missing or old until that is over", exc_info=error)
        self._problems[kind] = problem

    async def _figures(self) -> Figures:
        values = await self._values()
        return Figures(
            next_due={name: self._scheduler.next_due(name) for name in self._definitions.tasks},
            windows={name: name in self._scheduler.openings for name in self._definitions.windows},
            alerts=await self._alerts(),
            gauges={name: (HELP[name], value) for (_, name, _), value in values.items()},
        )

    async def _values(self) -> dict[tuple[str, str, str], float]:
        live = self._current.all()
        running = sum(execution.status is State.RUNNING for execution in live)
        found: dict[tuple[str, str, str], float] = {
            ("scheduler", "executions_running", ""): running,
            ("scheduler", "executions_waiting", ""): len(live) - running,
            ("scheduler", "windows_open", ""): len(self._scheduler.openings),
        }
        with suppress(OSError):
            own = machine_figures()
            found |= {
                ("system", "load1", ""): own.load,
                ("system", "processors", ""): own.processors,
                ("system", "memory_bytes", "B"): own.memory_bytes,
                ("system", "memory_available_bytes", "B"): own.memory_available_bytes,
                ("performance", "resident_memory_bytes", "B"): own.own_memory_bytes,
                ("performance", "processor_seconds", "s"): own.own_processor_seconds,
                ("performance", "open_files", ""): own.open_files,
            }
        with suppress(OSError, trio.TooSlowError), trio.fail_after(LOOK_SECONDS):
            state = await trio.to_thread.run_sync(disk, self._definitions.config.state_dir, abandon_on_cancel=True)
            found["system", "state_directory_free_bytes", "B"] = state["free"]
            if state["share"] is not None:
                found["system", "state_directory_used_ratio", ""] = state["share"]
        started = trio.current_time()
        with suppress(DatabaseAwayError, trio.TooSlowError), trio.fail_after(LOOK_SECONDS):
            if self._recorder.away is None:
                await self._postgres.run(_nothing)
                found["performance", "database_round_trip_seconds", "s"] = trio.current_time() - started
        return found

    def _tasks(self, figures: Mapping[str, metrics.TaskFigures]) -> list[dict[str, Any]]:
        names = sorted({*self._definitions.tasks, *figures})
        return [
            {
                "task": name,
                "is_defined": name in self._definitions.tasks,
                "next_due": json_views.time(self._scheduler.next_due(name)),
                "last_success": json_views.time(self.counters.last_success.get(name)),
                **task_figures(figures.get(name)),
            }
            for name in names
        ]

    async def _write(self, period: datetime, samples: list[Sampled], now: datetime) -> None:
        if self._recorder.away is not None:
            return  # no spool: a gap is told as a gap
        with trio.move_on_after(WRITE_SECONDS) as limit:
            await self._recorder.run(metrics.add, period, samples)
            await self._roll_up(now)
        if limit.cancelled_caught:
            self._log.warning(
                "samples of five minutes may be lost: the database does not take them", period=str(period)
            )

    async def _roll_up(self, now: datetime) -> None:
        """Make yesterday's and today's rows anew once a day, after CLOSED; at a start those of all days."""
        today = midnight(now)
        if self._rolled_up == today:
            return
        since = self._rolled_up - DAY if self._rolled_up else midnight(now - SAMPLES_KEPT) + DAY
        await self._recorder.run(metrics.roll_up, since, today + DAY)
        await self._recorder.run(metrics.forget, midnight(now - SAMPLES_KEPT), now - DAYS_KEPT)
        if now - today >= CLOSED:
            self._rolled_up = today

    def _category_of(self, task: str) -> str:
        found = self._definitions.tasks.get(task)
        return "" if found is None else found.category


def task_figures(figures: metrics.TaskFigures | None) -> dict[str, Any]:
    """Return a task's figures as JSON: counts, rate (None without any), durations in seconds, and bytes."""
    if figures is None:
        figures = metrics.TaskFigures(Counts(), Durations(0), 0)
    counts, took = figures.counts, figures.durations
    return {
        **counts._asdict(),
        "success_rate": success_rate(counts),
        "mean_seconds": took.mean_seconds,
        "median_seconds": took.median_seconds,
        "p90_seconds": took.p90_seconds,
        "freed_bytes": figures.freed_bytes,
    }


HELP: Mapping[str, str] = {
    "executions_running": "Executions that run now.",
    "executions_waiting": "Executions that are due or requested and have not started.",
    "windows_open": "Windows that are open now.",
    "load1": "The load average over one minute.",
    "processors": "Processors of the machine.",
    "memory_bytes": "Memory of the machine.",
    "memory_available_bytes": "Memory that is available without swapping.",
    "resident_memory_bytes": "Resident memory of the daemon.",
    "processor_seconds": "Processor time that the daemon has used since its start.",
    "open_files": "File descriptors that the daemon has open.",
    "state_directory_free_bytes": "Free space on the disk of the state directory.",
    "state_directory_used_ratio": "Used share of the disk of the state directory, as df has it.",
    "database_round_trip_seconds": "How long the state's database took for an empty query.",
}


def _of_type(kind: str, values: Mapping[tuple[str, str, str], float]) -> dict[str, float]:
    return {name: value for (of, name, _), value in values.items() if of == kind}


def _last_day(kind: str, sampled: Iterable[Sampled]) -> dict[str, Any]:
    return {
        one.name: {"n": one.n, "min": one.least, "avg": one.mean, "max": one.most}
        for one in sampled
        if one.type == kind
    }


def _windows(
    windows: Mapping[str, Window],
    busy: Mapping[str, list[tuple[datetime, datetime]]],
    since: datetime,
    until: datetime,
) -> list[dict[str, Any]]:
    """Return how each window was used; None where there are too many openings to reckon for one answer."""
    found, room = [], OPENINGS_LIMIT
    for name, window in sorted(windows.items()):
        openings = openings_between(window, since, until, room)
        room -= 0 if openings is None else len(openings)
        used = None if openings is None else efficiency(openings, busy.get(name, ()), since, until)
        found.append(
            {
                "window": name,
                "openings": None if used is None else used.openings,
                "open_seconds": None if used is None else round(used.open_seconds),
                "busy_seconds": None if used is None else round(used.busy_seconds),
                "efficiency": None if used is None else used.share,
            }
        )
    return found


async def _none() -> list[tuple[str, str]]:
    return []


async def _nothing(connection: Connection) -> None:
    await connection.fetchval("SELECT 1")
