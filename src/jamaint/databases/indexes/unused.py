"""Indexes that nobody uses: noted, watched, dropped with their definition kept, and built again if they are missed."""

import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from jamaint.core.plans import Step
from jamaint.databases.bookkeeping import alone_on, make_notes, publication
from jamaint.databases.connection import Row, Target, TargetError, failures_named
from jamaint.databases.indexes.build import Build, build, clear_builds, drop, open_builds
from jamaint.databases.indexes.catalog import around, indexes_of
from jamaint.databases.pacing import Doing, StatementControl
from jamaint.databases.rules.indexes import UNUSED_BYTES, Index, Noted, never_dropped, why_not_drop
from jamaint.databases.rules.ownership import NotOwned, why_nothing
from jamaint.host.sql_files import statements

NAME = "unused_indexes"
WATCH_DAYS = 14
"""For so long it is watched how its table is read without it."""
READ_FACTOR, LEAST_ROWS = 2.0, 100_000
"""So many times more rows read one after the other in a day than before, and at least so many: it is missed."""
LEAST_SHARE, MOSTLY_SCANNED = 0.05, 0.9
"""Shares of a table's scans that read it whole: below the one no index is missed, from the other nothing is known."""
_CREATE = re.compile(r"^CREATE INDEX ")

_SQL = statements("jamaint.databases", "unused")


async def plan(
    target: Target, execution: str, now: datetime, keeps_way_back: bool, only: frozenset[int] | None
) -> tuple[Step, list[str]]:
    """The step: which indexes would go now, which are only noted, and until when they are watched. With
    `only`, no others than those oids would go."""
    found, warnings = await _judged(target, now), list[str]()
    ready = [index for index, why in found if why is None and (only is None or index.oid in only)]
    watched = [f"{index.quoted}: {why}" for index, why in found if why is not None and _is_candidate(index)]
    size = sum(index.bytes for index in ready)
    says = (
        f"Drop {len(ready)} indexes concurrently that have not been used, and record {len(watched)} that may be next."
    )
    if keeps_way_back:
        says += f" Definitions are kept; an index that is needed within {WATCH_DAYS} days is rebuilt automatically."
    warnings += [f"an unused index is kept for now: {line}" for line in watched[:10]]
    sample = tuple({"path": index.quoted, "bytes": index.bytes} for index in ready[:10])
    undo = {"execution": execution} if keeps_way_back else None
    args: dict[str, Any] = {
        "things": [{"oid": index.oid, "name": index.quoted, "bytes": index.bytes} for index in ready]
    }
    large = [index for index, _ in found if _is_candidate(index) and index.bytes >= UNUSED_BYTES]
    blocked = [NotOwned(one.quoted, one.table_quoted, one.owner) for one in large if not one.is_owner]
    if blocked and len(blocked) == len(large):
        args["may_not"] = why_nothing("dropped or watched", blocked, target.identity.role)
    return Step(NAME, says, args, undo, len(ready), size, sample, independent=True), warnings


async def run(doing: Doing) -> None:
    """Builds again what is missed, drops what was planned and still may go, and notes the rest."""
    target, reins, tally = doing.target, doing.reins, doing.tally
    tally |= {"dropped": [], "built_again": [], "noted": 0, "freed_space": 0, "skipped": [], "skipped_count": 0}
    await open_builds(target)
    with failures_named(target.identity.database):
        await target.work.execute(_SQL["create_dropped"])
        await make_notes(target.work, _SQL["create_noted"])
    await clear_builds(target, reins)
    await _finish_drops(target, reins)
    await _look_after_dropped(doing)
    planned = {entry["oid"] for entry in doing.step.args["things"]}
    for index, against in await _judged(target, doing.now):
        await reins.checkpoint()
        if against is None and index.oid in planned:
            why = await _drop(doing, index)
            if why is not None:
                doing.skip(index.quoted, why)
        elif _is_candidate(index):
            tally["noted"] += 1
            with failures_named(target.identity.database):
                await target.work.execute(_SQL["note"], index.table_oid, index.name, doing.now, index.scans)
    doing.check_rights()


