"""Approvals: who has said that a task may start, for how many times, until when, and for which plan.

Four eyes: nobody but an owner (root, or the person whose own daemon it is) approves what he asked for himself, and an
approval is for the task as it was defined then.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from jamaint.core.executions import Execution
from jamaint.core.secrets import without_passwords

ROOT = "root"
OWNER = "owner"
"""The principal that an owner goes by, beside those that a policy names."""


@dataclass(frozen=True, slots=True)
class Approval:
    """One approval. `execution_id` binds it to one execution; `plan` to a plan's hash, and what starts then does that.

    `definition` is the digest of the task's definition; without one it covers nothing.
    `used_by` are executions that have started on it; `as_principals` are the names that `by` goes by in policies.
    """

    id: str
    task_name: str
    by: str
    at: datetime
    expires_at: datetime
    occurrences: int = 1
    execution_id: str | None = None
    plan: str | None = None
    reason: str | None = None
    definition: str | None = None
    as_principals: frozenset[str] = frozenset()
    used_by: tuple[str, ...] = ()

    def sealed(self) -> dict[str, Any]:
        """What its seal is over: all that it allows."""
        return {
            "id": self.id,
            "task": self.task_name,
            "by": self.by,
            "as": sorted(self.as_principals),
            "at": self.at.isoformat(),
            "until": self.expires_at.isoformat(),
            "occurrences": self.occurrences,
            "execution": self.execution_id,
            "plan": self.plan,
            "definition": self.definition,
        }

    def covers(self, execution: Execution, definition: str, now: datetime) -> bool:
        """Whether it lets this execution start now, of a task with that digest of its definition."""
        return (
            execution.task_name == self.task_name
            and self.definition == definition
            and (self.by == ROOT or OWNER in self.as_principals or self.by != asker_of(execution))
            and self.at <= now < self.expires_at
            and (self.plan is None or execution.options.get("plan") in (None, self.plan))
            and (self.execution_id is None or self.execution_id == execution.id or self.occurrences > 1)
            and (execution.id in self.used_by or len(self.used_by) < self.occurrences)
        )

    def is_by(self, principals: Sequence[str]) -> bool:
        """Whether one of those who may approve has given it; with none named, any admin may."""
        return bool(self.as_principals & set(principals or ("admin",)))


def asker_of(execution: Execution) -> str | None:
    """Return who has asked for an execution; None for one that came by its schedule."""
    return (execution.requested_by or "").partition(": ")[0] or None


def digest_of(definition: Mapping[str, Any]) -> str:
    """Return the digest of a task's definition, without passwords: the same for the same keys and values."""
    return sha256(repr(_canonical(without_passwords(definition))).encode("utf-8", "surrogatepass")).hexdigest()


def _canonical(value: Any) -> Any:
    if isinstance(value, Mapping):
        return [(str(key), _canonical(value[key])) for key in sorted(value, key=str)]
    return [_canonical(one) for one in value] if isinstance(value, (list, tuple)) else value


def usable(
    approvals: Iterable[Approval],
    execution: Execution,
    principals: Sequence[str],
    now: datetime,
    definition: Mapping[str, Any],
) -> Approval | None:
    """The approval on which the execution may start: one of its own first, then the one that ends first."""
    given = [one for one in approvals if one.task_name == execution.task_name and one.is_by(principals)]
    digest = digest_of(definition) if given else ""
    found = [one for one in given if one.covers(execution, digest, now)]
    return min(found, key=lambda one: (one.execution_id != execution.id, one.expires_at), default=None)
