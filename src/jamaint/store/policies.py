"""Policies, approvals and emergency overrides as rows: a policy's definition is the authority for its other columns."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from jamaint.core.policies.approvals import Approval
from jamaint.core.policies.policies import Policy
from jamaint.store.jsonb import from_jsonb, jsonb, kept
from jamaint.store.postgres import Connection, Row
from jamaint.store.queries import statements

SQL = statements("policies")


class StoredPolicy(NamedTuple):
    """A policy's definition, and where it comes from."""

    name: str
    origin: str
    definition: Mapping[str, Any]
    created_by: str | None
    seal: str | None


class Override(NamedTuple):
    """An emergency override: who lifts which guards of an execution, why and until when; `lifted` are the verdicts
    that stood against it."""

    id: str
    execution_id: str
    task_name: str
    window_name: str | None
    given_by: str
    uid: int
    reason: str
    given_at: datetime
    until: datetime
    lifts: Sequence[str]
    lifted: Sequence[Mapping[str, Any]]


async def policies(connection: Connection) -> dict[str, StoredPolicy]:
    """All policies, by name."""
    return {
        row["name"]: StoredPolicy(
            row["name"], row["origin"], from_jsonb(row["definition"]), row["created_by"], row["seal"]
        )
        for row in await connection.fetch(SQL["all"])
    }


async def put_policy(
    connection: Connection, policy: Policy, created_by: str | None = None, seal: str | None = None
) -> None:
    """Inserts or replaces a policy."""
    given = kept(policy.origin, policy.definition)
    await connection.execute(
        SQL["put"],
        policy.id,
        policy.name,
        policy.description,
        jsonb(given.get("scope") or {}),
        jsonb(given.get("rules") or ()),
        jsonb(given.get("actions") or ()),
        jsonb(given.get("conditions") or ()),
        policy.enabled,
        policy.priority,
        policy.origin,
        jsonb(given),
        created_by,
        seal,
    )


async def delete_policy(connection: Connection, name: str) -> None:
    """Deletes a policy."""
    await connection.execute(SQL["delete"], name)


async def starts(connection: Connection, since: datetime) -> dict[str, list[datetime]]:
    """By task name, when executions have started since then."""
    found: dict[str, list[datetime]] = {}
    for row in await connection.fetch(SQL["starts"], since):
        found.setdefault(row["task_name"], []).append(row["started_at"])
    return found


async def approve(connection: Connection, approval: Approval, seal: str) -> None:
    """Writes an approval down, with its seal."""
    await connection.execute(
        SQL["approve"],
        approval.id,
        approval.task_name,
        approval.execution_id,
        approval.plan,
        approval.occurrences,
        approval.reason,
        approval.by,
        sorted(approval.as_principals),
        approval.at,
        approval.expires_at,
        seal,
        approval.definition,
    )


async def use_approval(connection: Connection, approval_id: str, execution_id: str) -> None:
    """An execution starts on an approval; harmless when it is done twice."""
    await connection.execute(SQL["use_approval"], approval_id, execution_id)


async def approvals(connection: Connection, now: datetime) -> list[tuple[Approval, str | None]]:
    """Those that have not ended, each with its seal, the oldest first."""
    return [(_approval(row), row["seal"]) for row in await connection.fetch(SQL["approvals"], now)]


async def override(connection: Connection, given: Override) -> None:
    """Writes an emergency override down."""
    await connection.execute(SQL["override"], *given[:-2], list(given.lifts), jsonb(given.lifted))


async def overrides(
    connection: Connection, since: datetime | None, before: tuple[datetime, str] | None, limit: int
) -> list[Override]:
    """Emergency overrides, the newest first; `before` is the (given_at, id) of the last one of the page before."""
    moment, ident = before or (None, None)
    return [
        Override(
            id=str(row["id"]),
            execution_id=str(row["execution_id"]),
            task_name=row["task_name"],
            window_name=row["window_name"],
            given_by=row["given_by"],
            uid=row["uid"],
            reason=row["reason"],
            given_at=row["given_at"],
            until=row["until"],
            lifts=tuple(row["lifts"]),
            lifted=tuple(from_jsonb(row["lifted"])),
        )
        for row in await connection.fetch(SQL["overrides"], since, moment, ident, limit)
    ]


async def forget(connection: Connection, task: str, before: datetime) -> int:
    """Deletes some of the task's executions that ended before then, with their logs; returns how many: 0 at the end."""
    return len(await connection.fetch(SQL["forget"], task, before))


def _approval(row: Row) -> Approval:
    return Approval(
        id=str(row["id"]),
        task_name=row["task_name"],
        by=row["approved_by"],
        at=row["approved_at"],
        expires_at=row["expires_at"],
        occurrences=row["occurrences"],
        execution_id=None if row["execution_id"] is None else str(row["execution_id"]),
        plan=row["plan"],
        reason=row["reason"],
        definition=row["definition"],
        as_principals=frozenset(row["principals"]),
        used_by=tuple(str(one) for one in row["used_by"]),
    )
