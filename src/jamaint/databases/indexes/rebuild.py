"""Rebuilds indexes that are full of air, concurrently and the worst first, without anybody noticing."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jamaint.core.plans import Step
from jamaint.databases.bookkeeping import alone_on, check_notebook
from jamaint.databases.connection import Target, TargetError
from jamaint.databases.indexes.build import Build, build, clear_builds, open_builds
from jamaint.databases.indexes.catalog import SQL, analyze, around, exact_air, indexes_of, space_missing
from jamaint.databases.pacing import Doing, StatementControl
from jamaint.databases.rules.indexes import LEAST_BYTES, WRAPAROUND_AGE, Index, why_not_rebuild
from jamaint.databases.rules.ownership import NotOwned, why_nothing

NAME = "index_optimization"
BYTES_PER_SECOND = 20 << 20
"""What a rebuild is reckoned with before one has been measured."""
REST_SECONDS = 5.0
"""At most, after each index: as long as it took."""
LATE_FACTOR = 2.0
"""A rebuild begins only if twice the time it is reckoned to take is left of the window."""
SAYS_NOTHING = "A rebuilt index is equivalent to the old one, so there is nothing to undo."


@dataclass(frozen=True, slots=True)
class Rule:
    """From which share of air (0..1) an index is rebuilt; whether those over expressions are too."""

    threshold: float
    with_expressions: bool


async def plan(target: Target, rule: Rule, only: frozenset[int] | None) -> tuple[Step, list[str]]:
    """The step, with the indexes that would be rebuilt as they look now; and what is left alone and why. With
    `only`, no others than those oids."""
    await check_notebook(target)
    everything, warnings = await around(target), list[str]()
    found = [
        (index, air) for index in await indexes_of(target) if (air := index.air) is not None and _is_full(air, rule)
    ]
    found.sort(key=lambda pair: -pair[1] * pair[0].bytes)
    chosen, blocked = list[tuple[Index, float]](), list[NotOwned]()
    for index, air in found:
        why = _why_not(index, everything.age, target, rule) or space_missing(index, everything)
        if only is not None and index.oid not in only:
            continue
        if why is None:
            chosen.append((index, air))
        elif index.bytes >= LEAST_BYTES:
            if not index.is_owner:
                blocked.append(NotOwned(index.quoted, index.table_quoted, index.owner))
            warnings.append(f"{index.quoted} is not rebuilt: {why}")
    if everything.data_directory is None and chosen:
        warnings.append("the disk of the server cannot be seen from here: each rebuild takes up to twice the index")
    size = sum(index.bytes for index, _ in chosen)
    gain = sum(round(index.bytes * air) for index, air in chosen)
    says = (
        f"Rebuild {len(chosen)} indexes concurrently with more than {rule.threshold:.0%} air, which would free about "
        f"{gain >> 20} MiB. {SAYS_NOTHING}"
    )
    sample = [{"path": f"{index.quoted} ({air:.0%} air)", "bytes": index.bytes} for index, air in chosen[:10]]
    args: dict[str, Any] = {
        "things": [{"oid": index.oid, "name": index.quoted, "bytes": index.bytes} for index, _ in chosen]
    }
    if blocked and not chosen:
        args["may_not"] = why_nothing("rebuilt", blocked, target.identity.role)
    return Step(NAME, says, args, None, len(chosen), size, tuple(sample), independent=True), warnings


async def run(doing: Doing, rule: Rule) -> None:
    """Rebuilds what was planned, as far as it still needs it. Raises TargetError, and what the host raises to stop."""
    target, reins, step, tally = doing.target, doing.reins, doing.step, doing.tally
    tally |= {"indexes": [], "rebuilt": 0, "freed_space": 0, "skipped": [], "skipped_count": 0}
    await open_builds(target)
    for dropped in await clear_builds(target, reins):
        reins.host.log("info", f"dropped {dropped}, left by an interrupted build of jamaint")
    pace = _Pace(step.bytes)
    for entry in step.args["things"]:
        await reins.checkpoint()
        size = 0
        try:
            size = await _one(doing, rule, entry, pace)
        except TargetError as failure:
            if failure.kind == "lost":
                raise
            doing.skip(entry["name"], failure.message)
        pace.done += size
        reins.host.progress(pace.done, step.bytes or None, "bytes")
    doing.check_rights()


@dataclass(slots=True)
class _Pace:
    """How far they are, of `total` bytes, and how fast rebuilds have been."""

    total: int
    done: int = 0
    bytes: int = 0
    seconds: float = 0.0

    def seconds_for(self, size: int) -> float:
        rate = self.bytes / self.seconds if self.seconds > 1 else BYTES_PER_SECOND
        return size / rate


async def _one(doing: Doing, rule: Rule, entry: Mapping[str, Any], pace: _Pace) -> int:
    """One index, looked at again; its size as far as the progress is concerned."""
    target, reins = doing.target, doing.reins
    found = await indexes_of(target, entry["oid"])
    if not found:
        doing.skip(entry["name"], "it was dropped or rebuilt by somebody else meanwhile")
        return 0
    (index,) = found
    async with alone_on(target, index.table_oid, index.table_quoted):
        await analyze(target, index.table_quoted, reins)
        (index,) = await indexes_of(target, index.oid) or (index,)
        air, why = await _confirmed(target, rule, index)
        everything = await around(target)
        why = why or _why_not(index, everything.age, target, rule) or space_missing(index, everything)
        why = why or _too_late(reins, pace.seconds_for(index.bytes))
        why = why or await reins.wait_for_others(index.table_oid)
        if why is not None:
            doing.skip(index.quoted, why)
            return index.bytes
        await target.check_primary()
        began = time.monotonic()
        total = (pace.done, index.bytes, pace.total)
        sql = SQL["reindex"].format(index=index.quoted)
        await build(target, Build(index.table_oid, index.name, index.quoted, sql, doing.execution, total), reins)
        seconds = time.monotonic() - began
        await analyze(target, index.table_quoted, reins)
    pace.bytes, pace.seconds = pace.bytes + index.bytes, pace.seconds + seconds
    after = next((one.bytes for one in await indexes_of(target) if one.quoted == index.quoted), index.bytes)
    doing.tally["rebuilt"] += 1
    doing.tally["freed_space"] += index.bytes - after
    doing.tally["indexes"].append(
        {
            "index": index.quoted,
            "bytes_before": index.bytes,
            "bytes_after": after,
            "air": round(air, 3),
            "seconds": round(seconds, 1),
        }
    )
    await reins.rest(min(seconds, REST_SECONDS))
    return index.bytes


async def _confirmed(target: Target, rule: Rule, index: Index) -> tuple[float, str | None]:
    """How much air there is by fresh statistics, or counted where that is possible; and why it is not enough."""
    air = await exact_air(target, index)
    air = index.air if air is None else air
    if air is None or not _is_full(air, rule):
        share = "not known" if air is None else f"{air:.0%}"
        return air or 0.0, f"a second look found less bloat in it ({share}) than the statistics had told"
    return air, None


def _is_full(air: float, rule: Rule) -> bool:
    return air >= rule.threshold


def _why_not(index: Index, age: int, target: Target, rule: Rule) -> str | None:
    if age > WRAPAROUND_AGE:
        return f"the database is {age:,} transactions old: VACUUM it before anything else"
    if index.bytes < LEAST_BYTES:
        return f"it is smaller than {LEAST_BYTES >> 20} MiB"
    return why_not_rebuild(index, target.identity.version, rule.with_expressions)


def _too_late(reins: StatementControl, seconds: float) -> str | None:
    left = reins.left_seconds()
    if seconds * LATE_FACTOR <= left:
        return None
    return f"it would take about {seconds:.0f} s, and {max(0.0, left):.0f} s of the window are left: next time"
