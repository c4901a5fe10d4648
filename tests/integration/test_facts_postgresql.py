"""The condition `postgresql`, asked of a real server: its part, its lag, who is at work, how long transactions last."""

import asyncio
from typing import Any

import asyncpg
import trio

import postgres_server
from jamaint.core.conditions import Facts, Unknown, judge
from jamaint.core.tasks import Condition
from jamaint.probes.local import ProbeContext, look
from jamaint.probes.worker_pool import ProbePool

ASKS: dict[str, Any] = {
    "name": "cms", "primary": None, "max_replication_lag_seconds": None, "max_active_connections": None,
    "max_transaction_seconds": None, "unknown_lag_is_met": False, "timeout_seconds": 60.0,
}  # fmt: skip


def asking(dsn: str, **limits: Any) -> Condition:
    return Condition("postgresql", {**ASKS, "dsn": dsn, **limits})


async def fact(condition: Condition, _own: str) -> Any:
    async with trio.open_nursery() as nursery:
        outside = ProbeContext(ProbePool(lambda _text: None))
        await nursery.start(outside.lookers.serve)
        found = await look(condition, outside)
        nursery.cancel_scope.cancel()
    return found


async def says(condition: Condition, own: str) -> tuple[bool, str]:
    found = judge(condition, Facts({condition.question: await fact(condition, own)}))
    return found.holds, found.says


async def test_a_lone_primary(empty_database: str):
    assert await says(asking(empty_database, primary=True), empty_database) == (True, "database cms: it is the primary")
    lag = asking(empty_database, max_replication_lag_seconds=30.0)
    assert await says(lag, empty_database) == (
        False,
        "database cms: its replication lag is unknown: no standby is connected",
    )


async def test_an_open_transaction_counts_and_the_one_that_asks_does_not(empty_database: str):
    quiet = await fact(asking(empty_database, max_active_connections=0), empty_database)

    async def hold() -> Any:
        connection = await asyncpg.connect(empty_database)
        try:
            async with connection.transaction():
                await connection.execute("SELECT 1")
                # trio's loop is another thread's: the look is made from there while this transaction is open.
                return await asyncio.to_thread(trio.run, fact, asking(empty_database), empty_database)
        finally:
            await connection.close()

    busy = await trio.to_thread.run_sync(asyncio.run, hold())
    assert busy.active_connections == quiet.active_connections + 1
    assert busy.longest_transaction_seconds > 0


async def test_a_user_that_sees_only_itself_is_told_what_to_grant(empty_database: str):
    postgres_server.execute(empty_database, "CREATE ROLE lowly LOGIN")
    try:
        dsn = f"{empty_database}{'&' if '?' in empty_database else '?'}role=lowly"
        found = await fact(asking(dsn, primary=True), empty_database)
    finally:
        postgres_server.execute(empty_database, "DROP ROLE lowly")
    assert found == Unknown("its user may not see other sessions: grant it pg_monitor")


async def test_a_server_that_is_not_there(empty_database: str):
    found = await fact(asking("postgresql://127.0.0.1:1/none", primary=True), empty_database)
    assert isinstance(found, Unknown)
    assert "refused" in found.why or "connect" in found.why.lower()
