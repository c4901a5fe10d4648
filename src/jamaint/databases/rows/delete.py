"""Deletes old rows in batches, each its own transaction: what goes is kept in it, and how far it is stands in it."""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from jamaint.databases.bookkeeping import NOTES, SCHEMA, alone_on, clear_cursor, cursor_of, move_cursor, share
from jamaint.databases.connection import LockTimeoutError, Target, TargetError, TooSlowError, failures_named
from jamaint.databases.pacing import SQL as VITALS
from jamaint.databases.pacing import StatementControl
from jamaint.databases.rows.selection import SQL, Selection
from jamaint.databases.rules.batch_size import FIRST_ROWS, next_size, smaller
from jamaint.databases.tables import shape_of, sizes

BATCH_SECONDS = 15.0
"""How long one statement of a batch may take."""
PAUSES = (1.0, 5.0, 15.0, 30.0, 60.0)
"""Between tries of a batch that met somebody's lock."""
VACUUM_SHARE = 0.2
"""Of a table's rows: so many dead ones, and it is vacuumed before more follow; autovacuum begins there too."""
VACUUM_AT_END_SHARE = 0.02
LONG_SECONDS = 30 * 86400.0
_NOT_NAME = re.compile(r"[^a-z0-9]+")
_KEPT = re.compile(rf"{SCHEMA}\.kept_[a-z0-9]*_[0-9]+")


@dataclass(slots=True)
class Deleted:
    """What became of one rule. Bytes are of the server's files; `why_left` tells why the rest waits."""

    planned: int = 0
    rows: int = 0
    referred: int = 0
    batches: int = 0
    kept_bytes: int = 0
    returned_bytes: int = 0
    reclaimable_bytes: int = 0
    is_vacuumed: bool = False
    why_left: str | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def left(self) -> int:
        """How many of the planned rows wait for another execution."""
        return max(0, self.planned - self.rows) if self.why_left is not None else 0


def kept_table(execution: str, number: int) -> str:
    """Where the rows of an execution's rule go: a name that needs no quotes."""
    return f"{SCHEMA}.kept_{_NOT_NAME.sub('', execution.lower())[:40]}_{number}"


def is_kept_table(name: str) -> bool:
    """Whether it is the name of such a table."""
    return _KEPT.fullmatch(name) is not None


