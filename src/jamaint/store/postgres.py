"""Our own database: the only file of the daemon that knows asyncpg. PostgreSQL under trio, by a loop in one thread.

One hop from trio per *repository function*: a whole transaction lives on the asyncio side, where asyncpg's own context
managers end it rightly when it is cancelled. (Awaiting them one by one from trio leaks: an exit that is awaited in a
cancelled scope does not happen.)

What a cancelled `run` leaves behind: nothing. The cancel goes over to the asyncio task, and `run` returns when that
has ended: the statement is cancelled on the server, the transaction rolled back, the connection back in its pool. If
the task had finished first, its result is returned and trio's cancel strikes at the next checkpoint. Every wait is
bounded (`command_timeout`, `acquire(timeout)`), because a server that hangs would otherwise hold the scope for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future
from datetime import datetime
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeAlias, TypeVar

import asyncpg
import outcome
import trio

from jamaint.core.postgres_addresses import usable_address, wrong_address
from jamaint.errors import INVALID_PARAMS, JamaintError
from jamaint.host.address_files import missing_file
from jamaint.host.secrets import cleaned

new_event_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
with contextlib.suppress(ImportError):  # the extra [fast] may not be installed
    from uvloop import new_event_loop  # the faster one takes its place

P = ParamSpec("P")
T = TypeVar("T")
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Row: TypeAlias = asyncpg.Record

COMMAND_TIMEOUT_SECONDS = 30.0
ACQUIRE_TIMEOUT_SECONDS = 10.0
RELEASE_TIMEOUT_SECONDS = 2.0
"""How long the server may take to say that a cancelled statement has ended, before its connection is thrown away."""
LOCK_WAIT = "1s"
POOL_SIZE = 5

_SETTINGS = {
    "application_name": "jamaintd",
    "timezone": "UTC",
    "statement_timeout": "30s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "60s",
    # So that the lock of a machine that has lost its power or its network is free in two minutes, not in two hours.
    "tcp_keepalives_idle": "60",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "6",
}


class DatabaseAwayError(Exception):
    """The database cannot be reached, or went away before it answered: whether it has done it is unknown.

    So what is tried again must be harmless when it was done: absolute states, ids made by us.
    """


class UnkeepableError(Exception):
    """A value that the database cannot hold."""


class OccurrenceTakenError(Exception):
    """There is a row for this task and time already."""


class Backend(NamedTuple):
    """The server's end of a session: a process number comes again, together with its start it does not."""

    pid: int
    start: datetime


class Postgres:
    """A pool of connections that is used from trio. Make one with `open_postgres`."""

    def __init__(self, dsn: str, loop: asyncio.AbstractEventLoop) -> None:
        self._dsn = dsn
        self._loop = loop
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._opening = asyncio.Lock()
        self._apart: list[Connection] = []
        """Those that sessions have; the pool knows nothing of them."""

    async def run(self, work: Callable[Concatenate[Connection, P], Awaitable[T]], *args: P.args, **kw: P.kwargs) -> T:
        """Runs `work(connection, …)` on the asyncio side and returns its result. Raises DatabaseAwayError."""
        return await _hop(self._loop, self._with_connection, work, args, kw)

    async def open_session(self, lock_key: int) -> Session | None:
        """Takes a session-level advisory lock on a connection of its own; None when somebody else has it, and keeps it
        for the second that a session takes to end whose client was killed. Raises DatabaseAwayError."""
        lost = _Lost()
        found = await _hop(self._loop, self._connect_and_lock, lock_key, lost)
        return None if found is None else Session(self._loop, *found, lost)

    async def _with_connection(self, work: Callable[..., Awaitable[T]], args: Any, kw: Any) -> T:
        with errors_named():
            pool = self._pool or await self._open_pool()
            with _connecting():
                connection = await pool.acquire(timeout=ACQUIRE_TIMEOUT_SECONDS)
            try:
                return await work(connection, *args, **kw)
            finally:
                await pool.release(connection, timeout=RELEASE_TIMEOUT_SECONDS)

    async def _open_pool(self) -> asyncpg.Pool[asyncpg.Record]:
        async with self._opening:
            if self._pool is None:
                self._pool = await _pool(self._dsn)
            return self._pool

    async def _connect_and_lock(self, key: int, lost: _Lost) -> tuple[Connection, Backend] | None:
        with _connecting():
            connection = await asyncpg.connect(
                self._dsn,
                timeout=ACQUIRE_TIMEOUT_SECONDS,
                command_timeout=COMMAND_TIMEOUT_SECONDS,
                server_settings=_SETTINGS,
            )
            self._apart = [one for one in self._apart if not one.is_closed()] + [connection]
            backend = None
            try:
                connection.add_termination_listener(lost.tell)
                await _check_direct(connection)
                backend = await _lock(connection, key)
            finally:
                if backend is None:  # nobody else would ever end it, and with it a lock that it may have after all
                    connection.terminate()
            return None if backend is None else (connection, backend)

    async def close(self) -> None:
        """Closes every connection, within five seconds; those of sessions that were not closed without a word."""
        for connection in self._apart:
            connection.terminate()
        if self._pool is not None:
            pool, self._pool = self._pool, None
            try:
                await asyncio.wait_for(pool.close(), 5)
            except _AWAY:
                pool.terminate()


