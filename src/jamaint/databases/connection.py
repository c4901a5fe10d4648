"""Connections to a database that is maintained, and what goes wrong with them, in words.

Beside store/postgres.py the only code that knows asyncpg. It runs in a worker under `asyncio.run`, for one operation,
on two connections: `work`, which does what is to be done, and `watch`, which looks at it meanwhile. Both carry the
task's name, wait for locks no longer than they are told to, and never end or cancel a session of anybody else.
"""

import asyncio
import contextlib
import os
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

import asyncpg

from jamaint.core.postgres_addresses import usable_address, wrong_address
from jamaint.host.address_files import missing_file
from jamaint.host.secrets import cleaned
from jamaint.host.sql_files import statements

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Row: TypeAlias = asyncpg.Record

OLDEST_VERSION = 140000
CONNECT_SECONDS = 10.0
COMMAND_SECONDS = 60.0
"""How long any answer may take that is not expected to take long: a server that hangs must not hold us for ever."""
GOODBYE_SECONDS = 2.0
LOCK_TIMEOUT_SECONDS = 0.5
NAME_BYTES = 63
OUR_SCHEMA = "jamaint"
"""No table of others is in it, though a role of that name looks there first."""

_FUNCTION = re.compile(r"function \"?([^\"]+?)\"?(?: line|$| during)", re.MULTILINE)
_SQL = statements("jamaint.databases", "server")


class TargetError(Exception):
    """What cannot be done on that database, and why, for a person. `kind`: failed, refused or lost."""

    def __init__(self, message: str, kind: str = "failed") -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind


class LockTimeoutError(Exception):
    """Somebody else had the lock for longer than we wait."""


class TooSlowError(Exception):
    """A statement took longer than it may."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the database is, who asks, and how long it waits for a lock. The dsn may hold a password: never shown."""

    dsn: str
    task: str
    lock_timeout_seconds: float = LOCK_TIMEOUT_SECONDS


@dataclass(frozen=True, slots=True)
class Identity:
    """Who answered: the role that we are there, and what kind of server it is."""

    database: str
    role: str
    version: int
    version_text: str
    schemas: tuple[str, ...]
    now: datetime
    timezone: str
    is_superuser: bool


@dataclass(frozen=True, slots=True)
class Target:
    """A database that is being maintained. `pids` are the server's processes of our two connections."""

    work: Connection
    watch: Connection
    identity: Identity
    pids: tuple[int, int]
    lock_timeout_seconds: float

    async def set_timeouts(self, statement_seconds: float, lock_seconds: float | None = None) -> None:
        """How long a statement of `work` may take from now on (0: as long as it takes), and wait for a lock."""
        lock = self.lock_timeout_seconds if lock_seconds is None else lock_seconds
        await self.work.fetch(_SQL["set_timeouts"], _milliseconds(lock), f"{round(statement_seconds * 1000)}ms")

    async def check_primary(self) -> None:
        """Raises TargetError when the server is a standby now."""
        if await self.watch.fetchval(_SQL["in_recovery"]):
            raise _standby(self.identity.database)


@contextlib.asynccontextmanager
async def open_target(address: Address) -> AsyncIterator[Target]:
    """Connects twice. Raises TargetError for what cannot be reached, is not let in, or is no server for this."""
    work, identity = await _connect(address)
    try:
        watch, _ = await _connect(address)
        try:
            pids = (work.get_server_pid(), watch.get_server_pid())
            with failures_named(identity.database):
                yield Target(work, watch, identity, pids, address.lock_timeout_seconds)
        finally:
            await _close(watch)
    finally:
        await _close(work)


@contextlib.contextmanager
def failures_named(database: str) -> Iterator[None]:
    """asyncpg's errors as TargetError; LockTimeoutError and TooSlowError where a caller may try again."""
    try:
        yield
    except asyncpg.LockNotAvailableError as error:
        raise LockTimeoutError(first_line(error)) from error
    except asyncpg.QueryCanceledError as error:
        raise TooSlowError(first_line(error)) from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise TargetError(f"the rights in database {database} do not suffice: {first_line(error)}") from error
    except asyncpg.ReadOnlySQLTransactionError as error:
        raise _standby(database) from error
    except asyncpg.DiskFullError as error:
        raise TargetError(f"the server of database {database} has no space left: {first_line(error)}") from error
    except _GONE as error:
        raise TargetError(
            f"the connection to database {database} was lost in the middle ({_how(error)}): what was not committed is "
            "undone by the server",
            "lost",
        ) from error
    except asyncpg.PostgresError as error:
        raise TargetError(f"database {database} refused: {first_line(error)}") from error


_GONE: tuple[type[Exception], ...] = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)
"""The server went away, or ended our session. QueryCanceledError is one of them too, and is told apart before."""
_CLOSING: tuple[type[BaseException], ...] = (*_GONE, asyncpg.PostgresError, asyncio.CancelledError)


