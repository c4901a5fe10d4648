"""Which rows a rule means: its condition as SQL, the order it goes through them in, and how many there are."""

import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg

from jamaint.databases.bookkeeping import Held, held_of
from jamaint.databases.connection import Target, TargetError, TooSlowError, failures_named
from jamaint.databases.rules.where_clause import wrong_condition
from jamaint.databases.search_path import NOTHING, SearchPath, search_for
from jamaint.databases.tables import AGE_TYPES, Column, Table, find_table, leads_an_index
from jamaint.databases.tables import SQL as TABLES
from jamaint.host.sql_files import statements

COUNT_SECONDS = 10.0
"""How long counting may take before the server's estimate has to do."""
CLOCK_SECONDS = 300.0
"""How far our clock and the server's may be apart where a cutoff depends on it."""

UTC_NAMES = frozenset(
    {"UTC", "Etc/UTC", "GMT", "Etc/GMT", "Zulu", "Etc/Zulu", "UCT", "Etc/UCT", "Universal", "Etc/Universal"}
)
SQL = statements("jamaint.databases", "rows")


@dataclass(frozen=True, slots=True)
class Selection:
    """A rule on its table. `condition` is SQL of one truth value, `walk` the columns it is gone through by.

    `whole` means the same as `condition`: it is quicker for a whole table, and slower for a batch. `rule_alone` is
    without regard to rows that are held.
    """

    table: Table
    condition: str
    whole: str
    rule_alone: str
    says: str
    walk: tuple[Column, ...]
    rule: str
    """A mark that is the same for the same rule, whenever it runs."""
    most_rows: int
    cutoff: datetime
    """From when on rows are not old; where no date says what is old, when that was asked."""
    held: Held | None = None
    """Rows that were put back, which `condition` leaves out."""
    path: SearchPath = NOTHING

    @property
    def unreferenced(self) -> str:
        """SQL for that no other row refers to a row."""
        return " AND ".join(
            SQL["unreferenced"].format(
                child=reference.quoted,
                pairs=" AND ".join(
                    f"jamaint_child.{child} = {self.table.quoted}.{own}"
                    for child, own in zip(reference.columns, reference.referred, strict=True)
                )
                + (self._other_row if reference.is_own else ""),
            )
            for reference in self.table.references
        )

    @property
    def _other_row(self) -> str:
        """A row that refers to itself keeps itself from nothing."""
        key = [column.quoted for column in self.table.key]
        there, here = (", ".join(f"{where}.{name}" for name in key) for where in ("jamaint_child", self.table.quoted))
        return f" AND ({there}) <> ({here})"

    @property
    def order(self) -> str:
        """The columns of the walk as SQL."""
        return ", ".join(column.quoted for column in self.walk)

    def after(self, position: Sequence[str] | None, number: int) -> str:
        """SQL for what comes after a position, whose parts are parameters from `number` on."""
        return "true" if position is None else f"({self.order}) > ({self._parts(number)})"

    def up_to(self, number: int) -> str:
        """SQL for what comes up to a position, whose parts are parameters from `number` on."""
        return f"({self.order}) <= ({self._parts(number)})"

    def as_text(self) -> str:
        """SQL for a row's position as a list of texts."""
        return f"ARRAY[{', '.join(f'{column.quoted}::text' for column in self.walk)}]"

    def _parts(self, number: int) -> str:
        return ", ".join(f"${number + index}::text::{column.type}" for index, column in enumerate(self.walk))


@dataclass(frozen=True, slots=True)
class Count:
    """How many rows a rule means, of how many. `exact` is false where the server estimates. `of` None: not known."""

    rows: int
    of: int | None
    exact: bool


