"""One PostgreSQL for all peers: the product's own launcher with fsync, or the server that BENCH_DSN names."""

import asyncio
import contextlib
import os
import queue
import threading
from collections.abc import Iterator
from functools import cache
from itertools import count
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import structlog
import trio
from places import at_the_end, scratch

from jamaint.store.embedded.server import Cluster

_numbers = count(1)


@cache
def server() -> str:
    """Its address; ours is started when it is first asked for, and lasts until all is measured."""
    return os.environ.get("BENCH_DSN") or at_the_end.enter_context(_cluster())


@contextlib.contextmanager
def fresh() -> Iterator[str]:
    """The address of an empty database, dropped afterwards."""
    name = f"bench_{os.getpid()}_{next(_numbers)}"
    _execute(f"CREATE DATABASE {name}")
    try:
        yield urlunsplit(urlsplit(server())._replace(path=f"/{name}"))
    finally:
        _execute(f"DROP DATABASE {name} WITH (FORCE)")


def version() -> str:
    """The server's version."""
    return str(_execute("SHOW server_version"))


def _execute(sql: str, dsn: str | None = None) -> object:
    address = dsn or server()

    async def run() -> object:
        connection = await asyncpg.connect(address)
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    return asyncio.run(run())


@contextlib.contextmanager
def _cluster() -> Iterator[str]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    answers: queue.SimpleQueue[str | BaseException] = queue.SimpleQueue()
    stopped: list[trio.CancelScope] = []
    tokens: list[trio.lowlevel.TrioToken] = []

    async def serve(directory: str) -> None:
        cluster = Cluster(directory, directory, log=structlog.get_logger())
        tokens.append(trio.lowlevel.current_trio_token())
        async with trio.open_nursery() as nursery:
            stopped.append(nursery.cancel_scope)
            answers.put(await nursery.start(cluster.supervise))

    def run(directory: str) -> None:
        try:
            trio.run(serve, directory)
        except BaseException as error:
            answers.put(error)

    with scratch() as directory:
        thread = threading.Thread(target=run, args=(str(directory),), name="postgres")
        thread.start()
        answer = answers.get()
        if isinstance(answer, BaseException):
            thread.join()
            raise answer
        try:
            _execute("ALTER SYSTEM SET max_wal_size = '1GB'", answer)  # PostgreSQL's default; the launcher's is small
            _execute("SELECT pg_reload_conf()", answer)
            yield answer
        finally:
            tokens[0].run_sync_soon(stopped[0].cancel)
            thread.join()
