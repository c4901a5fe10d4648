"""Maintenance of a database that others use: what is left of their throughput, and how long the work takes.

`pgbench` with four clients runs in the foreground. The deletes are of a side table's rows, all of them old; the index
work is on pgbench's largest table. SCALE, SIDE and SECONDS in the environment are pgbench's scale, the rows of the side
table, and how long the foreground runs alone.
"""

import glob
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import database
from measure import quantile
from places import scratch
from product import daemon
from topic import AbsentError, Figures, Topic

SCALE = os.environ.get("SCALE", "20")
SIDE = int(os.environ.get("SIDE", "1000000"))
SECONDS = float(os.environ.get("SECONDS", "20"))
LIMIT_SECONDS = 3600
OLD = "made < now() - interval '30 days'"


def alone() -> Figures:
    """Nothing but the foreground."""
    return _beside(lambda _dsn: time.sleep(SECONDS), rows=0)


def one_delete() -> Figures:
    """All old rows in one statement."""
    return _beside(lambda dsn: _psql(dsn, f"DELETE FROM side WHERE {OLD}"), rows=SIDE)


def our_delete() -> Figures:
    """database.cleanup, which keeps what it deletes."""
    config = {"cleanup_old_data": [{"table": "side", "age_column": "made", "older_than": "30d"}]}
    return _ours("cleanup", config, rows=SIDE)


def reindexdb() -> Figures:
    """reindexdb --concurrently of the largest table."""
    return _beside(lambda dsn: _program("reindexdb", "--concurrently", "-t", "pgbench_accounts", "-d", dsn), rows=0)


def our_rebuild() -> Figures:
    """database.optimize of an index that was made airy, of the same size."""
    return _ours("optimization", {"optimize_indexes": True, "index_fragmentation_threshold": "20%"}, rows=0, airy=True)


def vacuumdb() -> Figures:
    """vacuumdb --analyze."""
    return _beside(lambda dsn: _program("vacuumdb", "--analyze", "-d", dsn), rows=0)


def _ours(kind: str, config: dict[str, object], rows: int, airy: bool = False) -> Figures:
    def run(dsn: str) -> None:
        task = {"type": kind, "category": "database", "config": {"dsn": dsn, **config}}
        task["mass_deletion"] = {"share": "100%", "items": 1}
        with (
            scratch() as directory,
            database.fresh() as state,
            daemon(directory, state, tasks={"work": task}) as running,
            running.caller() as caller,
        ):
            began.append(time.time())
            execution = caller.call("execution.start", task="work")["execution_id"]
            ended = caller.call("execution.wait", execution=execution)
            done.append(time.time())
            if ended["status"] != "completed":
                raise RuntimeError(ended["error"])

    began, done = list[float](), list[float]()
    return _beside(run, rows, airy, lambda: (began[0], done[0]))


def _beside(
    work: Callable[[str], None],
    rows: int,
    airy: bool = False,
    span: Callable[[], tuple[float, float]] | None = None,
) -> Figures:
    """Runs `work` while pgbench does; counts what pgbench did meanwhile."""
    with database.fresh() as dsn, scratch() as directory:
        _prepare(dsn, rows > 0, airy)
        with _foreground(dsn, directory):
            time.sleep(1)
            began = time.time()
            work(dsn)
            ended = time.time()
        began, ended = span() if span else (began, ended)
        took = [took for at, took in _transactions(directory) if began <= at <= ended]
    seconds = ended - began
    figures = {
        "transactions a second": len(took) / seconds,
        "p99 ms": quantile(took, 0.99),
        "worst ms": max(took),
        "work s": seconds,
    }
    return {**figures, "rows a second": rows / seconds} if rows else figures


def _prepare(dsn: str, side: bool, airy: bool) -> None:
    _program("pgbench", "-q", "-i", "-s", SCALE, dsn)
    if side:
        _psql(dsn, "CREATE TABLE side (id bigint PRIMARY KEY, made timestamptz NOT NULL, body text)")
        _psql(
            dsn,
            "INSERT INTO side SELECT i, now() - interval '100 days', repeat('x', 100) "
            f"FROM generate_series(1, {SIDE}) i",
        )
        _psql(dsn, "VACUUM ANALYZE side")
    if airy:
        _psql(dsn, "ALTER INDEX pgbench_accounts_pkey SET (fillfactor = 60)")
        _psql(dsn, "REINDEX INDEX pgbench_accounts_pkey")
        _psql(dsn, "ALTER INDEX pgbench_accounts_pkey RESET (fillfactor)")
    _psql(dsn, "CHECKPOINT")


@contextmanager
def _foreground(dsn: str, directory: Path) -> Iterator[None]:
    command = [_binary("pgbench"), "-n", "-c", "4", "-j", "1", "-T", str(LIMIT_SECONDS), "-l"]
    with (directory / "pgbench.log").open("ab") as log:
        process = subprocess.Popen(
            [*command, "--log-prefix", str(directory / "t"), dsn], stdout=log, stderr=log, stdin=subprocess.DEVNULL
        )
    try:
        yield
        if process.poll() is not None:
            raise RuntimeError((directory / "pgbench.log").read_text()[-1000:])
    finally:
        process.terminate()
        process.wait()


def _transactions(directory: Path) -> Iterator[tuple[float, float]]:
    """When each ended, and the milliseconds it took."""
    for name in glob.glob(str(directory / "t.*")):
        for line in Path(name).read_text().splitlines():
            words = line.split()
            if len(words) >= 6:  # the last may be half written
                yield int(words[4]) + int(words[5]) / 1e6, int(words[2]) / 1000


def _psql(dsn: str, sql: str) -> None:
    _program("psql", "-q", "-X", "-v", "ON_ERROR_STOP=1", "-c", sql, dsn)


def _program(name: str, *arguments: str) -> None:
    done = subprocess.run([_binary(name), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name}: {done.stderr[-500:]}")


@cache
def _binary(name: str) -> str:
    found = shutil.which(name) or next(iter(sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), reverse=True)), None)
    if found is None:
        raise AbsentError(f"no {name}: apt-get install postgresql-client postgresql-contrib")
    return found


TOPIC = Topic(
    f"maintenance beside pgbench (scale {SCALE}, four clients); deletes of {SIDE:,} rows",
    ("transactions a second", "p99 ms", "worst ms", "work s", "rows a second"),
    {
        "alone": alone,
        "one DELETE": one_delete,
        "jamaint database.cleanup": our_delete,
        "reindexdb --concurrently": reindexdb,
        "jamaint database.optimize": our_rebuild,
        "vacuumdb --analyze": vacuumdb,
    },
)
