"""Schedules: 10,000 of them read and followed, a wake among many, a year simulated, a thousand due in one second."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import database
from eye import Eye
from measure import idle, quantile, until
from places import WORK, peer_program, scratch
from product import Daemon, daemon, installed
from topic import AbsentError, Figures, Topic

from jamaint.core.guards.guard import Snapshot
from jamaint.core.recurrence import Schedule
from jamaint.core.scheduling.agenda import decide
from jamaint.core.scheduling.simulation import Scenario, simulate
from jamaint.core.scheduling.timetable import Timetable
from jamaint.core.tasks import Task

N = int(os.environ.get("SCHEDULES", "10000"))
CROWD = int(os.environ.get("CROWD", "1000"))
YEAR_TASKS, YEAR_DAYS = 1000, 365
WAKES = 300
AT_ONCE = 10
AHEAD_SECONDS = 45.0
IDLE_SECONDS = 60.0
PEER_SECONDS = 600
SCRIPTS = Path(__file__).parent / "peers"
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LATENESS = """SELECT extract(epoch FROM started_at - scheduled_for)::float8 FROM maintenance_executions
WHERE trigger = 'schedule' AND started_at IS NOT NULL"""
STARTED = "SELECT count(*) FROM maintenance_executions WHERE trigger = 'schedule' AND status = 'completed'"


def _peer(name: str, python: str) -> Figures:
    done = subprocess.run(
        [python, SCRIPTS / f"schedules_{name}.py", str(N)],
        capture_output=True,
        text=True,
        timeout=PEER_SECONDS,
        check=False,
    )
    if "ModuleNotFoundError" in done.stderr:
        raise AbsentError("sh bench/peers.sh installs it")
    if done.returncode:
        raise RuntimeError(f"{name}: {done.stderr[-1000:]}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _of_product(name: str) -> Callable[[], Figures]:
    return lambda: _peer(name, str(installed() / "python"))


def _of_peers(name: str, directory: str = "peers") -> Callable[[], Figures]:
    def run() -> Figures:
        python = WORK / directory / "bin" / "python"
        if not python.exists():
            raise AbsentError("sh bench/peers.sh installs it")
        return _peer(name, str(python))

    return run


def _tasks(count: int, schedule: Callable[[int], Schedule]) -> list[Task]:
    return [
        Task(f"id-{number}", f"t{number}", "custom", "system", "noop", schedule(number), {}) for number in range(count)
    ]


def _wake(defined: int) -> Callable[[], Figures]:
    """One task due a second, and all others of those defined at other times."""

    def run() -> Figures:
        table = Timetable({}, 3600)
        for task in _tasks(defined, lambda number: Schedule(cron=f"{number % 60} {number // 60 % 24} 1 1 *")):
            table.put(task, NOW)
        table.put(Task("id", "due", "custom", "system", "noop", Schedule(every_seconds=1), {}), NOW)
        lasted = []
        for second in range(1, WAKES + 1):
            now = NOW + timedelta(seconds=second)
            began = time.perf_counter()
            taken = list(table.take_due(now))
            decide(Snapshot(()), now)
            table.wake_at()
            lasted.append(1e6 * (time.perf_counter() - began))
            assert len(taken) == 1
        return {"p50 us": quantile(lasted, 0.5), "p99 us": quantile(lasted, 0.99)}

    return run


def year() -> Figures:
    """A year of tasks that come daily at any minute, four at a time, each a minute long or so."""
    random = Random(7)
    tasks = _tasks(YEAR_TASKS, lambda _number: Schedule(cron=f"{random.randrange(60)} {random.randrange(24)} * * *"))
    table = Timetable({}, 3600)
    durations = {task.name: [random.randrange(1_000, 90_000) for _ in range(20)] for task in tasks}
    began = time.perf_counter()
    for task in tasks:
        table.put(task, NOW)
    found = simulate(
        Scenario(tasks, table, lambda _moment: (Snapshot(()), None), NOW, NOW + timedelta(days=YEAR_DAYS), durations)
    )
    lasted = time.perf_counter() - began
    return {"seconds": lasted, "decisions a second": found.decisions / lasted, "decisions": found.decisions}


def _task(schedule: dict[str, str]) -> dict[str, object]:
    return {"type": "custom", "category": "system", "executor": "noop", "schedule": schedule}


@contextmanager
def _defined(count: int) -> Iterator[tuple[Daemon, float]]:
    """A daemon with so many tasks, none due soon, and how long it took to serve."""
    work = {
        f"t{number}": _task({"cron": f"{number % 60} {number // 60 % 24} 1 1 *", "timezone": "UTC"})
        for number in range(count)
    }
    with scratch() as directory, database.fresh() as dsn:
        began = time.perf_counter()
        with daemon(directory, dsn, tasks=work) as running:
            yield running, time.perf_counter() - began


def _idle(count: int) -> Callable[[], Figures]:
    def run() -> Figures:
        with _defined(count) as (running, began):
            return {"to serving s": began, **idle(running.pid, IDLE_SECONDS)}

    return run


def crowd() -> Figures:
    """As many tasks due in the same second, ten at a time, all durable."""
    due = (datetime.now(UTC) + timedelta(seconds=AHEAD_SECONDS)).replace(microsecond=0)
    at = due.strftime("%Y-%m-%dT%H:%M:%SZ")
    work = {f"t{number}": _task({"at": at}) for number in range(CROWD)}
    settings = {"max_concurrent_tasks": AT_ONCE}
    with (
        scratch() as directory,
        database.fresh() as dsn,
        daemon(directory, dsn, scheduler=settings, tasks=work),
        Eye(dsn) as eye,
    ):
        until(lambda: eye.value(STARTED) == CROWD, PEER_SECONDS, "the last one")
        lateness = [1000 * seconds for seconds in eye.column(LATENESS)]
    return {
        "first ms": min(lateness),
        "p50 ms": quantile(lateness, 0.5),
        "p99 ms": quantile(lateness, 0.99),
        "a second": CROWD / (max(lateness) / 1000),
    }


def crowd_apscheduler4() -> Figures:
    """Schedules for the same second, kept in PostgreSQL, ten jobs at a time."""
    script = SCRIPTS / "crowd_peer.py"
    with database.fresh() as dsn:
        done = subprocess.run(
            [peer_program("python"), script, dsn, str(CROWD), str(AT_ONCE), str(AHEAD_SECONDS)],
            capture_output=True,
            text=True,
            timeout=PEER_SECONDS,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(f"crowd: {done.stderr[-1000:]}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


SCHEDULES = Topic(
    f"{N:,} cron expressions: read with the next time of each, then {5 * N:,} further times",
    ("load s", "next us", "memory MiB"),
    {
        "cronsim": _of_product("cronsim"),
        "jamaint": _of_product("jamaint"),
        "croniter": _of_peers("croniter"),
        "APScheduler 3": _of_peers("apscheduler3", "peers3"),
        "APScheduler 4": _of_peers("apscheduler4"),
    },
)
WAKE = Topic(
    f"one wake at which one task is due, the core alone, {WAKES} times",
    ("p50 us", "p99 us"),
    {f"{count:,} defined": _wake(count) for count in (10, 1000, N)},
)
YEAR = Topic(
    f"a year of {YEAR_TASKS:,} daily tasks simulated",
    ("seconds", "decisions a second", "decisions"),
    {"jamaint": year},
)
MANY = Topic(
    f"a daemon with many tasks of which none is due, its start and {IDLE_SECONDS:g} s of idleness",
    ("to serving s", "resident MiB", "CPU %", "wakeups"),
    {f"{count:,} tasks": _idle(count) for count in (10, N)},
)
CROWDED = Topic(
    f"{CROWD:,} tasks due in the same second, {AT_ONCE} at a time: how late each starts",
    ("p50 ms", "p99 ms", "first ms", "a second"),
    {"jamaintd": crowd, "APScheduler 4": crowd_apscheduler4},
)
