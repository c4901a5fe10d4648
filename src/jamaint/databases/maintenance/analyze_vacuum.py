"""ANALYZE and VACUUM of the tables for which they are due, one after the other."""

from typing import Any

from jamaint.core.plans import Step
from jamaint.databases.connection import LockTimeoutError, Row, Target, TargetError, TooSlowError, failures_named
from jamaint.databases.pacing import SQL as VITALS
from jamaint.databases.pacing import Doing
from jamaint.databases.rows.delete import LONG_SECONDS
from jamaint.databases.rules.ownership import NotOwned, why_nothing
from jamaint.databases.search_path import NOTHING, search_for
from jamaint.databases.tables import sizes
from jamaint.host.sql_files import statements

NAME = "statistics_update"
CHANGED_SHARE, DEAD_SHARE, LEAST_ROWS = 0.1, 0.1, 1000
"""Where autovacuum would come to it too, by its defaults (a tenth to a fifth), or sooner."""
OLD_AGE = 150_000_000
"""Transactions: autovacuum forces a vacuum at 200 million."""

_SQL = statements("jamaint.databases", "upkeep")


async def plan(target: Target, only: frozenset[int] | None) -> tuple[Step, list[str]]:
    """The step, with the tables that are due; those that we may not vacuum are warned of. With `only`, no others than
    those oids."""
    rows, warnings = await _due(target), list[str]()
    wanted = [row for row in rows if only is None or row["oid"] in only]
    chosen = [row for row in wanted if row["may_vacuum"]]
    blocked = [row for row in wanted if not row["may_vacuum"]]
    warnings += [f"{row['quoted']} is left out, because it is owned by {row['owner']}: {_why(row)}" for row in blocked]
    vacuums = sum(row["vacuum"] is not None for row in chosen)
    says = (
        f"VACUUM {_tables(vacuums)} and ANALYZE {_tables(len(chosen))}. No visible data "
        "changes, so there is nothing to undo."
    )
    sample = tuple({"path": f"{row['quoted']}: {_why(row)}", "bytes": row["bytes"]} for row in chosen[:10])
    size = sum(row["bytes"] for row in chosen)
    args: dict[str, Any] = {
        "things": [{"oid": row["oid"], "name": row["quoted"], "bytes": row["bytes"]} for row in chosen]
    }
    if blocked and not chosen:
        not_owned = [NotOwned(row["quoted"], row["quoted"], row["owner"]) for row in blocked]
        identity = target.identity
        args["may_not"] = why_nothing("vacuumed or analysed", not_owned, identity.role, identity.version)
    return Step(NAME, says, args, None, len(chosen), size, sample, independent=True), warnings


async def run(doing: Doing) -> None:
    """Do what is due now. Raises TargetError, also where the role may do none of it; and what the host raises."""
    target, reins = doing.target, doing.reins
    doing.tally.update(
        {"tables": [], "analysed": 0, "vacuumed": 0, "freed_space": 0, "skipped": [], "skipped_count": 0}
    )
    done, planned = 0, {entry["oid"] for entry in doing.step.args["things"]}
    for row in [row for row in await _due(target) if row["oid"] in planned]:
        await reins.checkpoint()
        why = "the window has ended: continued next time" if await reins.is_over() else None
        why = why or await reins.wait_for_others(row["oid"]) or await _one_noted(doing, row, done)
        if why is not None:
            doing.skip(row["quoted"], why)
        done += row["bytes"]
        reins.host.progress(done, max(doing.step.bytes, done), "bytes")
    doing.check_rights()


async def _one_noted(doing: Doing, row: Row, done: int) -> str | None:
    """As `_one`; what the table's own code (an index over an expression) refuses is no reason to leave the others."""
    path = NOTHING
    try:
        path = await search_for(doing.target, row["oid"])
        return await _one(doing, row, done)
    except TargetError as failure:
        if failure.kind == "lost":
            raise
        return failure.message + path.cure(failure.__cause__ or failure)


async def _one(doing: Doing, row: Row, done: int) -> str | None:
    """Why it was not done; None if it was."""
    target, reins, tally = doing.target, doing.reins, doing.tally
    name = "analyze" if row["vacuum"] is None else "vacuum"
    before, _ = await sizes(target.watch, row["oid"])

    async def look() -> None:
        progress = await target.watch.fetchrow(VITALS["vacuum_progress"], target.pids[0])
        if progress is not None and progress["total"]:
            share = min(1.0, progress["done"] / progress["total"])
            reins.host.progress(done + round(row["bytes"] * share), max(doing.step.bytes, 1), "bytes")

    try:
        with failures_named(target.identity.database):
            await target.set_timeouts(0)
            sql = _SQL[name].format(table=row["quoted"])
            await reins.drive(lambda: target.work.execute(sql, timeout=LONG_SECONDS), look)
            after, _ = await sizes(target.watch, row["oid"])
            dead = await target.watch.fetchval(_SQL["dead"], row["oid"])
    except (LockTimeoutError, TooSlowError) as error:
        return str(error)
    tally["analysed"] += 1
    tally["vacuumed"] += name == "vacuum"
    tally["freed_space"] += max(0, before - after)
    tally["tables"].append(
        {
            "table": row["quoted"],
            "why": _why(row),
            "did": name,
            "dead_rows_before": row["dead"],
            "dead_rows_after": dead or 0,
            "returned_bytes": max(0, before - after),
        }
    )
    return None


async def _due(target: Target) -> list[Row]:
    with failures_named(target.identity.database):
        rows = await target.watch.fetch(_SQL["due"], CHANGED_SHARE, DEAD_SHARE, LEAST_ROWS, OLD_AGE)
    return [row for row in rows if row["vacuum"] is not None or row["analyze"] is not None]


def _tables(number: int) -> str:
    return f"{number} table{'' if number == 1 else 's'}"


def _why(row: Row) -> str:
    return "; ".join(why for why in (row["vacuum"], row["analyze"]) if why is not None)