async def undo(target: Target, step: Step, reins: StatementControl, dry_run: bool) -> dict[str, Any]:
    """Builds again, concurrently, what the execution has dropped."""
    answer: dict[str, Any] = {"restored": 0, "removed": 0, "kept": [], "problems": [], "unit": "item"}
    with failures_named(target.identity.database):
        if not await target.work.fetchval(_SQL["exists"]):
            return answer
        rows = await target.work.fetch(_SQL["of_execution"], (step.undo or {})["execution"])
    published = await publication(target.watch)
    for row in rows:
        if published is not None and not dry_run:
            why = (
                f"noting it would stop the subscribers of publication {published}: drop that, or build it by hand: "
                f"{row['definition']}"
            )
            answer["problems"].append({"path": row["quoted"], "why": why})
            continue
        try:
            answer["restored"] += await _back(target, row, reins, dry_run)
        except TargetError as failure:
            if failure.kind == "lost":
                raise
            answer["problems"].append({"path": row["quoted"], "why": failure.message})
    return answer


async def purge(target: Target, step: Step) -> dict[str, Any]:
    """Forgets the definitions."""
    with failures_named(target.identity.database):
        if await target.work.fetchval(_SQL["exists"]):
            await target.work.execute(_SQL["let_go"], (step.undo or {})["execution"])
    return {"freed_space": 0, "items": 0}


async def _judged(target: Target, now: datetime) -> list[tuple[Index, str | None]]:
    """Every index that does nothing but be scanned, and why it stays (None: it may go)."""
    indexes, everything = await indexes_of(target), await around(target)
    noted = await _noted(target)
    return [
        (
            index,
            why_not_drop(
                index, everything.replicas, noted.get((index.table_oid, index.name)), now, everything.counting_since
            ),
        )
        for index in indexes
        if never_dropped(index) is None
    ]


def _is_candidate(index: Index) -> bool:
    return index.is_valid and not index.scans and not index.tuples_read and never_dropped(index) is None


async def _noted(target: Target) -> dict[tuple[int, str], Noted]:
    with failures_named(target.identity.database):
        if not await target.watch.fetchval(_SQL["exists"]):
            return {}
        rows = await target.watch.fetch(_SQL["noted"])
    return {(row["relation"], row["name"]): Noted(row["since"], row["looks"], row["scans"]) for row in rows}


async def _drop(doing: Doing, index: Index) -> str | None:
    """Why it was not dropped; None if it was."""
    target, reins, tally = doing.target, doing.reins, doing.tally
    published = await publication(target.watch)
    if published is not None:
        return f"what builds it again would be sent to the subscribers of publication {published}, which would stop"
    if await reins.is_over():
        return "the window has ended: continued next time"
    why = await reins.wait_for_others(index.table_oid)
    if why is not None:
        return why
    state = "gone" if doing.step.undo is None else "watched"
    try:
        async with alone_on(target, index.table_oid, index.table_quoted):
            with failures_named(target.identity.database):
                about = await target.work.fetchrow(_SQL["about"], index.oid)
                reading = await target.work.fetchrow(_SQL["reading"], index.table_oid)
                if about is None or reading is None:
                    return "it is gone"
                await target.work.execute(
                    _SQL["keep"],
                    doing.execution,
                    index.table_oid,
                    index.table_quoted,
                    index.name,
                    index.quoted,
                    index.definition,
                    about["comment"],
                    about["tablespace"],
                    about["statistics"],
                    index.bytes,
                    doing.now,
                    json.dumps(dict(reading)),
                )
            await drop(target, index.quoted, index.table_oid, reins)
            with failures_named(target.identity.database):
                await target.work.execute(_SQL["move"], doing.execution, index.quoted, state)
                await target.work.execute(_SQL["forget"], index.table_oid, index.name)
    except TargetError as failure:
        if failure.kind == "lost":
            raise
        return failure.message
    tally["dropped"].append({"index": index.quoted, "bytes": index.bytes, "definition": index.definition})
    tally["freed_space"] += index.bytes
    return None


async def _finish_drops(target: Target, reins: StatementControl) -> None:
    """Ends what an execution was doing when it was killed: a drop that has begun is finished, for its index is of no
    use any more; one that has not is forgotten."""
    with failures_named(target.identity.database):
        rows = await target.work.fetch(_SQL["half_dropped"])
    for row in rows:
        if row["is_valid"] is False:
            await drop(target, row["quoted"], row["relation"], reins)
        with failures_named(target.identity.database):
            if row["is_valid"]:
                await target.work.execute(_SQL["unkeep"], row["execution"], row["quoted"])
            else:
                await target.work.execute(_SQL["move"], row["execution"], row["quoted"], "watched")


