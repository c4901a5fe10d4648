"""What an optimization has done to queries is counted by the server, and told by the next one."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest
import trio

from cluster_harness import Place, ask
from database_runs import Talk, optimize, run_script
from postgres_server import short_directory

TABLE = """
CREATE EXTENSION pg_stat_statements;
CREATE ROLE app LOGIN; CREATE TABLE t (id int PRIMARY KEY, body text);
INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 20000) i;
GRANT SELECT ON t TO app; ANALYZE t;
"""


@pytest.fixture
def place() -> Iterator[Place]:
    with short_directory() as directory:
        yield Place(directory)


async def test_the_effect_on_queries_is_measured(place: Place) -> None:
    async with place.running() as dsn:
        await ask(dsn, "ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'")
        os.kill(place.up, signal.SIGKILL)
        await place.told.wait_for("the embedded PostgreSQL is up", times=2)
        try:
            await in_thread(run_script, dsn, TABLE)
        except asyncpg.FeatureNotSupportedError as error:
            pytest.skip(f"this server has no pg_stat_statements: {error}")
        for _ in range(2):  # the first has nothing before it, the second ends the period before the third
            await in_thread(search, dsn)
            assert (await in_thread(look_and_rebuild, dsn))[0]["effect_of_last"] is None
        await ask(dsn, "CREATE INDEX ON t (body)")
        await in_thread(search, dsn)
        details, logged = await in_thread(look_and_rebuild, dsn)
        effect = details["effect_of_last"]
        assert effect.startswith("mean time -")
        assert "50 and 50 calls" in effect
        assert any("what the last optimization did to queries: mean time -" in line for line in logged)
        assert any("FROM t WHERE body" in one["query"] for one in details["slow_queries"])
        for other in ({"update_statistics": True}, {"remove_unused_indexes": True}):
            told = await ask(dsn, "SELECT max(taken_at) FROM jamaint.query_times WHERE moment = 'end'")
            await in_thread(run_all, dsn, other)
            assert await ask(dsn, "SELECT max(taken_at) FROM jamaint.query_times WHERE moment = 'end'") > told


def run_all(dsn: str, switches: dict[str, bool]) -> None:
    """An optimization with other steps than that of indexes."""
    executor = optimize(dsn, **switches)
    for step in executor.plan().steps:
        executor.run(step)


def search(dsn: str) -> None:
    """Fifty times the same query, by somebody else."""
    run_script(dsn, "SET ROLE app;" + "SELECT count(*) FROM t WHERE body = 'x';" * 50)


def look_and_rebuild(dsn: str) -> tuple[dict[str, Any], list[str]]:
    host = Talk()
    executor = optimize(dsn, host, optimize_indexes=True)
    looked, _ = [executor.run(step) for step in executor.plan().steps]
    return looked, host.logged


async def in_thread(do: Any, *args: Any) -> Any:
    return await trio.to_thread.run_sync(do, *args)
