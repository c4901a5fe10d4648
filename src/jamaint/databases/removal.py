"""Removes the schema jamaint from a database, with all that is written there, where nobody needs it any more."""

from typing import Any

import asyncpg

from jamaint.databases.bookkeeping import NOTES, SCHEMA, check_notebook
from jamaint.databases.connection import Target, TargetError, failures_named, first_line
from jamaint.databases.rows.delete import is_kept_table


async def forget(target: Target, with_kept: bool, dry_run: bool) -> dict[str, Any]:
    """Drops the tables and the schema; what they took. Raises TargetError where rows are kept there, unless they are
    meant too; where another of us is at work; and where something of others depends on it."""
    with failures_named(target.identity.database):
        rows = await target.work.fetch(NOTES["all_of_ours"])
    found = {
        "tables": [{"name": row["quoted"], "bytes": row["bytes"]} for row in rows],
        "freed_space": sum(row["bytes"] for row in rows),
    }
    with failures_named(target.identity.database):
        if not await target.work.fetchval(NOTES["has_schema"]):
            return found
        await check_notebook(target)
        if await target.work.fetchval(NOTES["is_at_work"]):
            raise TargetError(f"another execution is working in database {target.identity.database}", "refused")
    kept = [row["quoted"] for row in rows if is_kept_table(row["quoted"])]
    if kept and not with_kept:
        raise TargetError(
            f"rows are kept for a rollback in {', '.join(kept[:5])}: purge their executions (jamaintctl purge), or add "
            "--with-kept to lose them",
            "refused",
        )
    if not dry_run:
        await _drop(target, [row["quoted"] for row in rows])
    return found


async def _drop(target: Target, tables: list[str]) -> None:
    try:
        with failures_named(target.identity.database):
            async with target.work.transaction():
                for quoted in tables:
                    await target.work.execute(NOTES["drop_one"].format(table=quoted))
                await target.work.execute(NOTES["drop_schema"])
    except TargetError as failure:
        if isinstance(failure.__cause__, asyncpg.DependentObjectsStillExistError):
            raise TargetError(
                f"something of others depends on the schema {SCHEMA}: {first_line(failure.__cause__)}; drop that first",
                "refused",
            ) from failure
        raise
