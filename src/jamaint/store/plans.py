"""Stored plans, and what was seen of each task's roots, as rows. A plan's items are in a file: see host.plan_file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jamaint.core.safety.deletion_guard import RootObservation, from_json, to_json
from jamaint.store.jsonb import from_jsonb, jsonb
from jamaint.store.postgres import Connection, Row
from jamaint.store.queries import statements

SQL = statements("plans")


@dataclass(frozen=True, slots=True)
class StoredPlan:
    """What a task would have done at `created_at`. `steps` are as people are shown them, without their way back."""

    hash: str
    task_name: str
    header: Mapping[str, Any]
    created_at: datetime
    created_by: str
    expires_at: datetime
    steps: tuple[Mapping[str, Any], ...]
    warnings: tuple[str, ...]
    refusals: tuple[Mapping[str, Any], ...]
    items: int
    bytes: int
    itemised: bool
    approved_by: str | None = None
    approved_at: datetime | None = None
    approval_seal: str | None = None


async def put(connection: Connection, plan: StoredPlan) -> StoredPlan:
    """Writes a plan, or prolongs it if the very same is stored; the plan as it stands then."""
    row = await connection.fetchrow(
        SQL["put"],
        plan.hash,
        plan.task_name,
        jsonb(plan.header),
        plan.created_at,
        plan.created_by,
        plan.expires_at,
        jsonb(plan.steps),
        jsonb(plan.warnings),
        jsonb(plan.refusals),
        plan.items,
        plan.bytes,
        plan.itemised,
    )
    assert row is not None
    return _from_row(row)


async def by_prefix(connection: Connection, prefix: str, now: datetime) -> list[StoredPlan]:
    """The plans that have not expired and whose hash begins so: at most two."""
    return [_from_row(row) for row in await connection.fetch(SQL["by_prefix"], prefix, now)]


async def page(
    connection: Connection, now: datetime, before: tuple[datetime, str] | None, limit: int
) -> list[StoredPlan]:
    """Plans that have not expired, the newest first."""
    moment, name = before or (None, None)
    return [_from_row(row) for row in await connection.fetch(SQL["page"], now, moment, name, limit)]


async def approve(connection: Connection, name: str, by: str, at: datetime, seal: str) -> StoredPlan | None:
    """Approves a plan; None if it is gone."""
    row = await connection.fetchrow(SQL["approve"], name, by, at, seal)
    return None if row is None else _from_row(row)


async def expire(connection: Connection, now: datetime) -> list[str]:
    """Deletes what has expired; the hashes that are left."""
    await connection.execute(SQL["expire"], now)
    return [row["hash"] for row in await connection.fetch(SQL["hashes"])]


async def roots(connection: Connection) -> dict[str, dict[str, RootObservation]]:
    """By task and path, what was seen of a root at the task's last run."""
    found: dict[str, dict[str, RootObservation]] = {}
    for row in await connection.fetch(SQL["roots"]):
        observation = from_json(from_jsonb(row["sighting"]))
        found.setdefault(row["task_name"], {})[observation.path] = observation
    return found


async def put_roots(connection: Connection, task: str, observations: Sequence[RootObservation]) -> None:
    """Writes what was seen."""
    for observation in observations:
        await connection.execute(SQL["put_root"], task, observation.path, jsonb(to_json(observation)))


def _from_row(row: Row) -> StoredPlan:
    return StoredPlan(
        hash=row["hash"],
        task_name=row["task_name"],
        header=from_jsonb(row["header"]),
        created_at=row["created_at"],
        created_by=row["created_by"],
        expires_at=row["expires_at"],
        steps=tuple(from_jsonb(row["steps"])),
        warnings=tuple(from_jsonb(row["warnings"])),
        refusals=tuple(from_jsonb(row["refusals"])),
        items=row["items"],
        bytes=row["bytes"],
        itemised=row["itemised"],
        approved_by=row["approved_by"],
        approved_at=row["approved_at"],
        approval_seal=row["approval_seal"],
    )
