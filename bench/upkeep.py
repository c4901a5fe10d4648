"""Maintenance of a database that others use: what is left of their throughput, and how long the work takes.

`pgbench` with four clients runs in the foreground. The deletes are of a side table's rows, all of them old; the index
work is on pgbench's largest table. SCALE, SIDE and SECONDS in the environment are pgbench's scale, the rows of the side
table, and how long the foreground runs alone (so long that what the kernel writes back after half a minute is in it
too). What blocks others is looked for every 20 ms: a shorter block may not be seen, and what is seen of one was so long
at least.
"""

import asyncio
import glob
import os
import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import database
from measure import quantile
from places import scratch
from product import daemon
from topic import AbsentError, Figures, Topic

SCALE = os.environ.get("SCALE", "20")
SIDE = int(os.environ.get("SIDE", "1000000"))
SECONDS = float(os.environ.get("SECONDS", "60"))
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


def reindex() -> Figures:
    """REINDEX TABLE of the largest table, which keeps everybody from writing."""
    return _beside(lambda dsn: _psql(dsn, "REINDEX TABLE pgbench_accounts"), rows=0)


def repack() -> Figures:
    """pg_repack of the indexes of the largest table; it ends nobody's session to get at it."""
    _binary("pg_repack")

    def run(dsn: str) -> None:
        address, asked = urlsplit(dsn), parse_qs(urlsplit(dsn).query)
        host, port = (asked.get(key, [other])[0] for key, other in (("host", address.hostname), ("port", address.port)))
        where = ("-h", str(host), "-p", str(port or 5432), "-U", address.username or "postgres", "-d", address.path[1:])
        _program("pg_repack", "--only-indexes", "-t", "pgbench_accounts", "--no-kill-backend", *where)

    return _beside(run, rows=0, extension="pg_repack")


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
            caller.socket.settimeout(LIMIT_SECONDS)
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
    extension: str | None = None,
) -> Figures:
    """Runs `work` while pgbench does; counts what pgbench did meanwhile."""
    with database.fresh() as dsn, scratch() as directory:
        _prepare(dsn, rows > 0, airy)
        if extension is not None:
            _extend(dsn, extension)
        with _foreground(dsn, directory), _watching(dsn) as blocks:
            time.sleep(1)
            began = time.time()
            work(dsn)
            ended = time.time()
        began, ended = span() if span else (began, ended)
        found = [(at, took) for at, took in _transactions(directory) if began <= at <= ended]
    seconds, took = ended - began, [took for _, took in found]
    if not took:
        raise RuntimeError(f"the foreground ended no transaction in {seconds:.1f} s")
    figures = {
        "transactions a second": len(took) / seconds,
        "p99 ms": quantile(took, 0.99),
        "worst ms": max(took),
        "in the worst second": _worst_second([at for at, _ in found], began, ended),
        "blocked ms": max((block for at, block in blocks if began <= at <= ended), default=0.0),
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


def _worst_second(ends: Sequence[float], began: float, ended: float) -> int:
    """How many transactions ended in the whole second in which the fewest did."""
    counts = Counter(int(at - began) for at in ends)
    return min(counts[second] for second in range(max(1, int(ended - began))))


BLOCKED = """
SELECT max(extract(epoch FROM clock_timestamp() - l.waitstart))::float8 * 1000
FROM (SELECT pid, waitstart FROM pg_locks WHERE NOT granted) AS l JOIN pg_stat_activity a ON a.pid = l.pid
WHERE a.application_name = 'pgbench' AND EXISTS (SELECT FROM unnest(pg_blocking_pids(l.pid)) AS b (pid)
    JOIN pg_stat_activity o ON o.pid = b.pid WHERE o.application_name <> 'pgbench')
"""
LOOK_SECONDS = 0.02


@contextmanager
def _watching(dsn: str) -> Iterator[list[tuple[float, float]]]:
    """When, and for how many milliseconds so far, pgbench has waited for a lock of somebody else."""
    found: list[tuple[float, float]] = []
    enough = threading.Event()

    async def watch() -> None:
        connection = await asyncpg.connect(dsn, server_settings={"application_name": "bench"})
        try:
            while not enough.is_set():
                block = await connection.fetchval(BLOCKED)
                if block is not None:
                    found.append((time.time(), block))
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            await connection.close()

    thread = threading.Thread(target=lambda: asyncio.run(watch()), name="blocks")
    thread.start()
    try:
        yield found
    finally:
        enough.set()
        thread.join()


def _extend(dsn: str, extension: str) -> None:
    try:
        _psql(dsn, f"CREATE EXTENSION {extension}")
    except RuntimeError as error:
        raise AbsentError(f"this server has no {extension}: {error}") from error


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
        package = "postgresql-15-repack" if name == "pg_repack" else "postgresql-client postgresql-contrib"
        raise AbsentError(f"no {name}: apt-get install {package}")
    return found


TOPIC = Topic(
    f"maintenance beside pgbench (scale {SCALE}, four clients); deletes of {SIDE:,} rows",
    ("transactions a second", "p99 ms", "worst ms", "in the worst second", "blocked ms", "work s", "rows a second"),
    {
        "alone": alone,
        "one DELETE": one_delete,
        "jamaint database.cleanup": our_delete,
        "reindexdb --concurrently": reindexdb,
        "jamaint database.optimize": our_rebuild,
        "REINDEX": reindex,
        "pg_repack": repack,
        "vacuumdb --analyze": vacuumdb,
    },
    ("p99 ms",),
)