class _Lost:
    """Tells trio from the other thread that a connection has ended; once is enough, twice does no harm."""

    def __init__(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self.event = trio.Event()

    def tell(self, _connection: object) -> None:
        """Called on the asyncio side."""
        with contextlib.suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self.event.set)


class Session:
    """One connection with an advisory lock; `lost` is set when the connection, and so the lock, has ended.

    What must only be written by whoever has the lock is written here, so that it cannot be written without it: a lock
    that was lost unnoticed takes the session along.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, connection: Connection, backend: Backend, lost: _Lost) -> None:
        self._loop = loop
        self._connection = connection
        self._turn = asyncio.Lock()
        self._lost = lost
        self.backend = backend
        self.lost = lost.event

    async def run(self, work: Callable[Concatenate[Connection, P], Awaitable[T]], *args: P.args, **kw: P.kwargs) -> T:
        """Runs `work(connection, …)` on this connection, one after the other. Raises DatabaseAwayError."""
        return await _hop(self._loop, self._in_turn, work, args, kw)

    async def close(self) -> None:
        """Gives the lock back by closing the connection; harmless when that is gone."""
        await _hop(self._loop, self._close)

    def terminate(self) -> None:
        """Gives the connection up without a word, and with it the lock; `lost` is set soon."""
        self._loop.call_soon_threadsafe(self._connection.terminate)

    async def _in_turn(self, work: Callable[..., Awaitable[T]], args: Any, kw: Any) -> T:
        with errors_named():
            async with self._turn:
                try:
                    return await work(self._connection, *args, **kw)
                finally:
                    if self._connection.is_closed():  # asyncpg does not tell its listeners of every end
                        self._lost.tell(self._connection)

    async def _close(self) -> None:
        with contextlib.suppress(*_AWAY):
            await self._connection.close(timeout=2)


@contextlib.contextmanager
def _connecting() -> Iterator[None]:
    """Whatever keeps us from having a connection is something that an administrator mends, and that passes."""
    try:
        yield
    except (asyncpg.ClientConfigurationError, ValueError) as error:  # its text may repeat the address, and a password
        raise DatabaseAwayError(
            f"its address cannot be used ({type(error).__name__}): write it as postgresql://user@host/name, and / : @ "
            "of a password as %2F %3A %40"
        ) from None
    except asyncpg.ProtocolViolationError as error:
        if "startup parameter" in str(error):  # no server says so: PgBouncer does
            raise JamaintError(INVALID_PARAMS, _POOLER) from None
        raise DatabaseAwayError(_why(error)) from error
    except _NO_CONNECTION as error:
        raise DatabaseAwayError(_why(error)) from error


@contextlib.contextmanager
def rows_named() -> Iterator[None]:
    """As errors_named, where one row of many may hold what cannot be kept."""
    with errors_named():
        try:
            yield
        except asyncpg.DataError as error:
            raise UnkeepableError(_why(error)) from error


@contextlib.contextmanager
def errors_named() -> Iterator[None]:
    """asyncpg's errors as ours, where somebody above tells them apart: DatabaseAwayError, OccurrenceTakenError."""
    try:
        yield
    except _AWAY as error:
        raise DatabaseAwayError(_why(error)) from error
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name == "one_execution_per_occurrence":
            raise OccurrenceTakenError from error
        raise


@contextlib.contextmanager
def tables_refused() -> Iterator[None]:
    """What a server has against our tables being made there as JamaintError, where trying again would mend nothing."""
    try:
        yield
    except asyncpg.InvalidSchemaNameError as error:
        raise JamaintError(
            INVALID_PARAMS,
            f"database.dsn: our tables cannot be made in that database ({_why(error)}): make a schema that the "
            "role finds, such as CREATE SCHEMA jamaintd AUTHORIZATION …, and ALTER ROLE … SET search_path = jamaintd",
        ) from None
    except _AWAY:
        raise
    except asyncpg.PostgresError as error:
        raise JamaintError(
            INVALID_PARAMS,
            f"database.dsn: our tables cannot be made in that database: {_why(error)}. Give the daemon one of its own",
        ) from None


@contextlib.asynccontextmanager
async def open_postgres(dsn: str) -> AsyncIterator[Postgres]:
    """The bridge to the database at `dsn`. Connects when it is first used; the thread ends with the block.

    Raises JamaintError for an address that can never be used.
    """
    wrong = wrong_address(dsn) or await trio.to_thread.run_sync(missing_file, dsn)
    if wrong is not None:
        raise JamaintError(INVALID_PARAMS, f"database.dsn: the address {wrong}")
    dsn = usable_address(dsn)
    loop = new_event_loop()
    thread = threading.Thread(target=_serve, args=(loop,), name="asyncpg", daemon=True)
    thread.start()
    postgres = Postgres(dsn, loop)
    try:
        yield postgres
    finally:
        # Bounded by Postgres.close; without the shield a cancelled daemon would leave connections to the server.
        with trio.CancelScope(shield=True):
            await _hop(loop, postgres.close)
            loop.call_soon_threadsafe(loop.stop)
            await trio.to_thread.run_sync(thread.join)


