"""Rollback points: what an execution keeps so that it can be undone, and who has it in hand, as rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from jamaint.core.held_places import HoldRecord, standing
from jamaint.core.plans import Step, step_from_json, step_to_json
from jamaint.files.rules.ages import nanoseconds
from jamaint.store import log_rotations
from jamaint.store.jsonb import from_jsonb, jsonb, optional_jsonb
from jamaint.store.postgres import Connection, Row
from jamaint.store.queries import statements

SQL = statements("rollback_points")


@dataclass(frozen=True, slots=True)
class RollbackPoint:
    """`opening` is what the worker was given; `begun` of `steps` may have touched something.

    `undoing` names the steps whose undo has been begun.
    """

    id: str
    execution_id: str
    status: str  # open undoing undone incomplete purging purged
    created_at: datetime
    expires_at: datetime
    opening: Mapping[str, Any]
    steps: tuple[Step, ...]
    seal: str
    begun: int = 0
    undoing: tuple[str, ...] = ()
    bytes: int = 0
    result: Mapping[str, Any] | None = None


class Kept(NamedTuple):
    """A point beside its execution's task, status and metrics."""

    point: RollbackPoint
    task_name: str
    run_status: str
    metrics: Mapping[str, Any]


def sealed(opening: Mapping[str, Any], steps: Sequence[Step]) -> Mapping[str, Any]:
    """What a point's seal is over: as it comes back from the store."""
    value: Mapping[str, Any] = from_jsonb(jsonb({"opening": opening, "steps": [step_to_json(step) for step in steps]}))
    return value


async def create(connection: Connection, point: RollbackPoint) -> None:
    """Writes a new point, before the first step begins."""
    await connection.execute(
        SQL["create"],
        point.id,
        point.execution_id,
        point.created_at,
        point.expires_at,
        jsonb(point.opening),
        jsonb([step_to_json(step) for step in point.steps]),
        point.bytes,
        point.seal,
    )


async def begin_step(connection: Connection, point_id: str, begun: int) -> None:
    """Writes that step number `begun` (from 1) is about to begin."""
    await connection.execute(SQL["begin_step"], point_id, begun)


async def begin_undo(connection: Connection, point_id: str, step: str) -> None:
    """Writes that the undo of a step is about to begin."""
    await connection.execute(SQL["begin_undo"], point_id, step)


async def move(
    connection: Connection,
    point_id: str,
    from_statuses: Sequence[str],
    status: str,
    *,
    claim: str,
    result: Mapping[str, Any] | None = None,
) -> RollbackPoint | None:
    """Move the point on if its status is one of `from_statuses`; None if somebody else was first.

    `claim` is a uuid, new for each move and the same for each try of it: the second try returns what the first did.
    """
    row = await connection.fetchrow(SQL["move"], point_id, list(from_statuses), status, optional_jsonb(result), claim)
    if row is not None and status in ("undone", "incomplete"):
        await log_rotations.take_back(connection, str(row["execution_id"]), status == "undone")
    return None if row is None else from_row(row)


async def note_bytes(connection: Connection, point_id: str, kept: int) -> None:
    """Writes how many bytes the point keeps."""
    await connection.execute(SQL["note_bytes"], point_id, kept)


async def of_execution(connection: Connection, execution_id: str) -> RollbackPoint | None:
    """The execution's point, or None."""
    row = await connection.fetchrow(SQL["of_execution"], execution_id)
    return None if row is None else from_row(row)


async def of_executions(connection: Connection, execution_ids: Sequence[str]) -> dict[str, RollbackPoint]:
    """The points of several executions, by execution id."""
    rows = await connection.fetch(SQL["of_executions"], [UUID(ident) for ident in execution_ids])
    return {str(row["execution_id"]): from_row(row) for row in rows}


async def half_way(connection: Connection) -> list[RollbackPoint]:
    """Points that were being undone or purged when a daemon died."""
    return [from_row(row) for row in await connection.fetch(SQL["half_way"])]


async def held(connection: Connection, now: datetime) -> list[HoldRecord]:
    """What undos have put back and is held at a moment, as the workers have told it, each with its execution."""
    found: list[HoldRecord] = []
    for row in await connection.fetch(SQL["held"]):
        records: list[HoldRecord] = from_jsonb(row["held"])
        found += [{**one, "execution": str(row["execution_id"])} for one in standing(records, nanoseconds(now))]
    return found


async def holding(connection: Connection, execution_id: str | None = None) -> list[Kept]:
    """The points whose undo has put something back, held or not, the newest first; of one execution, or all."""
    ident = None if execution_id is None else UUID(execution_id)
    return [_kept(row) for row in await connection.fetch(SQL["holding"], ident)]


async def put_held(connection: Connection, point_id: str, records: Sequence[HoldRecord]) -> None:
    """Writes what is still held of a point's undo."""
    await connection.execute(SQL["put_held"], point_id, jsonb(records))


async def incomplete(connection: Connection) -> list[RollbackPoint]:
    """Points whose rollback has left something, the newest first."""
    return [from_row(row) for row in await connection.fetch(SQL["incomplete"])]


async def expired(connection: Connection, now: datetime) -> list[RollbackPoint]:
    """Points whose retention has ended."""
    return [from_row(row) for row in await connection.fetch(SQL["expired"], now)]


async def kept(connection: Connection, execution_ids: Sequence[str] | None = None) -> list[Kept]:
    """All points that keep something, or those of some executions whatever they keep; the oldest first."""
    ids = None if execution_ids is None else [UUID(ident) for ident in execution_ids]
    return [_kept(row) for row in await connection.fetch(SQL["kept"], ids)]


def _kept(row: Row) -> Kept:
    return Kept(from_row(row), row["run_task"], row["run_status"], from_jsonb(row["run_metrics"]) or {})


async def put_off_purge(
    connection: Connection, point_id: str, until: datetime, status: str, result: Mapping[str, Any]
) -> None:
    """A purge that could not do all is tried again then; `purging`, once a part is gone. What an undo told stays."""
    await connection.execute(SQL["put_off_purge"], point_id, until, status, jsonb(result))


async def next_expiry(connection: Connection) -> datetime | None:
    """When the next point's retention ends."""
    moment: datetime | None = await connection.fetchval(SQL["next_expiry"])
    return moment


async def latest_known(connection: Connection) -> datetime | None:
    """The latest moment that anything here tells of: time had come so far when a daemon last wrote."""
    moment: datetime | None = await connection.fetchval(SQL["latest_known"])
    return moment


def from_row(row: Row) -> RollbackPoint:
    """The value of a row of rollback_points. One that nobody can read is a point without steps or seal: not trusted."""
    try:
        opening, steps = from_jsonb(row["opening"]), tuple(step_from_json(step) for step in from_jsonb(row["steps"]))
        seal = row["seal"]
    except (KeyError, TypeError, ValueError, AttributeError):
        opening, steps, seal = {}, (), ""
    return RollbackPoint(
        id=str(row["id"]),
        execution_id=str(row["execution_id"]),
        status=row["status"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        opening=opening,
        steps=steps,
        seal=seal,
        begun=row["begun"],
        undoing=tuple(row["undoing"]),
        bytes=row["bytes"],
        result=from_jsonb(row["result"]),
    )
