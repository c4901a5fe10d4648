"""Looks at a database and says what could be better: each recommendation with its reason and, if any, its SQL."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

from jamaint.core.plans import Step
from jamaint.databases.bookkeeping import make_notes, open_notebook
from jamaint.databases.connection import Row, Target, failures_named
from jamaint.databases.indexes.catalog import exact_air, indexes_of, pgstattuple
from jamaint.databases.pacing import Doing
from jamaint.databases.rules.indexes import Index, covered, duplicates, is_leftover, never_dropped
from jamaint.databases.rules.query_benefit import Times, between, compare
from jamaint.host.sql_files import statements

NAME = "database_analysis"
LISTED = 20
LARGE_BYTES = 10 << 20
SCANNED_ROWS = 10_000
"""Rows a scan reads on average: with fewer, an index would gain nothing."""
DEAD_SHARE = 0.2
AIRY_SHARE = 0.5
COUNTED_BYTES = 1 << 30
"""Of a table or index up to this size its air is counted, which reads it; of a larger one it is estimated."""
AGE_WARNING = 1_000_000_000

_SQL = statements("jamaint.databases", "analysis")
Recommendation = dict[str, Any]


def plan() -> Step:
    """The step, which only looks."""
    return Step(NAME, "Analyse tables, indexes, queries and transaction age, and recommend; change no data.")


async def run(doing: Doing, task: str, threshold: float) -> None:
    """Looks; what is found stands in the tally, and what is recommended in the log too."""
    target, tally = doing.target, doing.tally
    with failures_named(target.identity.database):
        totals = await target.watch.fetchrow(_SQL["totals"])
        tables = await target.watch.fetch(_SQL["tables"])
        foreign = await target.watch.fetch(_SQL["unindexed_foreign_keys"], LARGE_BYTES)
    assert totals is not None  # this database is in pg_database
    indexes = await indexes_of(target)
    measured = await _measured(doing, tables, indexes)
    slow = await _statements(target, "slow_queries")
    recommendations = [*_of_age(totals), *_of_tables(tables, measured), *_of_indexes(indexes, threshold, measured)]
    recommendations += [_missing(row) for row in foreign]
    tally |= {
        "database_bytes": totals["bytes"],
        "live_rows": totals["live_rows"],
        "dead_rows": totals["dead_rows"],
        "transactions_left": totals["transactions_left"],
        "server": target.identity.version_text,
        "tables": [_table(row, measured.get(row["oid"])) for row in tables],
        "indexes": [_index(index, measured.get(index.oid)) for index in indexes[:LISTED]],
        "slow_queries": [dict(row) for row in slow or ()],
        "queries": "pg_stat_statements is not installed or not accessible" if slow is None else None,
        "recommendations": recommendations,
        "recommended": len(recommendations),
    }
    tally["effect_of_last"] = await _effect(target, task)
    for one in recommendations[:LISTED]:
        doing.reins.host.log("info", f"recommended: {one['what']}: {one['reason']}" + _sql(one))
    if tally["effect_of_last"] is not None:
        doing.reins.host.log("info", f"what the last optimization did to queries: {tally['effect_of_last']}")


async def keep_times(target: Target, task: str, moment: str) -> None:
    """Counts how long queries took until now, to be compared later; nothing where that cannot be seen."""
    rows = await _statements(target, "query_times")
    if rows is None:
        return
    await open_notebook(target)
    times = {str(row["id"]): [row["calls"], row["total_ms"]] for row in rows}
    with failures_named(target.identity.database):
        await make_notes(target.work, _SQL["create_times"])
        await target.work.execute(_SQL["keep_times"], task, moment, json.dumps(times))
        await target.work.execute(_SQL["forget_times"], task)


async def _effect(target: Target, task: str) -> str | None:
    """What the last optimization has done to the queries; None while there is no whole period on both sides of it."""
    rows = await _statements(target, "query_times")
    with failures_named(target.identity.database):
        if rows is None or not await target.watch.fetchval(_SQL["has_times"]):
            return None
        kept = await target.watch.fetch(_SQL["times"], task)
    if [row["moment"] for row in kept] != ["end", "begin", "end"]:
        return None
    end, begin, before = (_times(row["times"]) for row in kept)
    now: Times = {row["id"]: (row["calls"], row["total_ms"]) for row in rows}
    return compare(between(before, begin), between(end, now)).says


def _times(text: str) -> Times:
    return {int(query): (calls, total) for query, (calls, total) in json.loads(text).items()}


async def _statements(target: Target, name: str) -> list[Row] | None:
    """Rows from pg_stat_statements; None where it is not there, not loaded, or not for us."""
    with failures_named(target.identity.database):
        schema = await target.watch.fetchval(_SQL["statements_schema"])
        if schema is None:
            return None
        try:
            return await target.watch.fetch(_SQL[name].format(schema=schema), target.identity.role)
        except (asyncpg.ObjectNotInPrerequisiteStateError, asyncpg.InsufficientPrivilegeError):
            return None


async def _measured(doing: Doing, tables: Sequence[Row], indexes: Sequence[Index]) -> dict[int, int]:
    """Bytes of air by oid, counted where pgstattuple is installed and that is soon done; all else is estimated."""
    target, found = doing.target, dict[int, int]()
    schema = await pgstattuple(target)
    if schema is None:
        return found
    for row in [row for row in tables if 0 < row["heap_bytes"] <= COUNTED_BYTES]:
        await doing.reins.checkpoint()
        try:
            found[row["oid"]] = await target.watch.fetchval(_SQL["free_space"].format(schema=schema), row["oid"])
        except (asyncpg.PostgresError, TimeoutError) as error:  # no right, no heap, or gone: it is estimated
            doing.reins.host.log("info", f"{row['quoted']} is estimated and not counted: {error}")
    for index in [index for index in indexes[:LISTED] if index.bytes <= COUNTED_BYTES and index.is_valid]:
        await doing.reins.checkpoint()
        air = await exact_air(target, index)
        if air is not None:
            found[index.oid] = round(air * index.bytes)
    return found


def _sql(recommendation: Recommendation) -> str:
    return f" ({recommendation['sql']})" if recommendation["sql"] else ""


def _of_age(totals: Row) -> list[Recommendation]:
    if totals["age"] < AGE_WARNING:
        return []
    reason = f"{totals['transactions_left']:,} transactions are left before the server stops accepting writes"
    return [{"what": "vacuum the whole database", "reason": reason, "sql": "VACUUM (FREEZE)"}]


def _of_tables(tables: Sequence[Row], measured: Mapping[int, int]) -> list[Recommendation]:
    found = list[Recommendation]()
    for row in tables:
        rows, dead, scans = row["rows"], row["dead_rows"], row["scans"]
        if row["heap_bytes"] < LARGE_BYTES:
            continue
        if dead > DEAD_SHARE * (rows + dead):
            reason = f"{dead:,} of {rows + dead:,} rows are dead"
            found.append(
                {"what": f"vacuum {row['quoted']}", "reason": reason, "sql": f"VACUUM (ANALYZE) {row['quoted']}"}
            )
        air = measured.get(row["oid"], _estimated(row)) or 0
        if air > AIRY_SHARE * row["heap_bytes"]:
            reason = (
                f"{air >> 20} of its {row['heap_bytes'] >> 20} MiB are bloat that new rows will fill; if not, "
                "this returns the space and locks the table meanwhile (pg_repack does not)"
            )
            found.append(
                {"what": f"rewrite {row['quoted']}", "reason": reason, "sql": f"VACUUM (FULL, ANALYZE) {row['quoted']}"}
            )
        if scans > 50 and row["scanned_rows"] / scans > SCANNED_ROWS and scans > row["index_scans"]:
            each = row["scanned_rows"] // scans
            reason = f"{scans:,} scans have read {each:,} rows each, and {row['index_scans']:,} used an index"
            found.append({"what": f"look for a missing index of {row['quoted']}", "reason": reason, "sql": None})
    return found


def _of_indexes(indexes: Sequence[Index], threshold: float, measured: Mapping[int, int]) -> list[Recommendation]:
    found, told = list[Recommendation](), set[int]()
    for index, other in duplicates(indexes):
        told.add(index.oid)
        reason = f"it is the same as {other.quoted}"
        found.append(_drop(index, f"drop {index.quoted}", reason))
    for index, other in covered([index for index in indexes if index.oid not in told]):
        if index.bytes >= LARGE_BYTES:
            told.add(index.oid)
            reason = f"{other.quoted} begins with its columns and finds the same rows ({index.bytes >> 20} MiB)"
            found.append(_drop(index, f"drop {index.quoted}", reason))
    for index in [index for index in indexes if index.oid not in told]:
        if is_leftover(index.name) and not index.is_valid and not index.is_being_built:
            found.append(_drop(index, f"drop {index.quoted}", "left by an interrupted build; every write maintains it"))
        elif not index.is_valid and not index.is_being_built:
            reason = "it is invalid: no query uses it, and every write maintains it"
            found.append(
                {
                    "what": f"build {index.quoted} again, or drop it",
                    "reason": reason,
                    "sql": f"REINDEX INDEX CONCURRENTLY {index.quoted}",
                }
            )
        elif index.bytes >= LARGE_BYTES and (_air(index, measured.get(index.oid)) or 0.0) >= threshold:
            source = " by the statistics" if index.oid not in measured else ", as counted"
            reason = f"{_air(index, measured.get(index.oid)):.0%} of it is bloat{source}"
            found.append(
                {
                    "what": f"rebuild {index.quoted}",
                    "reason": reason,
                    "sql": f"REINDEX INDEX CONCURRENTLY {index.quoted}",
                }
            )
        elif index.bytes >= LARGE_BYTES and not index.scans and not index.tuples_read and never_dropped(index) is None:
            reason = f"not scanned since statistics were reset ({index.bytes >> 20} MiB); look at the replicas too"
            found.append(_drop(index, f"drop {index.quoted} if it stays unused", reason))
    return found


def _drop(index: Index, what: str, reason: str) -> Recommendation:
    return {"what": what, "reason": reason, "sql": f"DROP INDEX CONCURRENTLY {index.quoted}"}


def _missing(row: Row) -> Recommendation:
    reason = (
        f"its foreign key {row['name']} has no index: each delete of what it refers to reads {row['bytes'] >> 20} MiB"
    )
    return {"what": f"index {row['quoted']}", "reason": reason, "sql": row["sql"]}


def _estimated(row: Row) -> int | None:
    return None if row["needed_bytes"] is None else max(0, row["heap_bytes"] - row["needed_bytes"])


def _table(row: Row, measured: int | None) -> dict[str, Any]:
    return {
        "table": row["quoted"],
        "table_bytes": row["table_bytes"],
        "index_bytes": row["index_bytes"],
        "rows": row["rows"],
        "dead_rows": row["dead_rows"],
        "air_bytes": _estimated(row) if measured is None else measured,
        "air_is": "estimated" if measured is None else "counted",
        "last_vacuum": None if row["last_vacuum"] is None else row["last_vacuum"].isoformat(),
    }


def _air(index: Index, measured: int | None) -> float | None:
    """The share of air in an index: counted (`measured`, in bytes) where it was, else estimated; None if unknown."""
    return index.air if measured is None else measured / max(1, index.bytes)


def _index(index: Index, measured: int | None) -> dict[str, Any]:
    air = _air(index, measured)
    return {
        "index": index.quoted,
        "bytes": index.bytes,
        "scans": index.scans,
        "air": None if air is None else round(air, 3),
        "air_is": "estimated" if measured is None else "counted",
        "valid": index.is_valid,
    }
