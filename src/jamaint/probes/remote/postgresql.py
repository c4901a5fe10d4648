"""postgresql: one connection, one question, and gone again."""

import asyncio
from collections.abc import Mapping
from typing import Any

from jamaint.databases.connection import TargetError
from jamaint.databases.server_state import state_of
from jamaint.probes.deadline import LookError


def look(params: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """The fields of core.conditions.postgresql.Server."""
    try:
        found = asyncio.run(state_of(params["dsn"], seconds))
    except TargetError as failure:
        raise LookError(failure.message) from None
    if not found["sees_all"]:
        raise LookError("its user may not see other sessions: grant it pg_monitor")
    return {
        "is_primary": found["is_primary"],
        "lag_seconds": found["lag_seconds"],
        "lag_why": _why(found),
        "active_connections": found["active_connections"],
        "longest_transaction_seconds": found["longest_transaction_seconds"],
    }


def _why(found: Mapping[str, Any]) -> str:
    if not found["is_primary"]:
        return "it has replayed no transaction yet"
    return "no standby is connected" if not found["standbys"] else "its standbys have not told theirs"
