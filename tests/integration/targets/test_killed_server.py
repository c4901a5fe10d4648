"""PostgreSQL is killed while we are at work on it: what was committed stands, and the next execution ends clean."""

import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.lowlevel

from cluster_harness import Place, ask
from database_runs import Talk, cleanup, look, optimize, planned, rule, run_script
from jamaint.core.plans import Step
from jamaint.databases import connection
from jamaint.databases.indexes import build, rebuild, unused
from jamaint.databases.indexes.catalog import Around, around
from jamaint.databases.rules import indexes as rules
from jamaint.executors.shared.executor import StepError
from postgres_server import short_directory

TABLE = """
CREATE TABLE t (id bigint PRIMARY KEY, created_at timestamptz, body text);
INSERT INTO t SELECT i, now() - i * interval '1 hour', md5(i::text) FROM generate_series(1, 20000) i;
CREATE INDEX t_body ON t (body);
ANALYZE t;
"""
BROKEN = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"


class Killer(Talk):
    """A host that has the server killed at the first progress after `calm` of them."""

    def __init__(self, kill: Callable[[], None], calm: int) -> None:
        super().__init__()
        self._kill: Callable[[], None] | None = kill
        self._calm = calm

    def progress(self, done: int, total: int | None, unit: str) -> None:
        """See Host."""
        super().progress(done, total, unit)
        if self._kill is not None and len(self.progressed) > self._calm:
            kill, self._kill = self._kill, None
            kill()


@pytest.fixture(autouse=True)
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jamaint.databases.pacing.rest_seconds", lambda *_: 0.0)
    monkeypatch.setattr(rebuild, "REST_SECONDS", 0.0)
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 60.0)
    monkeypatch.setattr(rules, "UNUSED_BYTES", 0)


@pytest.fixture
def place() -> Iterator[Place]:
    with short_directory() as directory:
        yield Place(directory)


@asynccontextmanager
async def a_table(place: Place) -> AsyncIterator[str]:
    """A server that is started again when it is killed, with a table in it; what it has confirmed is durable."""
    async with place.running() as dsn:
        durable = f"{dsn}&synchronous_commit=on"
        await trio.to_thread.run_sync(run_script, durable, TABLE)
        yield durable


async def killed(place: Place, run: Callable[[], Any]) -> str:
    """The failure of what ran when the server was killed; returns when there is a server again."""
    with pytest.raises(StepError) as failed:
        await trio.to_thread.run_sync(run)
    await place.told.wait_for("the embedded PostgreSQL is up", times=2)
    return failed.value.message


@pytest.mark.parametrize("calm", [0, 3, 9])
async def test_in_a_cleanup(place: Place, calm: int) -> None:
    async with a_table(place) as dsn:
        before = await in_thread(look, dsn, "t")
        host = Killer(lambda: kill_all(place.up), calm)
        executor = cleanup(dsn, rule("t", batch_size=900), host=host)
        step: Step = await in_thread(planned, executor)
        why = await killed(place, lambda: executor.run(step))
        assert "lost in the middle" in why or "cannot be reached" in why
        rest = cleanup(dsn, rule("t", batch_size=900), execution="e2")
        rest_step: Step = await in_thread(planned, rest)
        done = step.items - rest_step.items
        assert done > 0 or calm == 0
        assert (await in_thread(rest.run, rest_step))["rows"] == rest_step.items
        for one, its_step in ((rest, rest_step), (executor, step)):
            undone = await in_thread(one.undo, its_step, False)
            assert undone["problems"] == []
        assert await in_thread(look, dsn, "t") == before


async def test_in_a_rebuild(place: Place) -> None:
    async with a_table(place) as dsn:
        await ask(dsn, "DELETE FROM t WHERE id % 5 <> 0")
        await ask(dsn, "VACUUM ANALYZE t")
        executor = optimize(dsn, optimize_indexes=True)
        step = await in_thread(step_of, executor, "index_optimization")
        assert step.items

        async def kill_when_half_built() -> None:
            while not await ask(dsn, BROKEN):
                await trio.lowlevel.checkpoint()
            kill_all(place.up)

        async with reading(dsn), trio.open_nursery() as nursery:
            nursery.start_soon(kill_when_half_built)
            await killed(place, lambda: executor.run(step))
        assert await ask(dsn, BROKEN) == 1
        again = optimize(dsn, optimize_indexes=True, execution="e2")
        step = await in_thread(step_of, again, "index_optimization")
        details = await in_thread(again.run, step)
        assert details["rebuilt"] == step.items
        assert await ask(dsn, BROKEN) == 0


async def test_in_a_drop(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nobody_was_there(*_: Any) -> None:
        """Whoever is at the table came in the moment after."""

    async def counting_for_ever(target: Any) -> Around:
        """The counters of a server that has just been made are as old as they can be."""
        return replace(await around(target), counting_since=None)

    monkeypatch.setattr(build, "wait_until_free", nobody_was_there)
    monkeypatch.setattr(unused, "around", counting_for_ever)
    async with a_table(place) as dsn:
        now = datetime.now(UTC)
        for days in (40, 20):
            early = optimize(dsn, remove_unused_indexes=True, now=now - timedelta(days=days), execution=f"e{days}")
            await in_thread(early.run, await in_thread(step_of, early, "unused_indexes"))
        executor = optimize(dsn, remove_unused_indexes=True, now=now)
        step = await in_thread(step_of, executor, "unused_indexes")
        assert step.items == 1

        async def kill_when_half_dropped() -> None:
            while not await ask(dsn, BROKEN):
                await trio.lowlevel.checkpoint()
            kill_all(place.up)

        async with reading(dsn, "t"), trio.open_nursery() as nursery:
            nursery.start_soon(kill_when_half_dropped)
            await killed(place, lambda: executor.run(step))
        again = optimize(dsn, remove_unused_indexes=True, now=now, execution="e2")
        await in_thread(again.run, await in_thread(step_of, again, "unused_indexes"))
        assert await ask(dsn, BROKEN) == 0
        assert (await in_thread(executor.undo, step, False))["restored"] == 1
        assert await ask(dsn, "SELECT indisvalid FROM pg_index WHERE indexrelid = 't_body'::regclass")


def kill_all(server: int) -> None:
    """The server and all its processes at once: left to themselves they would end one after the other, and what one
    waits for another to release would still get done."""
    pids = [server, *map(int, Path(f"/proc/{server}/task/{server}/children").read_text().split())]
    for sent in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sent)


async def in_thread(do: Callable[..., Any], *args: Any) -> Any:
    """Executors are synchronous, and have a loop of their own."""
    return await trio.to_thread.run_sync(do, *args)


def step_of(executor: Any, name: str) -> Step:
    return next(step for step in executor.plan().steps if step.name == name)


@asynccontextmanager
async def reading(dsn: str, table: str = "pg_class") -> AsyncIterator[None]:
    """Somebody has a transaction open until the server is killed, for which every build and drop waits."""

    async def read(task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        token = trio.lowlevel.current_trio_token()
        await trio.to_thread.run_sync(_read, dsn, table, lambda: token.run_sync_soon(task_status.started))

    async with trio.open_nursery() as nursery:
        await nursery.start(read)
        yield


def _read(dsn: str, table: str, begun: Callable[[], None]) -> None:
    from postgres_server import on_connection

    async def hold(connection: Any) -> None:
        await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        await connection.execute(f"SELECT count(*) FROM {table}")
        begun()
        try:
            while True:
                await connection.execute("SELECT pg_sleep(0.05)")
        except Exception:
            return

    try:
        on_connection(dsn, hold)
    except Exception:
        return
