"""Writes are gathered: one task writes what has come while the last commit was under way, in one transaction.

A lone write waits for nobody. Whoever writes goes on when it is durable. While the database is away everything waits
here, in order, and is written when it is back: states are absolute and ids are ours, so that writing again what had
arrived after all is harmless. All of it goes through the session that holds the daemon's lock; if another daemon has
taken that meanwhile, this one ends.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Concatenate, ParamSpec, TypeVar
from uuid import uuid4

import trio
from structlog.typing import FilteringBoundLogger

from jamaint.core.executions import Execution
from jamaint.errors import CONFLICT, JamaintError
from jamaint.host.logging.setup import MESSAGE_IDS
from jamaint.host.processes.output import printable
from jamaint.store import daemon_lock, executions, migrations, rollback_points
from jamaint.store.executions import LogLine
from jamaint.store.postgres import (
    Backend,
    Connection,
    DatabaseAwayError,
    OccurrenceTakenError,
    Postgres,
    Session,
    UnkeepableError,
    rows_named,
)
from jamaint.store.rollback_points import RollbackPoint

P = ParamSpec("P")
T = TypeVar("T")

RETRY_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
UNWRITTEN_LINES = 20_000
"""Log lines that are kept while the database is away; more are counted and left out."""


@dataclass(slots=True)
class _Batch:
    """What one commit writes: of several states of one execution only the last."""

    executions: dict[str, Execution] = field(default_factory=dict)
    logs: list[LogLine] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)
    written: trio.Event = field(default_factory=trio.Event)


class Recorder:
    """The only writer of executions and their logs, and the keeper of the session that may write."""

    def __init__(self, postgres: Postgres, holder: str, now: Callable[[], datetime], log: FilteringBoundLogger) -> None:
        self._postgres = postgres
        self._holder = holder
        self._now = now
        self._log = log
        self._session: Session | None = None
        self._backend: Backend | None = None
        self._connecting = trio.Lock()
        self._next = _Batch()
        self._writing = _Batch()
        self._work = trio.Event()
        self._left_out = 0
        self._ended: JamaintError | None = None
        self.away: str | None = None
        """Why the database cannot be reached at the moment, or None."""
        self.on_change: Callable[[], None] = lambda: None
        self.more_to_come: Callable[[], bool] = lambda: True
        """Whether something waits that may start as soon as something else ends."""

    async def serve(self) -> None:
        """Writes until it is cancelled. Raises JamaintError(CONFLICT) when another daemon has the database."""
        while True:
            await self._work.wait()
            if self.more_to_come():
                # Two turns of the loop: what ends now lets something else start, which is then written with it.
                await trio.lowlevel.checkpoint()
                await trio.lowlevel.checkpoint()
            self._work = trio.Event()
            self._writing, self._next = self._next, _Batch()
            await self.run(_write, self._writing)
            self._writing.written.set()

    async def guard(self) -> None:
        """Takes the lock again as soon as it is lost, until it is cancelled; an idle daemon too has to learn that it
        is not alone. Raises JamaintError(CONFLICT) when another daemon was first."""
        while True:
            await self.run(_nothing)
            if self._session is not None:
                await self._session.lost.wait()
                self._gone("the session with the daemon's lock has ended")

    async def put(self, *states: Execution) -> None:
        """Writes the present state of an execution, or of several. Raises OccurrenceTakenError when the occurrence of
        one has a row already, and JamaintError(CONFLICT) when another daemon has the database."""
        batch = self._next
        for execution in states:
            batch.executions[execution.id] = execution
        self._work.set()
        await batch.written.wait()
        if self._ended is not None:
            raise JamaintError(self._ended.code, self._ended.message)
        if batch.taken and any(execution.id in batch.taken for execution in states):
            raise OccurrenceTakenError

    def log_line(self, line: LogLine) -> None:
        """Writes a line of an execution's log with the next commit; nobody waits for it."""
        if len(self._next.logs) >= UNWRITTEN_LINES:
            self._left_out += 1
            return
        if self._left_out:
            left_out, self._left_out = self._left_out, 0
            line = line._replace(message=f"{line.message} (before this, {left_out} lines were left out)")
        self._next.logs.append(line)
        self._work.set()

    async def run(self, work: Callable[Concatenate[Connection, P], Awaitable[T]], *args: P.args, **kw: P.kwargs) -> T:
        """Runs one change of state, again and again until the database has taken it: it must be harmless twice."""
        attempt = 0
        while True:
            try:
                session = await self.connect()
                result = await session.run(work, *args, **kw)
            except DatabaseAwayError as error:
                self._gone(str(error))
                await trio.sleep(RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)])
                attempt += 1
            else:
                self._back()
                return result

    async def move_point(
        self, point_id: str, from_statuses: Sequence[str], status: str, result: Mapping[str, Any] | None = None
    ) -> RollbackPoint | None:
        """Move a rollback point from one of some statuses to another; None when it has none of them."""
        claim = str(uuid4())  # once for all tries: one whose answer was lost is known again
        return await self.run(rollback_points.move, point_id, from_statuses, status, claim=claim, result=result)

    async def connect(self) -> Session:
        """The session that holds the lock, the tables being this version's. Raises DatabaseAwayError, and
        JamaintError(CONFLICT) if somebody else has it, or the tables are not ours to change: from then on for ever."""
        if self._session is not None and not self._session.lost.is_set() and self._ended is None:
            return self._session
        async with self._connecting:
            try:
                if self._ended is not None:
                    raise JamaintError(self._ended.code, self._ended.message)
                if self._session is None or self._session.lost.is_set():
                    self._session = await self._open_session()
            except JamaintError as problem:
                self._end(problem)
                raise
            return self._session

    async def close(self) -> None:
        """Gives the lock back."""
        if self._session is not None:
            await self._session.close()

    async def _open_session(self) -> Session:
        session = await self._postgres.open_session(daemon_lock.KEY)
        if session is None:
            if self._backend is not None and await self._postgres.run(daemon_lock.end, self._backend):
                raise DatabaseAwayError("the server had not heard that our last session has ended")
            holder = await self._postgres.run(daemon_lock.holder)
            raise JamaintError(CONFLICT, f"cannot use the database: {holder} uses it already; one daemon at a time")
        self._backend = session.backend
        try:
            for name in await session.run(migrations.migrate):
                self._log.info("migration applied", name=name)
            await session.run(daemon_lock.note_holder, self._holder, self._now())
        except BaseException:
            session.terminate()  # or the lock would stay with a session that nobody knows of
            raise
        return session

    def _end(self, problem: JamaintError) -> None:
        """There is nobody to write for any more: whoever waits is told, and who comes later too."""
        self._ended = problem
        for batch in (self._writing, self._next):
            batch.written.set()

    def _gone(self, why: str) -> None:
        if self.away is None:
            self._log.error(
                "the database is away, what must be kept waits for it", why=why, message_id=MESSAGE_IDS["database_lost"]
            )
        self.away = why
        self.on_change()

    def _back(self) -> None:
        if self.away is not None:
            self.away = None
            self._log.info("the database is back", message_id=MESSAGE_IDS["database_back"])
            self.on_change()


async def _nothing(_connection: Connection) -> None:
    """To have the session is all."""


async def _write(connection: Connection, batch: _Batch) -> None:
    try:
        with rows_named():
            await executions.write(connection, list(batch.executions.values()), batch.logs)
    except (OccurrenceTakenError, UnkeepableError):
        await _write_one_by_one(connection, batch)


async def _write_one_by_one(connection: Connection, batch: _Batch) -> None:
    """The way when one new occurrence has a row already, or one value cannot be kept: all others are written."""
    for execution in batch.executions.values():
        try:
            with rows_named():
                await executions.write(connection, [execution])
        except OccurrenceTakenError:
            batch.taken.add(execution.id)
        except UnkeepableError as error:
            await executions.write(connection, [_bare(execution, str(error))])
    for line in batch.logs:
        with suppress(UnkeepableError), rows_named():
            await executions.write(connection, (), [line])


def _bare(execution: Execution, why: str) -> Execution:
    """Its state without the words and figures of which one cannot be kept."""
    error = {"message": f"its record could not be kept whole: {printable(why)}", "kind": "internal"}
    return replace(execution, steps=(), metrics={}, reasons=(), error=error, requested_by=None, options={})
