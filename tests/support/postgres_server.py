"""A PostgreSQL for the tests: the product's own launcher, once a session, and databases copied from a template."""

import asyncio
import contextlib
import fcntl
import glob
import itertools
import os
import queue
import shutil
import signal
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import asyncpg
import structlog
import trio

from jamaint.store.embedded.server import Cluster
from jamaint.store.migrations import migrate

_PREFIX = "ja-"
_HELD = "held-by-a-test-run"
BINARIES = os.environ.get("TEST_POSTGRES_BINARIES")
"""The directory of the PostgreSQL that tests run on; the newest of the system where it is not given."""
_numbers = itertools.count(1)


@contextlib.contextmanager
def short_directory() -> Iterator[str]:
    """A directory with a short path, which the user that PostgreSQL runs as can go through. pytest's own are closed."""
    path = tempfile.mkdtemp(prefix=_PREFIX, dir=_quick_place())
    held = os.open(os.path.join(path, _HELD), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(held, fcntl.LOCK_EX)
    if os.geteuid() == 0:
        os.chmod(path, 0o711)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(held)


def sweep() -> None:
    """Takes away what test runs have left that were killed: their directories, and the servers that run in them."""
    for held in glob.glob(os.path.join(_quick_place(), f"{_PREFIX}*", _HELD)):
        with contextlib.suppress(OSError), open(held, "r+b") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # refused while its run is alive
            path = os.path.dirname(held)
            for pid in _servers_below(path):
                os.kill(pid, signal.SIGKILL)
            shutil.rmtree(path, ignore_errors=True)


def _servers_below(path: str) -> Iterator[int]:
    for process in glob.glob("/proc/[0-9]*"):
        with contextlib.suppress(OSError):
            program = os.path.basename(os.readlink(f"{process}/exe"))
            if program.startswith("postgres") and os.readlink(f"{process}/cwd").startswith(f"{path}/"):
                yield int(os.path.basename(process))


def _quick_place() -> str:
    """Memory, where there is enough of it and programs may lie there: the thousand files of a cluster cost nothing."""
    try:
        found = os.statvfs("/dev/shm")
    except OSError:
        return "/tmp"
    roomy = found.f_bavail * found.f_frsize > 2 * 1024**3 and not found.f_flag & os.ST_NOEXEC
    return "/dev/shm" if roomy and os.access("/dev/shm", os.W_OK | os.X_OK) else "/tmp"


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """A server that forgets everything in a crash and is fast for it; the address of its database."""
    answers: queue.SimpleQueue[str | BaseException] = queue.SimpleQueue()
    tokens: queue.SimpleQueue[tuple[trio.lowlevel.TrioToken, trio.Event]] = queue.SimpleQueue()
    sweep()
    with short_directory() as directory:
        cluster = Cluster(directory, directory, BINARIES, log=structlog.get_logger(), fast_unsafe=True)
        thread = threading.Thread(target=_run, args=(cluster, answers, tokens), name="postgres")
        thread.start()
        answer = answers.get()
        if isinstance(answer, BaseException):
            thread.join()
            raise answer
        try:
            yield answer
        finally:
            token, stop = tokens.get()
            token.run_sync_soon(stop.set)
            thread.join()


def _run(
    cluster: Cluster,
    answers: "queue.SimpleQueue[str | BaseException]",
    tokens: "queue.SimpleQueue[tuple[trio.lowlevel.TrioToken, trio.Event]]",
) -> None:
    async def serve() -> None:
        stop = trio.Event()
        async with trio.open_nursery() as nursery:
            dsn = await nursery.start(cluster.supervise)
            tokens.put((trio.lowlevel.current_trio_token(), stop))
            answers.put(dsn)
            await stop.wait()
            nursery.cancel_scope.cancel()

    try:
        trio.run(serve)
    except BaseException as error:
        answers.put(error)


@contextlib.contextmanager
def fresh_database(server: str, template: str = "template1") -> Iterator[str]:
    """The address of a database of its own, gone afterwards together with whoever is still connected."""
    name = f"test_{next(_numbers)}"
    execute(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield with_name(server, name)
    finally:
        execute(server, f"DROP DATABASE {name} WITH (FORCE)")


def make_template(server: str) -> str:
    """A database with this version's tables and nothing in them; its name."""
    execute(server, "CREATE DATABASE tables")
    on_connection(with_name(server, "tables"), migrate)
    return "tables"


def with_name(dsn: str, name: str) -> str:
    """The address of another database of the same server."""
    return dsn.replace("@/jamaint?", f"@/{name}?")


def execute(dsn: str, sql: str) -> None:
    """One statement, outside of any transaction."""
    on_connection(dsn, lambda connection: connection.execute(sql))


def on_connection(dsn: str, work: Callable[[Any], Awaitable[Any]]) -> Any:
    """Runs asyncio code on a connection of its own and returns what it returns."""

    async def run() -> Any:
        connection = await asyncpg.connect(dsn)
        try:
            return await work(connection)
        finally:
            await connection.close()

    return asyncio.run(run())
