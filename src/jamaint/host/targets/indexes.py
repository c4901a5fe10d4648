"""Indexes of a database: as they are, how much air is in them, and what a build that was cut short has left."""

import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from jamaint.core.indexes import Index, air_of_pages, may_be_left_by
from jamaint.host.statements import statements
from jamaint.host.targets.connection import LockTimeoutError, Target, TargetFailed, TooSlowError, failures_named
from jamaint.host.targets.deleting import LONG_SECONDS, PAUSES
from jamaint.host.targets.notebook import open_notebook
from jamaint.host.targets.reins import Reins

SQL = statements("jamaint.host.targets", "indexes")
BUILD_LOCK_SECONDS = 20.0
"""How long a build waits for transactions that began before it. It blocks no reading and no writing meanwhile."""
LEAVING_SECONDS = 1.5
SPACE_FACTOR = 2.0
"""Free space that a rebuild must find, times the index: the new one, and its write-ahead log."""


@dataclass(frozen=True, slots=True)
class Around:
    """What decides about all indexes at once. `data_directory` None: the server is elsewhere, or does not say."""

    age: int
    freeze_age: int
    replicas: int
    stats_reset: datetime | None
    data_directory: str | None


async def indexes_of(target: Target, oid: int | None = None) -> list[Index]:
    """All indexes of the users' tables, the largest first; or the one of that oid, if it is there still."""
    with failures_named(target.identity.database):
        return [Index(**dict(row)) for row in await target.watch.fetch(SQL["indexes"], oid)]


async def around(target: Target) -> Around:
    """The server's age, its replicas, and where its files are."""
    with failures_named(target.identity.database):
        row = await target.watch.fetchrow(SQL["around"])
    assert row is not None  # this database is in pg_database
    found: dict[str, Any] = dict(row)
    is_local, directory = found.pop("is_local"), found.pop("data_directory")
    return Around(**found, data_directory=directory if is_local and _is_here(directory) else None)


def _is_here(directory: str | None) -> bool:
    return directory is not None and os.path.isdir(directory)


async def exact_air(target: Target, index: Index) -> float | None:
    """How much of a btree is air, by reading all of it; None where pgstattuple is not installed, or not for us."""
    with failures_named(target.identity.database):
        schema = await target.watch.fetchval(SQL["pgstattuple"])
        if schema is None or index.method != "btree":
            return None
        try:
            row = await target.watch.fetchrow(SQL["density"].format(schema=schema), index.oid, timeout=LONG_SECONDS)
        except (asyncpg.InsufficientPrivilegeError, asyncpg.QueryCanceledError, asyncpg.UndefinedFunctionError):
            return None
    assert row is not None  # it is one row
    return air_of_pages(row["leaf_pages"], row["empty_pages"], row["deleted_pages"], row["avg_leaf_density"])


def space_missing(index: Index, everything: Around) -> str | None:
    """Why the disk has no room for a rebuild; None if it has, or nobody can see it from here."""
    place = index.location or everything.data_directory
    if place is None:
        return None
    try:
        found = os.statvfs(place)
    except OSError:
        return None
    free, needed = found.f_bavail * found.f_frsize, round(index.bytes * SPACE_FACTOR)
    if free >= needed:
        return None
    return f"a rebuild may take {needed >> 20} MiB, and {free >> 20} MiB are free at {place}"


async def open_builds(target: Target) -> None:
    """Makes the notes of builds where they are missing."""
    await open_notebook(target)
    with failures_named(target.identity.database):
        await target.work.execute(SQL["create_builds"])


async def note_build(target: Target, table: int, name: str, execution: str) -> None:
    """To be called before a build begins."""
    with failures_named(target.identity.database):
        await target.work.execute(SQL["note_build"], table, name, execution)


async def clear_builds(target: Target, reins: Reins) -> list[str]:
    """Drops what builds of ours that were cut short have left, and nobody else's; the names of what was dropped."""
    with failures_named(target.identity.database):
        noted = await target.work.fetch(SQL["builds"])
    dropped = []
    for row in noted:
        dropped += await clear_build(target, row["relation"], row["name"], reins)
    return dropped


