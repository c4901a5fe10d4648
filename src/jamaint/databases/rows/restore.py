"""Puts kept rows back into their table, tells which could not be, and at last lets what is kept go.

Rows go back in portions that adapt to what they cost, the last kept first: what refers to others went before them. A
portion that the table refuses goes row by row, each within a savepoint, so that one bad row costs no good one; what the
table would check only at COMMIT is checked there too. A row that gets another key from a trigger is taken out again:
the next try would not know it, and put it back a second time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from jamaint.databases.bookkeeping import alone_on, has_held, open_held, open_notebook, publication, share
from jamaint.databases.connection import LockTimeoutError, Target, TargetError, TooSlowError, failures_named
from jamaint.databases.pacing import StatementControl
from jamaint.databases.rows.delete import BATCH_SECONDS, PAUSES, retried
from jamaint.databases.rows.restore_batches import Kept, Portion, Sizes, in_one, parts_of, places_of, text_of
from jamaint.databases.rows.selection import SQL
from jamaint.databases.search_path import search_for
from jamaint.databases.tables import Table, find_table, has_deferrable, name_of, oid_of

PAGES = 32
"""Of kept rows whose places are listed at once."""
ONE_ROW_SECONDS = 50.0
"""How long a single row may take that takes longer than a portion may."""


@dataclass(slots=True)
class PutBack:
    """`kept` are rows whose place is taken, `problems` those that the table does not take; both stay where they are."""

    restored: int = 0
    kept: list[Mapping[str, Any]] = field(default_factory=list)
    problems: list[Mapping[str, Any]] = field(default_factory=list)


async def put_back(target: Target, entry: Kept, reins: StatementControl, dry_run: bool) -> PutBack:
    """Puts back what is kept of one rule. Right also when nothing was, and when it is called again."""
    with failures_named(target.identity.database):
        if not await target.work.fetchval(SQL["kept_exists"], entry.kept):
            return PutBack()
    table, why = await _table_of(target, entry)
    if table is None:
        return PutBack(problems=[{"path": entry.name, "why": f"{why}: the rows stay in {entry.kept}"}])
    with failures_named(target.identity.database):
        kept = {row["name"]: row["type"] for row in await target.work.fetch(SQL["kept_columns"], entry.kept)}
    lost = [each for each in kept if table.column(each) is None]
    if lost:
        why = f"its column {', '.join(lost)} is gone since: the rows stay in {entry.kept}"
        return PutBack(problems=[{"path": table.quoted, "why": why}])
    await search_for(target, table.oid)
    published = await publication(target.watch)
    parts = parts_of(table, entry, kept, await has_deferrable(target.watch, table.oid), published)
    if dry_run:
        return await _would_be(target, table, parts)
    return await _put_back(target, table, entry, parts, reins)


async def let_go(target: Target, entry: Kept, reins: StatementControl) -> int:
    """Removes what is kept of one rule for good; the bytes that this gives back."""
    for pause in (*PAUSES, None):
        try:
            with failures_named(target.identity.database):
                size: int = await target.work.fetchval(SQL["kept_size"], entry.kept)
                await target.work.execute(SQL["drop_kept"].format(kept=entry.kept))
                return size
        except (LockTimeoutError, TooSlowError) as error:
            if pause is None:
                raise TargetError(f"{entry.kept} could not be dropped: {error}") from error
            await reins.rest(pause)
    raise AssertionError("the last try returns or raises")


async def _table_of(target: Target, entry: Kept) -> tuple[Table | None, str]:
    """The table that the rows are of, or why there is none that they may go into."""
    with failures_named(target.identity.database):
        name = await name_of(target.work, entry.table)
        other = await oid_of(target.work, entry.name)
    if name is None:
        return None, "the table is gone" + (", and another has its name" if other is not None else "")
    if name != entry.name and other is not None:
        return None, (
            f"the table that they were in is called {name} now, and another is called {entry.name}: rename them back, "
            "or put the rows by hand where they are meant"
        )
    return await find_table(target, name), ""


async def _would_be(target: Target, table: Table, parts: Mapping[str, str]) -> PutBack:
    with failures_named(target.identity.database):
        if not await has_held(target.work):
            parts = {**parts, "is_held": "false"}
        row = await target.work.fetchrow(SQL["count_kept"].format(**parts))
    assert row is not None  # it counts
    if not row["taken"]:
        return PutBack(row["rows"])
    taken = await _left_over(target, table, parts)
    return PutBack(row["rows"] - row["taken"], taken.kept, taken.problems)


async def _put_back(
    target: Target, table: Table, entry: Kept, parts: Mapping[str, str], reins: StatementControl
) -> PutBack:
    async with alone_on(target, table.oid, table.quoted):
        await target.set_timeouts(BATCH_SECONDS)
        with failures_named(target.identity.database):
            await open_notebook(target)
            await open_held(target.work)
            await share(target.work, table.oid, entry.kept)
        portion = await _all_back(target, table, entry, parts, reins)
        found = await _left_over(target, table, parts, portion.refused)
        found.restored = portion.put
        if table.quoted != entry.name:
            reins.host.log("warning", f"{entry.name} is called {table.quoted} now: the rows were put back there")
        if not found.kept and not found.problems:
            with failures_named(target.identity.database):
                await target.work.execute(SQL["drop_kept"].format(kept=entry.kept))
    return found


async def _all_back(
    target: Target, table: Table, entry: Kept, parts: Mapping[str, str], reins: StatementControl
) -> Portion:
    with failures_named(target.identity.database):
        pages: int = await target.work.fetchval(SQL["kept_pages"], entry.kept)
    whole, sizes = Portion(), Sizes()
    # A row that refers to one of another page may be refused the first time: as long as some go back, others may.
    progressed = True
    while progressed:
        progressed, whole.refused = False, {}
        for page in reversed(range(0, pages, PAGES)):
            found = await _window_back(target, parts, (page, page + PAGES), reins, sizes)
            whole.add(found)
            progressed = progressed or found.put > 0
            reins.host.progress(pages - page, pages, "pages")
    if whole.changed:
        names = ", ".join(table.insert_triggers) or "types"
        reins.host.log("warning", f"{table.quoted}: triggers ({names}) changed {whole.changed} rows on the way back")
    return whole


async def _window_back(
    target: Target, parts: Mapping[str, str], window: tuple[int, int], reins: StatementControl, sizes: Sizes
) -> Portion:
    """Those of some pages, the last first."""
    span = [f"({page},0)" for page in window]
    with failures_named(target.identity.database):
        rows = await target.work.fetch(SQL["places"].format(**parts), *span)
    places, found = list(places_of(rows)), Portion()
    while places:
        await reins.checkpoint()
        taken = places[: sizes.rows]
        found.add(await _patiently(target, parts, taken, reins, sizes))
        del places[: len(taken)]
    return found


async def _patiently(
    target: Target, parts: Mapping[str, str], places: list[tuple[int, int]], reins: StatementControl, sizes: Sizes
) -> Portion:
    """Puts those of them back that one portion takes; `places` is left with these."""
    tries = 0
    while True:
        del places[sizes.rows :]
        began = monotonic()
        try:
            with failures_named(target.identity.database), retried():
                found = await in_one(target, parts, places)
        except (LockTimeoutError, TooSlowError) as error:
            if len(places) > 1:
                sizes.halve()
            elif isinstance(error, TooSlowError):
                return await _slowly(target, parts, places)
            elif tries >= len(PAUSES):
                raise TargetError(f"{parts['table']}: gave up putting back: {error}") from error
            if isinstance(error, LockTimeoutError):
                await reins.rest(PAUSES[min(tries, len(PAUSES) - 1)])
                tries += 1
        else:
            sizes.after(monotonic() - began)
            return found


async def _slowly(target: Target, parts: Mapping[str, str], places: Sequence[tuple[int, int]]) -> Portion:
    """A single row that takes longer than a portion may."""
    await target.set_timeouts(ONE_ROW_SECONDS)
    try:
        with failures_named(target.identity.database), retried():
            return await in_one(target, parts, places)
    except (LockTimeoutError, TooSlowError) as error:
        return Portion(refused={text_of(places[0]): str(error)})
    finally:
        if not target.work.is_closed():
            await target.set_timeouts(BATCH_SECONDS)


async def _left_over(
    target: Target, table: Table, parts: Mapping[str, str], refused: Mapping[str, str] | None = None
) -> PutBack:
    """Rows that are still kept, the first by their key, and why; without `refused`, only those whose place is taken."""
    only_taken, kept = refused is None, parts["kept"]
    left_over = SQL["left_over"].format(**parts)
    with failures_named(target.identity.database):
        rows = await target.work.fetch(SQL["first_left_over"].format(left_over=left_over), only_taken)
        total = back = 0
        if rows:
            counted = await target.work.fetchrow(SQL["count_left_over"].format(left_over=left_over), only_taken)
            assert counted is not None  # it counts
            total, back = counted["rows"], counted["back"]
    found, told = PutBack(), [row for row in rows if not row["is_back"]]
    for row in told:
        key = " ".join(f"{column.name}={value}" for column, value in zip(table.key, row["key"], strict=True))
        path = f"{table.quoted} {key}"
        if row["is_taken"]:
            why = f"another row has its key now: the old one stays in {kept}"
            found.kept.append({"path": path, "why": why})
        else:
            why = (refused or {}).get(row["place"]) or _kept_out(table)
            found.problems.append({"path": path, "why": f"the table rejects it ({why}): it stays in {kept}"})
    if total - back > len(told):
        found.problems.append({"path": table.quoted, "why": f"{total - back - len(told)} more rows stay in {kept}"})
    if back:
        found.problems.append({"path": table.quoted, "why": _changed(table, back, kept)})
    return found


def _kept_out(table: Table) -> str:
    triggers = ", ".join(table.insert_triggers)
    return f"one of its triggers, {triggers}, rejects it" if triggers else "a constraint, or a row it refers to"


def _changed(table: Table, rows: int, kept: str) -> str:
    by = f"triggers ({', '.join(table.insert_triggers)}) set values anew" if table.insert_triggers else "its types have"
    return f"{rows} row{'' if rows == 1 else 's'} came back changed, because {by}: as they were they stay in {kept}"
