"""policy: whether a policy denies the start, puts it off, or wants it approved; the first that matches counts."""

from collections.abc import Iterable, Iterator
from datetime import timedelta

from jamaint.core.conditions import judge as judge_fact
from jamaint.core.guards.guard import Verdict, View, Waiting, clock, span
from jamaint.core.policies import approvals, overrides
from jamaint.core.policies.policies import Policy, Rate, about, protected_by, starts_within, without_way_back
from jamaint.core.tasks import Condition


def judge(waiting: Waiting, view: View) -> Verdict:
    mine = about(view.snapshot.policies, waiting.task, waiting.execution.window_name)
    for policy in mine:
        facts = [judge_fact(condition, view.snapshot.facts) for condition in policy.conditions]
        if any(not fact.holds and not fact.is_pending for fact in facts):
            continue
        pending = next((fact.says for fact in facts if fact.is_pending), None)
        verdict = _decided(policy, waiting, view)
        if pending is not None and verdict is not None and verdict.verdict != "pass":
            return Verdict("policy", "wait", f"policy {policy.name}: {pending}")
        if verdict is not None:
            return verdict
    return Verdict("policy", "pass", f"{len(mine)} policies allow it" if mine else "no policy applies")


def _decided(policy: Policy, waiting: Waiting, view: View) -> Verdict | None:
    """What the policy decides, or None if it lets others decide."""
    says = f"policy {policy.name}: "
    if policy.rules.approval_by is not None and (lacks := _lacking(policy, waiting, view)) is not None:
        return Verdict("policy", "wait", says + lacks)
    if policy.decision is None:
        return None
    match = next(_matches(policy, waiting, view), None)
    if match is None and (policy.rules.match or policy.rules.approval_by is not None or _only_sets(policy)):
        return None
    because = match or policy.description or "it holds always"
    if policy.decision == "allow":
        return Verdict("policy", "pass", f"{says}allowed, {because}")
    if policy.decision == "require_approval":
        lacks = _lacking(policy, waiting, view)
        return None if lacks is None else Verdict("policy", "wait", f"{says}{because}: {lacks}")
    refuses = policy.decision == "deny" or waiting.by_request
    return Verdict("policy", "refuse" if refuses else "wait", says + because)


def _only_sets(policy: Policy) -> bool:
    rules = policy.rules
    return any(value is not None for value in (rules.retry, rules.timeout_seconds, rules.retention_seconds)) or (
        rules.emergency_seconds is not None
    )


def _matches(policy: Policy, waiting: Waiting, view: View) -> Iterator[str]:
    """What is against a start now, of each rule that is."""
    rules, task = policy.rules, waiting.task
    for freeze in rules.freezes:
        state = view.snapshot.frozen.get(freeze.name)
        # An override lifts times; where a freeze asks for somebody else's approval, it does not make up for that.
        lifted = policy.decision != "require_approval" and overrides.lifts(waiting.execution, "freeze", view.now)
        if state is not None and state.holds and not lifted:
            told = f"{policy.description}, " if policy.description else ""
            yield f"{told}it freezes " + (
                "for ever" if state.changes_at is None else f"until {clock(state.changes_at)}"
            )
    for rate in rules.rates:
        against = _over(rate, policy, view)
        if against is not None:
            yield against
    if rules.rollback_required and (why := without_way_back(task)) is not None:
        yield f"undo data is required, and {why}"
    for backup in rules.backups:
        names = [backup.task] if backup.task else view.snapshot.backups
        newest = max((one for name in names if (one := view.snapshot.completed.get(name))), default=None)
        what = backup.task or "a backup"
        if newest is None or (view.now - newest).total_seconds() > backup.within_seconds:
            ago = "never has" if newest is None else f"was {span((view.now - newest).total_seconds())} ago"
            yield f"{what} must have completed within {span(backup.within_seconds)}, and the newest {ago}"
    if rules.protected_paths and (path := protected_by(task, rules.protected_paths)) is not None:
        yield f"{path} is protected ({', '.join(rules.protected_paths)})"


def _over(rate: Rate, policy: Policy, view: View) -> str | None:
    starts = view.starts_of(policy)
    if rate.apart_seconds and (recent := starts_within(starts, view.now, rate.apart_seconds)):
        again = recent[-1] + timedelta(seconds=rate.apart_seconds)
        return f"starts must be {span(rate.apart_seconds)} apart, the next may be at {clock(again)}"
    if rate.at_most is not None:
        recent = starts_within(starts, view.now, rate.within_seconds)
        if len(recent) >= rate.at_most:
            again = recent[-rate.at_most] + timedelta(seconds=rate.within_seconds)
            within = span(rate.within_seconds)
            return f"{len(recent)} of {rate.at_most} have started within {within}, the next may be at {clock(again)}"
    return None


def conditions_of(waiting: Waiting, policies: Iterable[Policy]) -> list[Condition]:
    """What has to be looked at to know which policies are in force for it."""
    mine = about(policies, waiting.task, waiting.execution.window_name)
    return [condition for policy in mine for condition in policy.conditions]


def _lacking(policy: Policy, waiting: Waiting, view: View) -> str | None:
    """That it waits for approval, and from whom; None if it has been approved."""
    principals = policy.rules.approval_by or ()
    execution = waiting.execution
    given, definition = view.snapshot.approvals, waiting.task.definition
    if approvals.usable(given, execution, principals, view.now, definition) is not None:
        return None
    whom = " or ".join(principals) or "an admin"
    return f"it waits for approval by {whom}"