@dataclass(slots=True)
class Deletion:
    """One rule under way. `kept` None: rows go for good. `most` rows may go, None if there is no bound."""

    target: Target
    selection: Selection
    task: str
    kept: str | None
    most: int | None
    reins: StatementControl
    done_before: int = 0
    done_total: int = 0
    found: Deleted = field(default_factory=Deleted)
    _unvacuumed: int = 0
    _is_long: bool = False
    """The file has been vacuumed without being shortened."""

    async def run(self) -> Deleted:
        """Deletes what the rule means until it is through, the window ends, or others need the server. Raises
        TargetError, and what the host raises to stop; what has been committed stands in `found` in any case."""
        table = self.selection.table
        async with alone_on(self.target, table.oid, table.quoted):
            before = await sizes(self.target.watch, table.oid)
            if self.kept is not None:
                with failures_named(self.target.identity.database):
                    await self.target.work.execute(SQL["make_kept"].format(kept=self.kept, table=table.quoted))
                    await share(self.target.work, table.oid, self.kept)
            await self.target.set_timeouts(BATCH_SECONDS)
            try:
                await self._go_round()
            finally:
                await self._reckon(before)
            await self._drop_if_empty()
            if self._is_long or self._unvacuumed > VACUUM_AT_END_SHARE * (table.rows or 0):
                await self._vacuum()
                await self._reckon(before)
        return self.found

    async def _drop_if_empty(self) -> None:
        if self.kept is not None and not self.found.rows:
            with failures_named(self.target.identity.database):
                if await self.target.work.fetchval(SQL["kept_is_empty"].format(kept=self.kept)):
                    await self.target.work.execute(SQL["drop_kept"].format(kept=self.kept))
                    self.found.kept_bytes = 0

    async def _go_round(self) -> None:
        """Goes through the table; again as long as rows went to which only rows had referred that are gone now."""
        refers_to_itself = any(reference.is_own for reference in self.selection.table.references)
        while True:
            went, self.found.referred = self.found.rows, 0
            await self._go_through()
            again = refers_to_itself and self.found.referred and self.found.rows > went
            if not again or self.found.why_left is not None:
                return

    async def _go_through(self) -> None:
        table, most_rows = self.selection.table, self.selection.most_rows
        position = await cursor_of(self.target.work, self.task, table.oid, self.selection.rule)
        size, tries = min(FIRST_ROWS, most_rows), 0
        while True:
            await self.reins.checkpoint()
            self.found.why_left = await self._why_not_now()
            if self.found.why_left is not None:
                return
            try:
                taken, held, following, seconds = await self.reins.drive(lambda: self._timed(position, size))  # noqa: B023
            except (LockTimeoutError, TooSlowError) as error:
                if tries == len(PAUSES):
                    raise TargetError(f"{table.quoted}: gave up after {tries + 1} tries: {error}") from error
                self.reins.host.log("info", f"{table.quoted}: {error}; tries again in {PAUSES[tries]:g} s")
                self.reins.host.waiting(str(error))
                await self.reins.rest(PAUSES[tries])
                size, tries = smaller(size, most_rows), tries + 1
                continue
            tries, position = 0, following
            self._note(taken, held)
            size = next_size(size, seconds, most_rows)
            if following is None:
                return
            if self._unvacuumed > VACUUM_SHARE * (table.rows or self._unvacuumed):
                await self._vacuum("vacuum_between")
                self._is_long = True
            await self.reins.rest_after(seconds)

    async def _why_not_now(self) -> str | None:
        if await self.reins.is_over():
            return "the window has ended: continued in the next one"
        why = await self.reins.wait_for_others(self.selection.table.oid, in_batches=True)
        return None if why is None else f"{why}: continued next time"

    def _check_bound(self, taken: int) -> None:
        """To be called before a batch is committed."""
        if self.most is not None and self.found.rows + taken > self.most:
            raise TargetError(
                f"{self.selection.table.quoted}: stopped after {self.found.rows} rows: its condition means more rows "
                f"now than when it was planned, and mass_deletion allows {self.most}",
                "refused",
            )

    def _note(self, taken: int, held: int) -> None:
        self.found.rows += taken
        self.found.referred += held - taken
        self.found.batches += 1
        self._unvacuumed += taken
        self.reins.host.progress(self.done_before + self.found.rows, self.done_total or None, "rows")

    async def _timed(self, position: Sequence[str] | None, size: int) -> tuple[int, int, list[str] | None, float]:
        """As `_take`, with the seconds it took: a pause that it began anew after is none of them."""
        began = time.monotonic()
        return *await self._take(position, size), time.monotonic() - began

    async def _take(self, position: Sequence[str] | None, size: int) -> tuple[int, int, list[str] | None]:
        """One batch: how many rows went, how many were meant, and where the next begins (None: there is none)."""
        selection, table, work = self.selection, self.selection.table, self.target.work
        start = list(position or ())
        with failures_named(self.target.identity.database), retried():
            async with work.transaction():
                await self._check_shape()
                await self._check_published()
                bound = await work.fetchval(
                    SQL["bound"].format(
                        position=selection.as_text(),
                        table=table.quoted,
                        after=selection.after(position, 1),
                        bounded=selection.condition if selection.walk[0] not in table.key else "true",
                        order=selection.order,
                        offset=size - 1,
                    ),
                    *start,
                )
                parts = {
                    "table": table.quoted,
                    "kept": self.kept,
                    "after": selection.after(position, 1),
                    "until": "true" if bound is None else selection.up_to(len(start) + 1),
                    "condition": selection.condition,
                }
                values = [*start, *(bound or ())]
                held = await work.fetchval(SQL["hold"].format(**parts), *values) if table.references else 0
                if table.references:
                    parts["condition"] = f"{selection.condition} AND {selection.unreferenced}"
                take = SQL["take" if self.kept is not None else "take_for_good"].format(**parts)
                taken = await work.fetchval(take, *values)
                self._check_bound(taken)
                if bound is None:
                    await clear_cursor(work, self.task, table.oid, selection.rule)
                else:
                    await move_cursor(work, self.task, table.oid, selection.rule, bound)
                await self._check_shape()  # and now that nobody can change it
        return taken, max(held, taken), bound

    async def _check_published(self) -> None:
        if not await self.target.work.fetchval(NOTES["writes_are_published"], self.kept):
            return
        raise TargetError(
            f"{self.selection.table.quoted}: a publication FOR ALL TABLES was made meanwhile, whose subscribers would "
            "stop at what is written in the schema jamaint: the rest waits for the next execution, which sees to it",
            "refused",
        )

    async def _check_shape(self) -> None:
        if await shape_of(self.target.work, self.selection.table.oid) != self.selection.table.shape:
            raise TargetError(
                f"the columns of {self.selection.table.quoted} were changed meanwhile: this batch was taken back, and "
                "the rest waits for the next execution"
            )

    async def _vacuum(self, statement: str = "vacuum") -> None:
        """So that the dead rows' space is used again, and the statistics tell of what is left."""
        table, self._unvacuumed = self.selection.table, 0
        if not table.may_vacuum:
            note = f"{table.quoted} was not vacuumed: it is {table.owner}'s; autovacuum will come to it"
            if note not in self.found.notes:
                self.found.notes.append(note)
            return
        if await self.reins.is_over():
            return
        await self.target.set_timeouts(0)
        try:
            with failures_named(self.target.identity.database):
                sql = SQL[statement].format(table=table.quoted)
                await self.reins.drive(lambda: self.target.work.execute(sql, timeout=LONG_SECONDS), self._look)
            self.found.is_vacuumed = True
        except (LockTimeoutError, TooSlowError) as error:
            self.found.notes.append(f"{table.quoted} was not vacuumed: {error}")
        finally:
            if not self.target.work.is_closed():
                await self.target.set_timeouts(BATCH_SECONDS)

    async def _look(self) -> None:
        row = await self.target.watch.fetchrow(VITALS["vacuum_progress"], self.target.pids[0])
        if row is not None and row["total"]:
            self.reins.host.progress(self.done_before + self.found.rows, self.done_total or None, "rows")

    async def _reckon(self, before: tuple[int, int]) -> None:
        """What is free for others now, and what can only be used again by this table; estimated where no connection is
        left to ask."""
        rows, found = self.selection.table.rows, self.found
        share = min(1.0, found.rows / rows) if rows else 1.0
        went = round(before[0] * share) if rows or found.rows else 0
        try:
            after, kept = await self._measured()
        except (TargetError, LockTimeoutError, TooSlowError):
            after, kept = before, went
            found.notes.append(f"{self.selection.table.quoted}: its sizes are estimates, the connection was lost")
        if self.kept is not None:
            found.kept_bytes = kept
        found.returned_bytes = max(0, sum(before) - sum(after))
        found.reclaimable_bytes = max(0, (went if rows else found.kept_bytes) - found.returned_bytes)

    async def _measured(self) -> tuple[tuple[int, int], int]:
        """Bytes of the table and of what is kept. Raises as `failures_named`."""
        connection = self.target.watch if self.target.work.is_closed() else self.target.work
        with failures_named(self.target.identity.database):
            after = await sizes(connection, self.selection.table.oid)
            return after, 0 if self.kept is None else await connection.fetchval(SQL["kept_size"], self.kept)


