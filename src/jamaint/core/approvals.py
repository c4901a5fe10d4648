"""Approvals: who has said that a task may start, for how many times, until when, and for which plan."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jamaint.core.executions import Execution


@dataclass(frozen=True, slots=True)
class Approval:
    """One approval. `execution_id` binds it to one execution; `plan` to a plan's hash, and what starts then does that.

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
        }

    def covers(self, execution: Execution, now: datetime) -> bool:
        """Whether it lets this execution start now."""
        return (
            execution.task_name == self.task_name
            and self.at <= now < self.expires_at
            and (self.plan is None or execution.options.get("plan") in (None, self.plan))
            and (self.execution_id is None or self.execution_id == execution.id or self.occurrences > 1)
            and (execution.id in self.used_by or len(self.used_by) < self.occurrences)
        )

    def is_by(self, principals: Sequence[str]) -> bool:
        """Whether one of those who may approve has given it; with none named, any admin may."""
        return bool(self.as_principals & set(principals or ("admin",)))


def usable(
    approvals: Iterable[Approval], execution: Execution, principals: Sequence[str], now: datetime
) -> Approval | None:
    """The approval on which the execution may start: one of its own first, then the one that ends first."""
    found = [one for one in approvals if one.covers(execution, now) and one.is_by(principals)]
    return min(found, key=lambda one: (one.execution_id != execution.id, one.expires_at), default=None)
