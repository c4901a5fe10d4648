"""Records of rotations as rows: core/rotation_records.py says what they are for."""

import os
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from jamaint.core.rotation_records import OpenRotation, Records, RotationRecord
from jamaint.store.jsonb import columns
from jamaint.store.postgres import Connection
from jamaint.store.queries import statements

SQL = statements("log_rotations")


async def of_task(connection: Connection, task: str) -> Records:
    """The newest record of each of a task's logs, and the rotations that were never reported."""
    found = {}
    for row in await connection.fetch(SQL["newest"], task):
        path = os.fsdecode(row["path"])
        found[path] = RotationRecord(path, row["rotated_at"], row["is_told"], str(row["execution_id"]))
    begun = [
        OpenRotation(str(row["execution_id"]), row["begun_at"]) for row in await connection.fetch(SQL["open"], task)
    ]
    return Records(found, tuple(begun))


async def begin(connection: Connection, execution_id: str, task: str, at: datetime) -> None:
    """Writes that an execution is about to rotate."""
    await connection.execute(SQL["begin"], execution_id, task, at)


async def report(connection: Connection, task: str, records: Sequence[RotationRecord], keep_from: datetime) -> None:
    """Writes what an execution has done and found; records from before `keep_from` that no rollback needs go."""
    async with connection.transaction():
        if records:
            rows = ((UUID(one.execution), os.fsencode(one.path), one.rotated_at, one.is_told) for one in records)
            await connection.execute(SQL["put"], task, *map(list, columns(rows)))
        await connection.execute(SQL["close"], task)
        await connection.execute(SQL["forget"], task, keep_from)


async def take_back(connection: Connection, execution_id: str, is_whole: bool) -> None:
    """Forgets an execution's rotations, for it was undone; in part, where not `is_whole`: then the disk has to tell."""
    if not is_whole:
        await connection.execute(SQL["reopen"], execution_id)
    await connection.execute(SQL["take_back"], execution_id)
    if is_whole:
        await connection.execute(SQL["close_one"], execution_id)