@contextmanager
def retried() -> Iterator[None]:
    """A row that somebody began to refer to just then, or two of us in each other's way: the batch is tried again."""
    try:
        yield
    except (asyncpg.ForeignKeyViolationError, asyncpg.TransactionRollbackError) as error:
        raise LockTimeoutError(str(error).splitlines()[0]) from error


def _left(one: Deleted) -> str:
    return f"{one.left:,} of {one.planned:,} rows are left: {one.why_left}"


def summed(found: Sequence[tuple[str, Deleted]]) -> Mapping[str, Any]:
    """The figures of all rules together, and of each."""
    return {
        "rows": sum(one.rows for _, one in found),
        "freed_space": sum(one.returned_bytes - one.kept_bytes for _, one in found),
        "freed_on_purge": sum(one.kept_bytes for _, one in found),
        "returned_bytes": sum(one.returned_bytes for _, one in found),
        "reclaimable_bytes": sum(one.reclaimable_bytes for _, one in found),
        "batches": sum(one.batches for _, one in found),
        "left_rows": sum(one.left for _, one in found),
        "skipped": [{"path": name, "why": _left(one)} for name, one in found if one.why_left is not None],
        "skipped_count": sum(one.why_left is not None for _, one in found),
        "tables": [
            {
                "table": name,
                "rows": one.rows,
                "left_because_referred_to": one.referred,
                "kept_bytes": one.kept_bytes,
                "returned_bytes": one.returned_bytes,
                "reclaimable_bytes": one.reclaimable_bytes,
                "vacuumed": one.is_vacuumed,
                "left": one.why_left,
                "notes": list(one.notes),
            }
            for name, one in found
        ],
    }
