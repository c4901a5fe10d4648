"""Clusters for tests: a place to run them at, what they log, and daemons that are killed over them."""

import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import structlog
import trio

from jamaint.errors import JamaintError
from jamaint.store.embedded.server import Cluster
from postgres_server import on_connection


class Told:
    """What the cluster logs, and waiting for it. Also called from the thread that prepares."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._token = trio.lowlevel.current_trio_token()
        self._more = trio.Event()
        self.log = structlog.wrap_logger(
            self, processors=[self._take], wrapper_class=structlog.make_filtering_bound_logger(0)
        )

    def _take(self, _logger: object, level: str, event: Any) -> Any:
        self.lines.append(f"{level} {event.pop('event')} {event}")
        self._token.run_sync_soon(self._wake)
        raise structlog.DropEvent

    def _wake(self) -> None:
        self._more.set()
        self._more = trio.Event()

    async def wait_for(self, text: str, times: int = 1) -> None:
        """The limit only ends a test that would hang for ever."""
        with trio.fail_after(120):
            while self.count(text) < times:
                await self._more.wait()

    def count(self, text: str) -> int:
        return sum(text in line for line in self.lines)


class Place:
    """A state directory, and the clusters that are started on it one after the other."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.told: Told
        self.cluster: Cluster

    @contextlib.asynccontextmanager
    async def running(self, binaries: str | None = None, **options: Any) -> AsyncIterator[str]:
        self.told = Told()
        self.cluster = Cluster(
            self.directory, self.directory, binaries, log=self.told.log, **{"fast_unsafe": True, **options}
        )
        async with trio.open_nursery() as nursery:
            yield await nursery.start(self.cluster.supervise)
            nursery.cancel_scope.cancel()

    async def refusal(self, binaries: str | None = None) -> str:
        """The Problem that a start ends with."""
        with pytest.raises(ExceptionGroup) as caught:
            async with self.running(binaries):
                pytest.fail("it started")
        [problem] = caught.value.exceptions
        assert isinstance(problem, JamaintError), problem
        return problem.message

    @property
    def data(self) -> str:
        return f"{self.directory}/postgres/data"

    @property
    def up(self) -> int:
        assert self.cluster.pid is not None
        return self.cluster.pid


async def ask(dsn: str, sql: str) -> Any:
    """The first value of the answer."""
    return await trio.to_thread.run_sync(on_connection, dsn, lambda connection: connection.fetchval(sql))


async def keep_a_note(dsn: str) -> None:
    """Durable against a kill, which only loses what a commit has not waited for."""
    durable = f"{dsn}&synchronous_commit=on"
    await ask(durable, "CREATE TABLE notes (text text)")
    await ask(durable, "INSERT INTO notes VALUES ('kept')")


async def ended(pid: int) -> None:
    """Waits until a process that is not our child has ended."""
    with contextlib.suppress(ProcessLookupError), trio.fail_after(120):
        fd = os.pidfd_open(pid)
        try:
            await trio.lowlevel.wait_readable(fd)
        finally:
            os.close(fd)


DAEMON = """
import signal, sys, structlog, trio
from jamaint.store.embedded.server import Cluster

async def main():
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    cluster = Cluster(sys.argv[1], sys.argv[1], sys.argv[2] or None, log=structlog.get_logger(), fast_unsafe=True)
    async with trio.open_nursery() as nursery:
        print(await nursery.start(cluster.supervise), cluster.pid, flush=True)
        await trio.sleep_forever()

signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever starts the tests may ignore it
trio.run(main)
"""


@contextlib.contextmanager
def daemon(place: Place, binaries: str = "") -> Iterator[subprocess.Popen[str]]:
    """A daemon's process with a cluster, killed at the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-c", DAEMON, place.directory, binaries],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def say(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    return process.stdout.readline().split()
