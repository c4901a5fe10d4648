"""What is past its retention: deleted in batches, so that no transaction is long."""

from collections.abc import Sequence
from datetime import datetime

from jamaint.store.postgres import Connection
from jamaint.store.queries import statements

SQL = statements("history")


async def forget_undefined(connection: Connection, defined: Sequence[str], before: datetime) -> int:
    """Delete some ended executions of tasks that are not `defined`; return how many: 0 at the end."""
    return len(await connection.fetch(SQL["forget_undefined"], list(defined), before))


async def forget_audit(connection: Connection, before: datetime) -> int:
    """Delete some entries of the audit log, none younger than 31 days; return how many: 0 at the end."""
    return len(await connection.fetch(SQL["forget_audit"], before))


async def forget_rest(connection: Connection, before: datetime) -> None:
    """Delete cleanups, approvals, overrides and skips that are over since before then."""
    for name in ("forget_cleanups", "forget_approvals", "forget_overrides", "forget_skips"):
        await connection.execute(SQL[name], before)
