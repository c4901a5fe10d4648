"""Builds and drops indexes concurrently: noted before, steered meanwhile, and cleared away when it is cut short."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from jamaint.databases.bookkeeping import make_notes, open_notebook
from jamaint.databases.connection import LockTimeoutError, Target, TargetError, TooSlowError, failures_named
from jamaint.databases.indexes.catalog import SQL
from jamaint.databases.pacing import StatementControl
from jamaint.databases.rows.delete import LONG_SECONDS, PAUSES
from jamaint.databases.rules.build_progress import share_built
from jamaint.databases.rules.indexes import may_be_left_by

BUILD_LOCK_SECONDS = 20.0
"""How long a build waits for transactions that began before it. It blocks no reading and no writing meanwhile."""
LEAVING_SECONDS = 1.0
"""How long a drop may take on the way into a pause or out: both are to take effect within two seconds."""
HOLD_SECONDS = 0.5
"""Whoever is at a table for longer than that is waited for before a build or a drop begins, not in the midst of it."""


@dataclass(frozen=True, slots=True)
class Build:
    """An index to be built: `table` is an oid, `sql` builds it. `total`: bytes done before, of this one, and of all."""

    table: int
    name: str
    quoted: str
    sql: str
    execution: str
    total: tuple[int, int, int]


async def open_builds(target: Target) -> None:
    """Makes the notes of builds where they are missing."""
    await open_notebook(target)
    with failures_named(target.identity.database):
        await make_notes(target.work, SQL["create_builds"])


async def clear_builds(target: Target, reins: StatementControl) -> list[str]:
    """Drops what builds of ours that were cut short have left, and nobody else's; the names of what was dropped."""
    with failures_named(target.identity.database):
        noted = await target.work.fetch(SQL["builds"])
    dropped = []
    for row in noted:
        for quoted in await _left_by(target, row["relation"], row["name"]):
            await drop(target, quoted, row["relation"], reins)
            dropped.append(quoted)
        await _forget(target, row["relation"], row["name"])
    return dropped


async def build(
    target: Target, one: Build, reins: StatementControl, prepare: Callable[[], Awaitable[None]] | None = None
) -> None:
    """Builds an index, after `prepare()`; again after each pause, and after somebody was in the way, with patience.

    Raises TargetError when it does not come to it. Whatever is raised, nothing of it is left, or it is noted.
    """
    for pause in (*PAUSES, None):
        try:
            await wait_until_free(target, one.table, reins)
            await _build(target, one, reins, prepare)
        except (LockTimeoutError, TooSlowError) as error:
            await _leave(target, one, reins)
            if pause is None:
                raise TargetError(f"gave up after {len(PAUSES) + 1} tries: {error}") from error
            reins.host.log("info", f"{one.quoted}: {error}; tries again in {pause:g} s")
            await reins.rest(pause)
        except BaseException:
            if not target.work.is_closed():
                await _leave(target, one, reins)
            raise
        else:
            await _clear(target, one)
            return


async def drop(target: Target, quoted: str, table: int, reins: StatementControl) -> None:
    """Drops an index concurrently, with patience. Raises TargetError when it does not come to it."""
    sql = SQL["drop"].format(index=quoted)

    async def leave() -> None:
        # An index whose drop has begun is of no use any more.
        if await _is_half_dropped(target, quoted):
            try:
                await _patiently(target, sql, LEAVING_SECONDS)
            except (LockTimeoutError, TooSlowError) as error:
                reins.host.log("warning", f"{quoted} is partly dropped; the next execution drops the rest: {error}")

    for pause in (*PAUSES, None):
        try:
            await wait_until_free(target, table, reins)
            await reins.drive(lambda: _patiently(target, sql), leave=leave)
        except (LockTimeoutError, TooSlowError) as error:
            if pause is None:
                raise TargetError(f"{quoted} could not be dropped: {error}") from error
            await reins.rest(pause)
        except BaseException:
            if not target.work.is_closed():
                await leave()
            raise
        else:
            return


async def wait_until_free(target: Target, table: int, reins: StatementControl) -> None:
    """Waits while somebody is at the table for long. Raises LockTimeoutError when that does not end.

    A build or a drop would wait for him too, but with an index that is of no use to anybody and costs every write.
    """
    until = time.monotonic() + BUILD_LOCK_SECONDS
    before = await _users_of(target, table)
    while before:
        await reins.rest(HOLD_SECONDS)
        now = await _users_of(target, table)
        staying = sorted(before.keys() & now.keys())
        if not staying:
            return
        if time.monotonic() > until:
            raise LockTimeoutError(await _who(target, staying[0], now[staying[0]]))
        before = now


