"""Restrictions: every freeze there is, of the section `freezes` or of a policy's rules, with what it is about."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from jamaint.core.calendar.freezes import Freeze, state_at
from jamaint.core.policies.policies import Policy
from jamaint.core.scopes import Scope
from jamaint.core.tasks import Task

NEVER = datetime.max.replace(tzinfo=UTC)
RESTRICTING = ("deny", "defer", "require_approval")
"""Decisions of a policy that keep a start from happening while one of its rules freezes."""


@dataclass(frozen=True, slots=True)
class Restriction:
    """One freeze. `policy` names the policy whose rule it is; `effect` is what happens to a start meanwhile."""

    freeze: Freeze
    scope: Scope
    policy: str | None = None
    effect: str = "defer"
    description: str = ""
    conditional: bool = False
    """True if the policy also has conditions, and so holds only while they hold."""

    @property
    def name(self) -> str:
        """The name that an operator knows it by."""
        return self.freeze.name if self.policy is None else self.policy


@dataclass(frozen=True, slots=True)
class Hold:
    """A restriction that holds at a moment; `until` is None if it never ends."""

    restriction: Restriction
    until: datetime | None


def restrictions(freezes: Iterable[Freeze], policies: Iterable[Policy]) -> tuple[Restriction, ...]:
    """Return the freezes that are enabled; those of policies that only allow or set something are none."""
    found = [Restriction(one, one.scope, description=one.description) for one in freezes if one.enabled]
    for policy in policies:
        if policy.enabled and policy.decision in RESTRICTING:
            conditional = bool(policy.conditions)
            found += [
                Restriction(one, policy.scope, policy.name, str(policy.decision), policy.description, conditional)
                for one in policy.rules.freezes
            ]
    return tuple(found)


def holds_at(found: Iterable[Restriction], moment: datetime) -> tuple[Hold, ...]:
    """Return those that hold at `moment`, in the order given."""
    return Holds(found).at(moment)


class Holds:
    """What holds at moments that only move forward: looks again when something has changed, and not at each."""

    def __init__(self, found: Iterable[Restriction]) -> None:
        self._found = tuple(found)
        self._holds: tuple[Hold, ...] = ()
        self._turns_at: datetime | None = datetime.min.replace(tzinfo=UTC)

    def at(self, moment: datetime) -> tuple[Hold, ...]:
        """Return what holds at `moment`, which is not before the one asked for last."""
        if self._turns_at is not None and moment >= self._turns_at:
            states = [(one, state_at(one.freeze, moment)) for one in self._found]
            self._holds = tuple(Hold(one, state.changes_at) for one, state in states if state.holds)
            self._turns_at = min((state.changes_at for _, state in states if state.changes_at), default=None)
        return self._holds


def hold_of(task: Task, window: str | None, holds: Iterable[Hold]) -> Hold | None:
    """Return the hold that keeps `task` from starting in `window` for the longest, or None."""
    mine = [hold for hold in holds if hold.restriction.scope.covers(task, window)]
    endless = next((hold for hold in mine if hold.until is None), None)
    return endless or max(mine, key=lambda hold: hold.until or NEVER, default=None)