async def select(target: Target, rule: Mapping[str, Any], now: datetime, cutoff: datetime | None = None) -> Selection:
    """What a rule of the configuration means on this database; `cutoff` where it is given already. Raises TargetError
    for one that cannot be understood, or whose cutoff is not in the past."""
    table = await find_table(target, rule["table"])
    path = await search_for(target, table.oid)
    if rule.get("where") is not None:
        condition, says, walk = f"(\n{rule['where']}\n)", f"where {rule['where']}", table.key
        cutoff = now
        await _check_condition(target, table, rule["where"])
        mark = {"where": rule["where"]}
    else:
        column = _age_column(table, rule)
        cutoff = _cutoff(target, rule["older_than_seconds"], now) if cutoff is None else cutoff
        zone = _zone_of(target, table, column, rule.get("timezone"))
        condition, says = _older_than(column, cutoff, zone)
        by_age = await leads_an_index(target.watch, table.oid, column.name)
        others = tuple(each for each in table.key if each.name != column.name)
        walk = (column, *others) if by_age else table.key
        mark = {"age_column": column.name, "older_than": rule["older_than_seconds"], "by_age": by_age}
        mark |= {} if rule.get("timezone") is None else {"timezone": zone}
    digest = hashlib.sha256(json.dumps([mark, [each.name for each in walk]], sort_keys=True).encode()).hexdigest()
    held, whole, alone = await held_of(target.watch, table.oid), condition, condition
    if held is not None:
        key = ", ".join(f"{table.quoted}.{column.quoted}::text" for column in table.key)
        whole = f"{condition} AND {SQL['none_held'].format(oid=table.oid, key=key)}"
        condition = f"{condition} AND {SQL['not_held'].format(oid=table.oid, key=key)}"
    return Selection(table, condition, whole, alone, says, walk, digest[:16], rule["batch_size"], cutoff, held, path)


async def count(target: Target, selection: Selection, least: int = 0) -> Count:
    """Counts what is meant, within bounds: first the server's estimate, then the rows, if that is quick enough; and the
    whole table where more than `least` are meant, of which the share is asked."""
    table = selection.table
    held = 0 if selection.held is None else selection.held.rows  # the server has no figures of which rows they are
    estimate = max(0, await _estimate(target, table, selection.rule_alone) - held)
    try:
        rows, exact = await _count(target, table, selection.whole), True
    except TooSlowError:
        rows, exact = estimate, False
    of = await _whole(target, table, exact and (rows > least or table.rows is None))
    return Count(rows, None if of is None else max(of, rows), exact)


async def _whole(target: Target, table: Table, is_counted: bool) -> int | None:
    """How many rows the table has: counted, if that is quick enough; else the least of what the server reckons with,
    since what was deleted after the last ANALYZE is in the other figures still. None: nothing is known."""
    if is_counted:
        with contextlib.suppress(TooSlowError):
            return await _count(target, table, "true")
    if table.rows is None:
        return None
    live: int | None = await target.watch.fetchval(TABLES["live_rows"], table.oid)
    scaled = await _estimate(target, table, "true")
    return min(scaled, live or scaled)


async def count_referred(target: Target, selection: Selection) -> int | None:
    """How many of them others refer to now; None where that takes too long to count."""
    if not selection.table.references:
        return 0
    try:
        return await _count(target, selection.table, f"{selection.whole} AND NOT ({selection.unreferenced})")
    except TooSlowError:
        return None


async def sample(target: Target, selection: Selection) -> tuple[Mapping[str, Any], ...]:
    """The first rows that are meant, for a person to look at: by their key, and how large they are."""
    table = selection.table
    key = ", ".join(f"{column.quoted}::text" for column in table.key)
    sql = SQL["sample"].format(key=key, table=table.quoted, condition=selection.condition)
    try:
        async with _reading(target, COUNT_SECONDS):
            rows = await target.work.fetch(sql)
    except TooSlowError:
        return ()
    names = [column.name for column in table.key]
    return tuple(
        {"path": f"{table.quoted} {_named(names, row['key'])}", "bytes": int(row["bytes"] or 0)} for row in rows
    )


def _named(names: Sequence[str], values: Sequence[str]) -> str:
    return " ".join(f"{name}={value}" for name, value in zip(names, values, strict=True))


async def _check_condition(target: Target, table: Table, where: str) -> None:
    wrong = wrong_condition(where)
    if wrong is None:
        try:
            async with _reading(target, COUNT_SECONDS):
                await target.work.fetch(SQL["explain"].format(table=table.quoted, condition=f"(\n{where}\n)"))
        except TargetError as error:
            cause = error.__cause__
            if not isinstance(
                cause, asyncpg.SyntaxOrAccessError | asyncpg.DataError | asyncpg.FeatureNotSupportedError
            ):
                raise
            wrong = str(cause).splitlines()[0]
    if wrong is not None:
        raise TargetError(
            f"the condition for {table.quoted} is not valid ({wrong}): it stands after WHERE, and names of types and "
            "functions of your own need their schema before them"
        )