async def _build(
    target: Target, one: Build, reins: StatementControl, prepare: Callable[[], Awaitable[None]] | None
) -> None:
    built = 0.0

    async def start() -> None:
        nonlocal built
        built = 0.0
        await _clear(target, one)
        with failures_named(target.identity.database):
            await target.work.execute(SQL["note_build"], one.table, one.name, one.execution)
        if prepare is not None:
            await prepare()
        await _patiently(target, one.sql)

    async def look() -> None:
        nonlocal built
        with failures_named(target.identity.database):
            milliseconds = target.lock_timeout_seconds * 1000
            row = await target.watch.fetchrow(SQL["blocked"], target.pids[0], milliseconds)
            progress = await target.watch.fetchrow(SQL["build_progress"], target.pids[0])
        if row is not None:
            raise LockTimeoutError(f"gave way to process {row['pid']}, which waited for us: {row['query']}")
        if progress is not None:
            before, size, whole = one.total
            blocks, tuples = (
                (progress["blocks_done"], progress["blocks_total"]),
                (progress["tuples_done"], progress["tuples_total"]),
            )
            built = max(built, share_built(progress["phase"], blocks, tuples))
            reins.host.progress(before + round(size * built), whole, "bytes")

    await reins.drive(start, look, lambda: _leave(target, one, reins))


async def _clear(target: Target, one: Build) -> None:
    """Drops what the build has left, and forgets it. Raises LockTimeoutError when somebody is in the way."""
    for quoted in await _left_by(target, one.table, one.name):
        await _patiently(target, SQL["drop"].format(index=quoted))
    await _forget(target, one.table, one.name)


async def _leave(target: Target, one: Build, reins: StatementControl) -> None:
    """As `_clear`, on the way out: what cannot be dropped at once stays noted for the next execution."""
    try:
        for quoted in await _left_by(target, one.table, one.name):
            await _patiently(target, SQL["drop"].format(index=quoted), LEAVING_SECONDS)
        await _forget(target, one.table, one.name)
    except (LockTimeoutError, TooSlowError, TargetError) as error:
        what = f"the next execution drops what the build of {one.quoted} left"
        reins.host.log("warning", f"{what}: {error}")


async def _left_by(target: Target, table: int, name: str) -> Sequence[str]:
    with failures_named(target.identity.database):
        rows = await target.work.fetch(SQL["broken"], table, name)
    # A build of a new index has its own name; a rebuild's are derived from it.
    return [row["quoted"] for row in rows if row["name"] == name or may_be_left_by(row["name"], name)]


async def _forget(target: Target, table: int, name: str) -> None:
    with failures_named(target.identity.database):
        await target.work.execute(SQL["forget_build"], table, name)


async def _who(target: Target, transaction: str, pid: int) -> str:
    if pid:
        return f"process {pid} has the table in a transaction that does not end"
    with failures_named(target.identity.database):
        gid = await target.watch.fetchval(SQL["prepared"], transaction)
    return f"the prepared transaction '{gid}' holds the table until somebody ends it: ROLLBACK PREPARED '{gid}'"


async def _users_of(target: Target, table: int) -> dict[str, int]:
    """The transactions of others that have a lock on the table, and their processes."""
    with failures_named(target.identity.database):
        rows = await target.watch.fetch(SQL["users"], table, list(target.pids))
    return {row["transaction"]: row["pid"] for row in rows}


async def _is_half_dropped(target: Target, quoted: str) -> bool:
    with failures_named(target.identity.database):
        return await target.watch.fetchval(SQL["is_valid"], quoted) is False


async def _patiently(target: Target, sql: str, seconds: float | None = None) -> None:
    """Waits for each lock as long as a build may; with `seconds`, all of it takes no longer than that."""
    with failures_named(target.identity.database):
        await target.set_timeouts(seconds or 0, BUILD_LOCK_SECONDS if seconds is None else seconds)
        try:
            await target.work.execute(sql, timeout=LONG_SECONDS)
        finally:
            if not target.work.is_closed():
                await target.set_timeouts(0)
