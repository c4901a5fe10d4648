"""postgresql: one connection, one question, and gone again."""

from collections.abc import Mapping
from importlib import resources
from typing import Any

from jamaint.core.conditions.postgresql import Server
from jamaint.host.facts.fact import LookError, Outside
from jamaint.host.postgres import Connection, Row

QUESTION = resources.files("jamaint.host.facts").joinpath("postgresql.sql").read_text("utf-8")


async def look(params: Mapping[str, Any], outside: Outside) -> Server:
    if outside.database is None:
        raise LookError("no database can be asked here")
    address = await outside.with_secrets(params["dsn"])
    found = await outside.database.visit(address, _ask, timeout_seconds=params["timeout_seconds"])
    if not found["sees_all"]:
        raise LookError("its user may not see other sessions: grant it pg_monitor")
    return Server(
        is_primary=found["is_primary"],
        lag_seconds=found["lag_seconds"],
        lag_why=_why(found),
        active_connections=found["active_connections"],
        longest_transaction_seconds=found["longest_transaction_seconds"],
    )


def _why(found: Row) -> str:
    if not found["is_primary"]:
        return "it has replayed no transaction yet"
    return "no standby is connected" if not found["standbys"] else "its standbys have not told theirs"


async def _ask(connection: Connection) -> Row:
    row = await connection.fetchrow(QUESTION)
    assert row is not None  # an aggregate always has its row
    return row
