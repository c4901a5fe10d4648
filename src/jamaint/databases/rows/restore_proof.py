"""Proof that rows of a rule can go and come back: some are put there and back in a transaction that is rolled back.

What a table does to its rows (triggers, constraints, generated columns, types' operators) cannot be read from the
catalogue; so it is tried, with the very statements that delete and put back, before a row goes. Nothing of it lasts but
what no rollback takes back: sequences that its triggers have drawn from, and what they do outside of the database.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from jamaint.databases.bookkeeping import SCHEMA, open_held, schema_made
from jamaint.databases.connection import LockTimeoutError, Target, TargetError, TooSlowError, failures_named, said
from jamaint.databases.rows.delete import BATCH_SECONDS, retried
from jamaint.databases.rows.restore_batches import REFUSED, Kept, Portion, in_one, parts_of, places_of
from jamaint.databases.rows.selection import SQL, Selection
from jamaint.databases.tables import Table, has_deferrable

SIZES = (100, 10, 1, 1)
"""How many rows are tried; fewer where that takes too long, or somebody is in the way."""
SECONDS = 10.0
TABLES_OWN = (asyncpg.SyntaxOrAccessError, asyncpg.InvalidSchemaNameError, *REFUSED)
"""What the table's own code, its constraints or its rights say against a row."""


@dataclass(frozen=True, slots=True)
class Proof:
    """How many rows were tried, and which of their columns come back changed."""

    rows: int = 0
    changed: tuple[str, ...] = ()


async def prove(target: Target, selection: Selection, keeps_way_back: bool) -> Proof:
    """Puts some of what the rule means there and back, and takes that back. Raises TargetError for what cannot go, and
    where the way back is kept, for what cannot come back, or could not be tried."""
    why = ""
    try:
        for most in SIZES:
            await target.set_timeouts(SECONDS)
            try:
                with failures_named(target.identity.database), retried():
                    async with _taken_back(target):
                        return await _there_and_back(target, selection, most, keeps_way_back)
            except (LockTimeoutError, TooSlowError) as error:
                why = str(error)
    finally:
        if not target.work.is_closed():
            await target.set_timeouts(BATCH_SECONDS)
    raise TargetError(
        f"{selection.table.quoted}: whether its rows can go and come back could not be tried ({why}): try again when "
        "nobody is at the table for so long",
        "refused",
    )


@asynccontextmanager
async def _taken_back(target: Target) -> AsyncIterator[None]:
    transaction = target.work.transaction()
    await transaction.start()
    try:
        yield
    finally:
        if not target.work.is_closed():
            await transaction.rollback()


async def _there_and_back(target: Target, selection: Selection, most: int, keeps_way_back: bool) -> Proof:
    table = selection.table
    entry = Kept(table.oid, table.quoted, f"{SCHEMA}.kept_proof{target.pids[0]}_1", 1.0)
    if keeps_way_back:
        await schema_made(target.work)
        await open_held(target.work)
        await target.work.execute(SQL["make_kept"].format(kept=entry.kept, table=table.quoted))
    rows = await _there(target, selection, entry if keeps_way_back else None, most)
    if not rows or not keeps_way_back:
        return Proof(rows)
    kept = {row["name"]: row["type"] for row in await target.work.fetch(SQL["kept_columns"], entry.kept)}
    parts = parts_of(table, entry, kept, await has_deferrable(target.watch, table.oid))
    places = list(places_of(await target.work.fetch(SQL["places"].format(**parts), "(0,0)", "(4294967294,0)")))
    # What comes back changed stays kept, and is compared column by column.
    try:
        found = await in_one(target, parts, places)
    except TABLES_OWN as error:
        raise _refused(selection, said(error), error, "deleted rows could not be restored") from error
    if found.put < rows:
        raise _refused(selection, _why(table, found), None, "deleted rows could not be restored")
    return Proof(rows, await _changed(target, table, parts) if found.changed else ())


async def _there(target: Target, selection: Selection, entry: Kept | None, most: int) -> int:
    table = selection.table
    condition = f"{selection.condition} AND {selection.unreferenced}" if table.references else selection.condition
    keep = "" if entry is None else SQL["keep_some"].format(kept=entry.kept)
    lock = " FOR UPDATE SKIP LOCKED" if table.may_lock else ""
    sql = SQL["take_some"].format(table=table.quoted, condition=condition, keep=keep, lock=lock)
    try:
        rows: int = await target.work.fetchval(sql, most)
        await target.work.execute(SQL["check_now"])
    except TABLES_OWN as error:
        raise _refused(selection, said(error), error, "its rows cannot be deleted") from error
    return rows


async def _changed(target: Target, table: Table, parts: dict[str, str]) -> tuple[str, ...]:
    pairs = ", ".join(
        f"('{column.name.replace(chr(39), chr(39) * 2)}', batch.{column.quoted}::text, there.{column.quoted}::text)"
        for column in table.columns
    )
    rows = await target.work.fetch(SQL["changed_columns"].format(**parts, pairs=pairs))
    return tuple(row["name"] for row in rows)


def _refused(selection: Selection, why: str, error: BaseException | None, what: str) -> TargetError:
    cure = "" if error is None else selection.path.cure(error)
    else_ = (
        ""
        if "cannot be deleted" in what or cure
        else ". Fix that, or set rollback: {enabled: false} to delete for good"
    )
    return TargetError(
        f"{selection.table.quoted}: {what} (it was tried, and taken back): {why}{cure}{else_}", "refused"
    )


def _why(table: Table, found: Portion) -> str:
    if found.refused:
        return next(iter(found.refused.values()))
    triggers = ", ".join(table.insert_triggers)
    return f"one of its triggers, {triggers}, rejects them" if triggers else "their places are taken"