def _age_column(table: Table, rule: Mapping[str, Any]) -> Column:
    column = table.column(rule["age_column"])
    if column is None:
        there = ", ".join(each.name for each in table.columns if each.base in AGE_TYPES) or "none"
        raise TargetError(f"{table.quoted} has no column {rule['age_column']} (of dates and times it has: {there})")
    if column.base not in AGE_TYPES:
        raise TargetError(
            f"{table.quoted}.{column.name} is {column.type}, which is no date or time: say what is old with `where`"
        )
    return column


def _cutoff(target: Target, seconds: float, now: datetime) -> datetime:
    """Raises TargetError when it cannot be trusted."""
    apart = abs((target.identity.now - now).total_seconds())
    if apart > CLOCK_SECONDS:
        raise TargetError(
            f"the clock of the database's server is {apart:.0f} s away from ours: which rows are old is not certain",
            "refused",
        )
    cutoff = min(now, target.identity.now) - timedelta(seconds=seconds)
    if seconds <= 0 or cutoff >= target.identity.now:
        raise TargetError("the cutoff is not in the past, so all rows would be old", "refused")
    return cutoff


def _zone_of(target: Target, table: Table, column: Column, given: str | None) -> str | None:
    """The zone of the column's times, None where they have their own. Raises TargetError where it cannot be known: an
    application that writes UTC to a server with a local zone would have the rows of the last hours deleted."""
    if column.base == "timestamp with time zone":
        if given is not None:
            raise TargetError(f"{table.quoted}.{column.name} has its zone in it: leave `timezone` out", "refused")
        return None
    theirs = target.identity.timezone
    if given is None and theirs not in UTC_NAMES:
        raise TargetError(
            f"in which zone {table.quoted}.{column.name} is written is not known: it is {column.type}, and the zone "
            f"of the server's sessions is {theirs}. Say `timezone: UTC` (what most frameworks write) or `timezone: "
            f"{theirs}` beside age_column",
            "refused",
        )
    return given or theirs


def _older_than(column: Column, cutoff: datetime, zone: str | None) -> tuple[str, str]:
    """The condition and how it is told."""
    named = "NULL" if zone is None else "'" + zone.replace("'", "''") + "'"
    literal = AGE_TYPES[column.base].format(cutoff=f"'{cutoff.isoformat()}'", zone=named)
    # -infinity means "always", not "old". The planner reckons a third of all rows with a function, such as isfinite().
    condition = f"({column.quoted} < {literal} AND {column.quoted} > '-infinity')"
    return condition, f"whose {column.name} is before {cutoff:%Y-%m-%d %H:%M:%S} UTC{_local(cutoff, zone)}"


def _local(cutoff: datetime, zone: str | None) -> str:
    """The cutoff as it is compared with a column without a zone."""
    if zone is None:
        return ""
    try:
        return f", which is {cutoff.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S} in the zone {zone}"
    except (KeyError, ValueError):  # one that only the server knows
        return f", in the zone {zone}"


async def _estimate(target: Target, table: Table, condition: str) -> int:
    sql = SQL["estimate"].format(table=table.quoted, condition=condition)
    async with _reading(target, COUNT_SECONDS):
        plan = await target.work.fetchval(sql)
    return int(json.loads(plan)[0]["Plan"]["Plan Rows"])


async def _count(target: Target, table: Table, condition: str) -> int:
    async with _reading(target, COUNT_SECONDS):
        return int(await target.work.fetchval(SQL["count"].format(table=table.quoted, condition=condition)))


@asynccontextmanager
async def _reading(target: Target, seconds: float) -> AsyncIterator[None]:
    """A transaction of `work` that can write nothing, and whose statements take no longer than that."""
    with failures_named(target.identity.database):
        async with target.work.transaction(readonly=True):
            await target.work.execute(SQL["within"].format(milliseconds=round(seconds * 1000)))
            yield
