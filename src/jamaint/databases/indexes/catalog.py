"""Indexes of a database as they are, how much air is in them, and whether the disk has room for another."""

import os
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from jamaint.databases.connection import LockTimeoutError, Target, TooSlowError, failures_named
from jamaint.databases.pacing import StatementControl
from jamaint.databases.rows.delete import LONG_SECONDS
from jamaint.databases.rules.indexes import Index, air_of_pages
from jamaint.host.sql_files import statements

SQL = statements("jamaint.databases", "indexes")
SPACE_FACTOR = 2.0
"""Free space that a rebuild must find, times the index: the new one, and its write-ahead log."""


@dataclass(frozen=True, slots=True)
class Around:
    """What decides about all indexes at once. `counting_since`: from when on the server's counters have not been reset;
    `data_directory` None: the server is elsewhere, or does not say."""

    age: int
    freeze_age: int
    replicas: int
    counting_since: datetime | None
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


async def pgstattuple(target: Target) -> str | None:
    """The schema of the extension pgstattuple; None where it is not installed."""
    with failures_named(target.identity.database):
        schema: str | None = await target.watch.fetchval(SQL["pgstattuple"])
    return schema


async def exact_air(target: Target, index: Index) -> float | None:
    """How much of a btree is air, by reading all of it; None where pgstattuple is not installed, or not for us."""
    schema = await pgstattuple(target)
    if schema is None or index.method != "btree":
        return None
    with failures_named(target.identity.database):
        try:
            row = await target.watch.fetchrow(SQL["density"].format(schema=schema), index.oid, timeout=LONG_SECONDS)
        except (asyncpg.InsufficientPrivilegeError, asyncpg.QueryCanceledError, asyncpg.UndefinedFunctionError):
            return None
    assert row is not None  # it is one row
    return air_of_pages(row["leaf_pages"], row["empty_pages"], row["deleted_pages"], row["avg_leaf_density"])


def space_missing(index: Index, everything: Around) -> str | None:
    """Why the disk has no room for a rebuild; None if it has, or nobody can see it from here."""
    place = index.location or everything.data_directory
    log = None if everything.data_directory is None else os.path.join(everything.data_directory, "pg_wal")
    for path, factor in ((place, SPACE_FACTOR), (log, 1.0)):  # the log may be on a disk of its own
        needed = round(index.bytes * factor)
        free = None if path is None else _free_at(path)
        if free is not None and free < needed:
            return f"a rebuild may take {needed >> 20} MiB, and {free >> 20} MiB are free at {path}"
    return None


def _free_at(path: str) -> int | None:
    try:
        found = os.statvfs(path)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


async def analyze(target: Target, table: str, reins: StatementControl) -> None:
    """Refreshes the statistics of a table. One that somebody holds is left."""
    try:
        with failures_named(target.identity.database):
            await target.set_timeouts(0)
            sql = SQL["analyze"].format(table=table)
            await reins.drive(lambda: target.work.execute(sql, timeout=LONG_SECONDS))
    except (LockTimeoutError, TooSlowError) as error:
        reins.host.log("info", f"{table} was not analysed: {error}")
