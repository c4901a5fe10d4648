"""Approvals that have not ended, in memory for the decisions, and what has started on them."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from jamaint.core.guards.guard import Waiting
from jamaint.core.policies.approvals import Approval, usable
from jamaint.core.policies.policies import Policy, about


class Approving:
    """The approvals; a change is written down by whoever makes it."""

    def __init__(self) -> None:
        self.approvals: tuple[Approval, ...] = ()

    def load(self, approvals: Iterable[Approval]) -> None:
        """Takes over what the store knows."""
        self.approvals = tuple(approvals)

    def add(self, approval: Approval) -> None:
        """One more."""
        self.approvals = (*(one for one in self.approvals if one.expires_at > approval.at), approval)

    def use(self, waiting: Waiting, policies: Iterable[Policy], now: datetime) -> tuple[Approval, ...]:
        """The approvals on which an execution starts: from here on they count as used by it."""
        execution = waiting.execution
        used: list[Approval] = []
        for policy in about(policies, waiting.task, execution.window_name):
            if policy.rules.approval_by is None and policy.decision != "require_approval":
                continue
            found = usable(self.approvals, execution, policy.rules.approval_by or (), now, waiting.task.definition)
            if found is not None and found not in used:
                used.append(found)
        self.approvals = tuple(
            replace(one, used_by=(*one.used_by, execution.id)) if one in used else one for one in self.approvals
        )
        return tuple(used)