async def _look_after_dropped(doing: Doing) -> None:
    """Builds again what its table is read worse without; what nobody has missed for long enough is settled."""
    target, reins, now = doing.target, doing.reins, doing.now
    with failures_named(target.identity.database):
        rows = await target.work.fetch(_SQL["watched"])
    for row in rows:
        with failures_named(target.identity.database):
            reading = await target.work.fetchrow(_SQL["reading"], row["relation"])
        if reading is not None and _is_missed(json.loads(row["baseline"]), dict(reading), now - row["dropped_at"]):
            await _back(target, row, reins, dry_run=False)
            why = "its table is read from end to end since it is gone"
            doing.tally["built_again"].append({"index": row["quoted"], "why": why})
            reins.host.log("warning", f"{row['quoted']} is needed and was rebuilt")
        elif now - row["dropped_at"] > timedelta(days=WATCH_DAYS):
            with failures_named(target.identity.database):
                await target.work.execute(_SQL["move"], row["execution"], row["quoted"], "settled")


def _is_missed(before: Mapping[str, int], now: Mapping[str, int], since: timedelta) -> bool:
    """Whether the table is read from end to end much more than it was, compared with what indexes still answer."""
    rows, scans = now["rows"] - before["rows"], now["scans"] - before["scans"]
    if rows < LEAST_ROWS or scans <= 0 or since <= timedelta(0):
        return False
    share_before = before["scans"] / max(1, before["scans"] + before["index_scans"])
    share_now = scans / max(1, scans + now["index_scans"] - before["index_scans"])
    if share_before >= MOSTLY_SCANNED:  # dumps read such a table as its queries do: no share of scans tells more
        return False
    return share_now > min(MOSTLY_SCANNED, max(LEAST_SHARE, READ_FACTOR * share_before))


async def _back(target: Target, row: Row, reins: StatementControl, dry_run: bool) -> int:
    """Builds an index again; 1 if that was needed. Raises TargetError when it cannot be."""
    with failures_named(target.identity.database):
        there = await target.work.fetchrow(_SQL["there"], row["quoted"])
        has_table = await target.work.fetchval(_SQL["table_there"], row["relation"])
    if there is not None and there["is_valid"]:
        if there["definition"] != row["definition"]:
            raise TargetError(f"another index has its name now: {there['definition']}")
        if not dry_run:
            await _settle(target, row)
        return 0
    if not has_table:
        raise TargetError(f"its table {row['table_name']} is gone")
    if dry_run:
        return 1
    async with alone_on(target, row["relation"], row["table_name"]):
        if there is not None and row["state"] == "dropping":  # killed in the midst of it
            await drop(target, row["quoted"], row["relation"], reins)
        await _build_again(target, row, reins)
        await _settle(target, row)
    return 1


async def _build_again(target: Target, row: Row, reins: StatementControl) -> None:
    async def prepare() -> None:
        with failures_named(target.identity.database):
            place = await target.work.fetchval(_SQL["quote"], row["tablespace"] or "")
            await target.work.execute(_SQL["tablespace"].format(tablespace=place))

    await open_builds(target)
    sql = _CREATE.sub("CREATE INDEX CONCURRENTLY ", row["definition"])
    total = (0, row["bytes"], row["bytes"])
    one = Build(row["relation"], row["name"], row["quoted"], sql, row["execution"], total)
    await build(target, one, reins, prepare)


async def _settle(target: Target, row: Row) -> None:
    """What the definition did not say, and that it is back."""
    with failures_named(target.identity.database):
        if row["comment"] is not None:
            text = await target.work.fetchval(_SQL["quote"], row["comment"])
            await target.work.execute(_SQL["comment"].format(index=row["quoted"], text=text))
        for number, statistics in json.loads(row["statistics"]).items():
            sql = _SQL["statistics"].format(index=row["quoted"], number=int(number), target=int(statistics))
            await target.work.execute(sql)
        await target.work.execute(_SQL["move"], row["execution"], row["quoted"], "back")
        await target.work.execute(_SQL["tablespace"].format(tablespace="''"))