_AWAY: tuple[type[Exception], ...] = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # shutting down, starting up, a statement that was cancelled
    asyncpg.InsufficientResourcesError,  # its disk or memory is full, or all its connections are taken
    asyncpg.PostgresSystemError,
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InsufficientPrivilegeError,  # an administrator's doing, who can undo it: no reason to lose what waits
)
"""What passes: it is worth trying again."""
_NO_CONNECTION: tuple[type[Exception], ...] = (*_AWAY, asyncpg.PostgresError)

_POOLER = (
    "database.dsn: the database that keeps the state is reached through a pooler such as PgBouncer, which may hand "
    "each statement to another session: name the server itself in the address"
)


def _why(error: BaseException) -> str:
    if isinstance(error, FileNotFoundError):  # of a Unix socket; it names none
        return f"no PostgreSQL listens there ({error.strerror})"
    if isinstance(error, OSError) and error.errno == errno.EAFNOSUPPORT:  # the last that was tried, after the sockets
        return "no PostgreSQL listens at its Unix socket, and this daemon has no network"
    return cleaned(str(error).splitlines()[0] if str(error) else type(error).__name__)


async def _pool(dsn: str) -> asyncpg.Pool[asyncpg.Record]:
    # min_size 0: with a floor, every restart of the server logs a traceback. No reset query when a connection goes
    # back: nothing in store/ leaves session state, and the query costs as much as a small statement.
    return await asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=POOL_SIZE,
        command_timeout=COMMAND_TIMEOUT_SECONDS,
        timeout=ACQUIRE_TIMEOUT_SECONDS,
        max_inactive_connection_lifetime=0,
        server_settings=_SETTINGS,
        reset=_no_reset,
    )


async def _check_direct(connection: Connection) -> None:
    """Raises JamaintError where something stands before the server that may hand each statement to another session:
    the lock would stay with a session that is not ours."""
    try:
        pid = await connection.fetchval("SELECT pg_backend_pid()")
    except (asyncpg.DuplicatePreparedStatementError, asyncpg.InvalidSQLStatementNameError):
        raise JamaintError(INVALID_PARAMS, _POOLER) from None
    if pid != connection.get_server_pid():
        raise JamaintError(INVALID_PARAMS, _POOLER)


async def _lock(connection: Connection, key: int) -> Backend | None:
    await connection.execute("SELECT set_config('lock_timeout', $1, false)", LOCK_WAIT)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", key)
    except asyncpg.LockNotAvailableError:
        return None
    await connection.execute("RESET lock_timeout")
    row = await connection.fetchrow("SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()")
    assert row is not None  # every session sees itself
    return Backend(row["pid"], row["backend_start"])


async def _no_reset(_connection: object) -> None:
    return None


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()


async def _hop(loop: asyncio.AbstractEventLoop, work: Callable[..., Awaitable[T]], *args: Any) -> T:
    """Awaits `work(*args)` on the other loop. See the head of this file for what a cancel does."""
    await trio.lowlevel.checkpoint_if_cancelled()
    token, task = trio.lowlevel.current_trio_token(), trio.lowlevel.current_task()
    started: Future[asyncio.Task[T]] = Future()
    cancelled: list[Callable[[], Any]] = []

    def start() -> None:
        running: asyncio.Task[T] = loop.create_task(_awaited(work, args))
        running.add_done_callback(done)
        started.set_result(running)

    def done(finished: asyncio.Task[T]) -> None:
        result: outcome.Outcome[T] | None
        if finished.cancelled():
            result = None
        elif (error := finished.exception()) is not None:
            result = outcome.Error(error)
        else:
            result = outcome.Value(finished.result())
        with contextlib.suppress(trio.RunFinishedError):
            token.run_sync_soon(wake, result)

    def wake(result: outcome.Outcome[T] | None) -> None:  # in trio; an exception here would end the whole run
        if cancelled and not isinstance(result, outcome.Value):
            result = outcome.capture(cancelled[0])
        elif result is None:
            result = outcome.Error(DatabaseAwayError("the connection's task was ended"))
        trio.lowlevel.reschedule(task, result)

    def abort(raise_cancel: Callable[[], Any]) -> trio.lowlevel.Abort:
        cancelled.append(raise_cancel)
        loop.call_soon_threadsafe(lambda: started.result().cancel())
        return trio.lowlevel.Abort.FAILED

    loop.call_soon_threadsafe(start)
    result: T = await trio.lowlevel.wait_task_rescheduled(abort)
    return result


async def _awaited(work: Callable[..., Awaitable[T]], args: tuple[Any, ...]) -> T:
    return await work(*args)