async def _connect(address: Address) -> tuple[Connection, Identity]:
    connection = await connected(address)
    try:
        with failures_named("at that address"):
            row = await connection.fetchrow(_SQL["identity"])
            assert row is not None  # it is one row of functions
            identity = _identity(row)
            _check(row, connection.get_server_pid())
            await connection.fetch(_SQL["unlimited"])
            await connection.fetch(
                _SQL["settings"], _milliseconds(address.lock_timeout_seconds), f"{round(COMMAND_SECONDS)}s"
            )
    except BaseException:
        connection.terminate()
        raise
    return connection, identity


def leave_closed_home() -> None:
    """Set HOME to no directory where this process may not look into it, as in a unit without homes.

    asyncpg looks there for libpq's files (a key, passwords) and fails where it may not; libpq goes on without them.
    """
    try:
        os.stat(os.path.join(os.environ.get("HOME", "/"), ".postgresql"))
    except PermissionError:
        os.environ["HOME"] = "/nonexistent"
    except OSError:
        return


async def connected(address: Address) -> Connection:
    """One connection, to whatever answers there. Raises TargetError."""
    leave_closed_home()
    wrong = wrong_address(address.dsn) or missing_file(address.dsn)
    if wrong is not None:
        raise TargetError(f"the database's address {wrong}", "refused")
    try:
        # No cache of statements: each is used a few times only, and names of them are lost behind a pooler.
        return await asyncpg.connect(
            usable_address(address.dsn),
            timeout=CONNECT_SECONDS,
            command_timeout=COMMAND_SECONDS,
            statement_cache_size=0,
            server_settings={"application_name": _name(address.task)},
        )
    except asyncpg.InvalidCatalogNameError as error:
        raise TargetError(f"there is no such database: {first_line(error)}") from error
    except (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError) as error:
        raise TargetError(f"PostgreSQL refused the connection: {first_line(error)}") from error
    except asyncpg.CannotConnectNowError as error:
        raise TargetError(f"the server takes no connections now: {first_line(error)}", "lost") from error
    except asyncpg.TooManyConnectionsError as error:
        raise TargetError(f"the server has no free connection: {first_line(error)}", "lost") from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise TargetError(f"the role may not connect to that database: {first_line(error)}") from error
    except asyncpg.PostgresError as error:
        raise TargetError(f"the server refused the connection: {first_line(error)}") from error
    except (OSError, TimeoutError) as error:
        raise TargetError(f"the database server cannot be reached: {_reached(error)}", "lost") from error
    except (asyncpg.InterfaceError, asyncpg.InternalClientError, ValueError) as error:
        # Its message may repeat the address, and with it a password.
        raise TargetError(
            f"the database's address cannot be used ({type(error).__name__}): write it as "
            "postgresql://user@host/name, and / : @ of a password as %2F %3A %40"
        ) from None


def _check(row: Row, pid: int) -> None:
    if row["version"] < OLDEST_VERSION:
        raise TargetError(
            f"the server of database {row['database']} is PostgreSQL {row['version_text']}: 14 or later is needed",
            "refused",
        )
    if row["pid"] != pid:
        raise TargetError(
            f"database {row['database']} is reached through a pooler such as PgBouncer, which may hand each statement "
            "to another session: name the server itself in the address",
            "refused",
        )
    if row["in_recovery"]:
        raise _standby(row["database"])
    if row["replication_role"] != "origin":
        raise TargetError(
            f"sessions of role {row['role']} begin with session_replication_role = {row['replication_role']}, in which "
            "no foreign key is checked: ALTER ROLE … RESET session_replication_role",
            "refused",
        )


def _identity(row: Row) -> Identity:
    return Identity(
        database=row["database"],
        role=row["role"],
        version=row["version"],
        version_text=row["version_text"],
        schemas=tuple(name for name in row["schemas"] if name != OUR_SCHEMA),
        now=row["now"],
        timezone=row["timezone"],
        is_superuser=row["is_superuser"],
    )


def _standby(database: str) -> TargetError:
    return TargetError(
        f"the server of database {database} is in recovery or read-only: name the primary in the address", "refused"
    )


def _name(task: str) -> str:
    """application_name, which the server cuts after 63 bytes and shows with question marks for what is not ASCII."""
    return f"jamaint: {task}".encode("ascii", "replace")[:NAME_BYTES].decode("ascii")


async def _close(connection: Connection) -> None:
    try:
        await connection.close(timeout=GOODBYE_SECONDS)
    except _CLOSING:
        connection.terminate()


def _milliseconds(seconds: float) -> str:
    return f"{max(1, round(seconds * 1000))}ms"


def _reached(error: BaseException) -> str:
    return f"no answer within {CONNECT_SECONDS:g} s" if isinstance(error, TimeoutError) else first_line(error)


def _how(error: BaseException) -> str:
    """How it was lost; what asyncpg says of its own state tells nobody anything."""
    own = isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError)
    return "the server has closed it" if own else first_line(error)


def said(error: BaseException) -> str:
    """What the server says, and in which function, where it tells."""
    found = _FUNCTION.search(getattr(error, "context", None) or "")
    return first_line(error) + (f" (in the function {found[1]})" if found else "")


def first_line(error: BaseException) -> str:
    """What it says, without the lines that follow and without passwords."""
    return cleaned(str(error).splitlines()[0] if str(error) else type(error).__name__)