async def clear_build(target: Target, table: int, name: str, reins: Reins) -> list[str]:
    """Ends a noted build: drops what it has left, if anything, and forgets it. Raises TargetFailed when it cannot."""
    dropped = []
    for quoted in await _left_by(target, table, name):
        await drop(target, quoted, reins)
        dropped.append(quoted)
    with failures_named(target.identity.database):
        await target.work.execute(SQL["forget_build"], table, name)
    return dropped


async def leave_build(target: Target, table: int, name: str, reins: Reins) -> None:
    """As `clear_build`, on the way out: what cannot be dropped at once stays noted for the next execution."""
    try:
        for quoted in await _left_by(target, table, name):
            await _patiently(target, SQL["drop"].format(index=quoted), LEAVING_SECONDS)
        with failures_named(target.identity.database):
            await target.work.execute(SQL["forget_build"], table, name)
    except (LockTimeoutError, TooSlowError, TargetFailed) as error:
        reins.host.log("warning", f"what the build of {name} has left is dropped by the next execution: {error}")


async def _left_by(target: Target, table: int, name: str) -> list[str]:
    with failures_named(target.identity.database):
        rows = await target.work.fetch(SQL["broken"], table, name)
    # A build of a new index has its own name; a rebuild's are derived from it.
    return [row["quoted"] for row in rows if row["name"] == name or may_be_left_by(row["name"], name)]


async def drop(target: Target, quoted: str, reins: Reins) -> None:
    """Drops an index concurrently, with patience. Raises TargetFailed when it does not come to it."""
    for pause in (*PAUSES, None):
        try:
            await _patiently(target, SQL["drop"].format(index=quoted))
        except (LockTimeoutError, TooSlowError) as error:
            if pause is None:
                raise TargetFailed(f"{quoted} could not be dropped: {error}") from error
            await reins.rest(pause)
        else:
            return


async def analyze(target: Target, table: str, reins: Reins) -> None:
    """Refreshes the statistics of a table. One that somebody holds is left."""
    try:
        with failures_named(target.identity.database):
            await target.set_timeouts(0)
            sql = SQL["analyze"].format(table=table)
            await reins.drive(lambda: target.work.execute(sql, timeout=LONG_SECONDS))
    except (LockTimeoutError, TooSlowError) as error:
        reins.host.log("info", f"{table} was not analysed: {error}")


async def build(
    target: Target, sql: str, reins: Reins, total: Sequence[int], begin: Callable[[], Awaitable[None]]
) -> None:
    """Runs a statement that builds an index concurrently, after `begin()`, which is awaited again after each pause.

    Raises LockTimeoutError when it, or somebody that waits for it, waited for too long: what it has left is to be
    cleared then. `total` is for the progress: bytes done before, of this index, and of all.
    """

    async def start() -> None:
        await begin()
        await _patiently(target, sql)

    async def look() -> None:
        with failures_named(target.identity.database):
            milliseconds = target.lock_timeout_seconds * 1000
            row = await target.watch.fetchrow(SQL["blocked"], target.pids[0], milliseconds)
            progress = await target.watch.fetchrow(SQL["build_progress"], target.pids[0])
        if row is not None:
            raise LockTimeoutError(f"stepped aside for process {row['pid']}, which waited for us: {row['query']}")
        if progress is not None and progress["total"]:
            before, size, whole = total
            share = min(1.0, progress["done"] / progress["total"])
            reins.host.progress(before + round(size * share), whole, "bytes")

    await reins.drive(start, look)


async def _patiently(target: Target, sql: str, seconds: float | None = None) -> None:
    with failures_named(target.identity.database):
        await target.set_timeouts(0, BUILD_LOCK_SECONDS if seconds is None else seconds)
        try:
            await target.work.execute(sql, timeout=LONG_SECONDS)
        finally:
            if not target.work.is_closed():
                await target.set_timeouts(0)
