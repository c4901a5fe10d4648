"""Bookkeeping in the maintained database: a schema `jamaint` with cursors, work under way, and kept rows."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from jamaint.databases.connection import OUR_SCHEMA, Connection, Target, TargetError
from jamaint.host.sql_files import statements

SCHEMA = OUR_SCHEMA
LOCK_TRIES, LOCK_PAUSE_SECONDS = 40, 0.5
NOTES = statements("jamaint.databases", "notebook")


async def check_notebook(target: Target) -> None:
    """Raises TargetError when the schema is somebody else's, who could have us run anything, or cannot be made."""
    row = await target.watch.fetchrow(NOTES["schema_owner"])
    role, database = target.identity.role, target.identity.database
    if row is None:
        if not await target.watch.fetchval(NOTES["may_create"]):
            raise TargetError(
                f"role {role} may not make the schema {SCHEMA} in database {database}, in which it writes down how far "
                f'it is and keeps what it removes: CREATE SCHEMA {SCHEMA} AUTHORIZATION "{role}"',
                "refused",
            )
    elif not row["is_ours"]:
        raise TargetError(
            f"the schema {SCHEMA} in database {database}, or a table in it, belongs to {row['owner']}, and role {role} "
            f"is not its member. If it was made by an earlier role of this task: {row['cure']}",
            "refused",
        )


async def open_notebook(target: Target) -> None:
    """Makes the schema and the cursors where they are missing. Raises as `check_notebook`."""
    await check_notebook(target)
    published = await publication(target.work)
    for row in await target.work.fetch(NOTES["to_relog"], published is not None):
        await target.work.execute(row["sql"])
    if not await target.work.fetchval(NOTES["has_cursors"]):
        await schema_made(target.work)
        await make_notes(target.work, NOTES["create_cursors"])


async def publication(connection: Connection) -> str | None:
    """The publications, FOR ALL TABLES or of our schema, whose subscribers would get what is written there, and stop,
    because they have no such tables; None where there is none."""
    names: str | None = await connection.fetchval(NOTES["publication"])
    return names


async def make_notes(connection: Connection, sql: str) -> None:
    """Makes a table of notes where it is missing: one that is not published, where tables of its kind are."""
    unlogged = "" if await publication(connection) is None else "UNLOGGED "
    await connection.execute(sql.format(unlogged=unlogged))
    await share(connection)


async def share(connection: Connection, table: int | None = None, kept: str | None = None) -> None:
    """Lets the owners of the database and of the table read what is written here, without which their dumps fail."""
    for row in await connection.fetch(NOTES["to_share"], table, kept):
        await connection.execute(row["sql"])


async def schema_made(connection: Connection) -> None:
    """Makes the schema where it is missing."""
    # IF NOT EXISTS wants the right to make it all the same.
    if await connection.fetchrow(NOTES["schema_owner"]) is None:
        await connection.execute(NOTES["create_schema"])


async def cursor_of(connection: Connection, task: str, oid: int, rule: str) -> list[str] | None:
    """Where the rule stopped last time; None at the beginning."""
    if not await connection.fetchval(NOTES["has_cursors"]):
        return None
    position: list[str] | None = await connection.fetchval(NOTES["cursor"], task, oid, rule)
    return position


async def move_cursor(connection: Connection, task: str, oid: int, rule: str, position: Sequence[str]) -> None:
    """To be called in the transaction that did what it tells."""
    await connection.execute(NOTES["move_cursor"], task, oid, rule, list(position))


async def clear_cursor(connection: Connection, task: str, oid: int, rule: str) -> None:
    """The rule has come to the end of its table."""
    await connection.execute(NOTES["clear_cursor"], task, oid, rule)


@dataclass(frozen=True, slots=True)
class Held:
    """How many rows of a table were put back and are not to go again yet, and until when."""

    rows: int
    until: datetime


async def open_held(connection: Connection) -> None:
    """Makes the list of rows that were put back where it is missing."""
    await make_notes(connection, NOTES["create_held"])
    if not await connection.fetchval(NOTES["held_have_source"]):  # one of an older version
        await connection.execute(NOTES["widen_held"])


async def has_held(connection: Connection) -> bool:
    """Whether there is a list of rows that were put back."""
    return bool(await connection.fetchval(NOTES["has_held"]))


async def held_of(connection: Connection, oid: int) -> Held | None:
    """What of that table is held; None if nothing is."""
    if not await connection.fetchval(NOTES["has_held"]):
        return None
    row = await connection.fetchrow(NOTES["held"], oid)
    return None if row is None or not row["rows"] else Held(row["rows"], row["until"])


async def release_held(connection: Connection, source: str) -> None:
    """Forgets the rows that came back from one table of kept rows."""
    if await connection.fetchval(NOTES["held_have_source"]):
        await connection.execute(NOTES["release_held"], source)


async def let_held_go(connection: Connection) -> None:
    """Forgets those whose time is over."""
    if await connection.fetchval(NOTES["has_held"]):
        await connection.execute(NOTES["let_held_go"])


@asynccontextmanager
async def alone_on(target: Target, oid: int, name: str) -> AsyncIterator[None]:
    """Raises TargetError when another of us is at work on the table, and stays so for longer than a session takes to
    end whose client was killed."""
    number = oid if oid < 1 << 31 else oid - (1 << 32)
    for _ in range(LOCK_TRIES):
        if await target.work.fetchval(NOTES["lock"], number):
            break
        await asyncio.sleep(LOCK_PAUSE_SECONDS)
    else:
        raise TargetError(f"another execution is working on {name}", "refused")
    try:
        yield
    finally:
        if not target.work.is_closed():
            await target.work.fetchval(NOTES["unlock"], number)
