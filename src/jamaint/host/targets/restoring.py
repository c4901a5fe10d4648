"""Puts kept rows back into their table, tells which could not be, and at last lets what is kept go."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from jamaint.host.targets.connection import LockTimeoutError, Target, TargetFailed, TooSlowError, failures_named
from jamaint.host.targets.deleting import BATCH_SECONDS, PAUSES
from jamaint.host.targets.notebook import alone_on, open_held
from jamaint.host.targets.reins import Reins
from jamaint.host.targets.selection import SQL
from jamaint.host.targets.tables import Table, find_table, name_of

PAGES = 32
"""Of kept rows in one transaction."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a rule of an execution has kept: `table` is its oid, `name` what it was called. What is put back is held for
    so long."""

    table: int
    name: str
    kept: str
    hold_seconds: float


@dataclass(slots=True)
class PutBack:
    """`kept` are rows whose place is taken, `problems` those that the table does not take; both stay where they are."""

    restored: int = 0
    kept: list[Mapping[str, Any]] = field(default_factory=list)
    problems: list[Mapping[str, Any]] = field(default_factory=list)


async def put_back(target: Target, entry: Kept, reins: Reins, dry_run: bool) -> PutBack:
    """Puts back what is kept of one rule. Right also when nothing was, and when it is called again."""
    found = PutBack()
    with failures_named(target.identity.database):
        if not await target.work.fetchval(SQL["kept_exists"], entry.kept):
            return found
        name = await name_of(target.work, entry.table)
    if name is None:
        why = f"the table is gone: its rows stay in {entry.kept}"
        return PutBack(problems=[{"path": entry.name, "why": why}])
    table = await find_table(target, name)
    with failures_named(target.identity.database):
        columns = [row["name"] for row in await target.work.fetch(SQL["kept_columns"], entry.kept)]
    lost = [each for each in columns if table.column(each) is None]
    if lost:
        why = f"its column {', '.join(lost)} is gone since: the rows stay in {entry.kept}"
        return PutBack(problems=[{"path": table.quoted, "why": why}])
    parts = _parts(table, entry, columns)
    if dry_run:
        with failures_named(target.identity.database):
            row = await target.work.fetchrow(SQL["count_kept"].format(**parts))
        assert row is not None  # it counts
        taken = await _left_over(target, table, entry, parts, row["taken"]) if row["taken"] else PutBack()
        return PutBack(row["rows"] - row["taken"], taken.kept, taken.problems)
    async with alone_on(target, table.oid, table.quoted):
        await target.set_timeouts(BATCH_SECONDS)
        with failures_named(target.identity.database):
            await open_held(target.work)
        found.restored = await _all_back(target, table, entry, parts, reins)
        left = await _left_over(target, table, entry, parts)
        found.kept, found.problems = left.kept, left.problems
        if not left.kept and not left.problems:
            with failures_named(target.identity.database):
                await target.work.execute(SQL["drop_kept"].format(kept=entry.kept))
    return found


async def let_go(target: Target, entry: Kept, reins: Reins) -> int:
    """Removes what is kept of one rule for good; the bytes that this gives back."""
    for pause in (*PAUSES, None):
        try:
            with failures_named(target.identity.database):
                size: int = await target.work.fetchval(SQL["kept_size"], entry.kept)
                await target.work.execute(SQL["drop_kept"].format(kept=entry.kept))
                return size
        except (LockTimeoutError, TooSlowError) as error:
            if pause is None:
                raise TargetFailed(f"{entry.kept} could not be dropped: {error}") from error
            await reins.rest(pause)
    raise AssertionError("the last try returns or raises")


async def _all_back(target: Target, table: Table, entry: Kept, parts: Mapping[str, str], reins: Reins) -> int:
    restored, changed = 0, 0
    with failures_named(target.identity.database):
        pages: int = await target.work.fetchval(SQL["kept_pages"], entry.kept)
    # A row that refers to one of a later page is refused the first time: as long as some go back, others may.
    progressed = True
    while progressed:
        progressed = False
        for page in range(0, pages, PAGES):
            await reins.checkpoint()
            span = (f"({page},0)", f"({page + PAGES},0)")
            put, touched = await _some_back(target, parts, span, reins)
            restored, changed, progressed = restored + put, changed + touched, progressed or put > 0
            reins.host.progress(page + PAGES, pages, "pages")
    if changed:
        names = ", ".join(table.insert_triggers)
        reins.host.log("warning", f"{table.quoted}: triggers ({names}) changed {changed} rows as they were put back")
    return restored


async def _some_back(target: Target, parts: Mapping[str, str], span: Sequence[str], reins: Reins) -> tuple[int, int]:
    for pause in (*PAUSES, None):
        try:
            return await _in_one(target, parts, span)
        except (LockTimeoutError, TooSlowError) as error:
            if pause is None:
                raise TargetFailed(f"{parts['table']}: gave up putting back: {error}") from error
            await reins.rest(pause)
    raise AssertionError("the last try returns or raises")


async def _in_one(target: Target, parts: Mapping[str, str], span: Sequence[str]) -> tuple[int, int]:
    """All of a span in one statement; if the table refuses one row, each by itself."""
    with failures_named(target.identity.database):
        try:
            async with target.work.transaction():
                row = await target.work.fetchrow(SQL["put_back"].format(**parts), *span)
                assert row is not None  # it counts
                return row["put"], row["changed"]
        except _REFUSED:
            return await _one_by_one(target, parts, span), 0


async def _one_by_one(target: Target, parts: Mapping[str, str], span: Sequence[str]) -> int:
    put = 0
    async with target.work.transaction():
        for row in await target.work.fetch(SQL["places"].format(**parts), *span):
            try:
                async with target.work.transaction():
                    put += await target.work.fetchval(SQL["put_one_back"].format(**parts), row["ctid"])
            except _REFUSED:
                continue
    return put


async def _left_over(
    target: Target, table: Table, entry: Kept, parts: Mapping[str, str], taken: int | None = None
) -> PutBack:
    """Rows that are still kept, the first by their key, and why; of those whose place is taken, if that many are."""
    found = PutBack()
    with failures_named(target.identity.database):
        rows = await target.work.fetch(SQL["left_over"].format(**parts), taken is not None)
        total = taken
        if rows and total is None:
            total = await target.work.fetchval(SQL["count"].format(table=entry.kept, condition="true"))
    for row in rows:
        key = " ".join(f"{column.name}={value}" for column, value in zip(table.key, row["key"], strict=True))
        path = f"{table.quoted} {key}"
        if row["is_taken"]:
            found.kept.append(
                {"path": path, "why": f"there is another row with its key now: the old one stays in {entry.kept}"}
            )
        else:
            why = (
                f"the table does not take it (a constraint, a row it refers to, or a trigger): it stays in {entry.kept}"
            )
            found.problems.append({"path": path, "why": why})
    if total is not None and total > len(rows):
        found.problems.append({"path": table.quoted, "why": f"{total - len(rows)} more rows stay in {entry.kept}"})
    return found


def _parts(table: Table, entry: Kept, there: Sequence[str]) -> dict[str, str]:
    key = [column.quoted for column in table.key]
    columns = [column.quoted for column in table.columns if not column.is_generated and column.name in there]
    changed = "false"
    if table.insert_triggers:  # compared as texts, because not every type can be compared
        changed = (
            f"ROW({', '.join(f'put.{name}' for name in columns)})::text IS DISTINCT FROM "
            f"ROW({', '.join(f'batch.{name}' for name in columns)})::text"
        )
    return {
        "table": table.quoted,
        "kept": entry.kept,
        "oid": str(table.oid),
        "hold_seconds": str(float(entry.hold_seconds)),
        "columns": ", ".join(columns),
        "changed": changed,
        "same": " AND ".join(f"put.{name} = batch.{name}" for name in key),
        "same_there": " AND ".join(f"there.{name} = batch.{name}" for name in key),
        "key": ", ".join(f"batch.{name}::text" for name in key),
    }


_REFUSED = (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError, asyncpg.RaiseError)
"""What a table says to a row that it does not take."""
