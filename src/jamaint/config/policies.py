"""Policies as they stand in the file or come through the socket, and the core's values made from them."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, PlainValidator

from jamaint.config.conditions import ConditionGiven
from jamaint.config.freezes import Default, ScopeGiven
from jamaint.config.periods import PeriodGiven, read_periods, schedule_flaws
from jamaint.config.sections import principal
from jamaint.config.task_window_models import ENDS, Name, NotificationsGiven, RetryGiven, object_id
from jamaint.config.task_window_parser import Read, condition_flaws
from jamaint.core.calendar.freezes import Freeze
from jamaint.core.policies.policies import DECISIONS, BackupRequired, Policy, Rate, Rules
from jamaint.core.tasks import PRIORITIES, Condition, Origin, Retry
from jamaint.schema import paths
from jamaint.schema.errors import Flaw, dotted
from jamaint.schema.executor_config import GrantedName
from jamaint.schema.fields import Flag, Note, Seconds, Section, between, one_of, some
from jamaint.schema.validation import exactly_one, read

RULES = (
    "freeze",
    "rate",
    "approval",
    "rollback_required",
    "backup_required",
    "protected_paths",
    "retry",
    "timeout",
    "retention",
    "emergency",
)
MOST_PRIORITY = 1_000_000


class FreezeRule(PeriodGiven):
    """rules: freeze: when nothing that the policy is about may start."""

    default: Default = "open"


class RateGiven(Section):
    """rules: rate: how often something that the policy is about may start."""

    at_most: Annotated[int, PlainValidator(between(1, 100_000))] | None = None
    within: Seconds | None = None
    apart: Seconds | None = None


class ApprovalGiven(Section):
    """rules: approval: that somebody has to say yes before it starts."""

    by: tuple[Annotated[Any, PlainValidator(principal)], ...] = ()


class BackupGiven(Section):
    """rules: backup_required: that there is a backup, and how old it may be."""

    within: Seconds = Field(description="how long ago a backup may have completed, such as 24h")
    task: Name | None = None


class EmergencyGiven(Section):
    """rules: emergency: that an operator may lift windows, freezes and conditions, with a reason."""

    lasts: Seconds = 3600.0


class RuleGiven(Section):
    """One rule: exactly one key."""

    WORD: ClassVar[str] = "rule"

    freeze: FreezeRule | None = None
    rate: RateGiven | None = None
    approval: ApprovalGiven | None = None
    rollback_required: Flag | None = None
    backup_required: BackupGiven | None = None
    protected_paths: (
        Annotated[tuple[Annotated[str, PlainValidator(paths.absolute)], ...], AfterValidator(some)] | None
    ) = None
    retry: RetryGiven | None = None
    timeout: Seconds | None = None
    retention: Seconds | None = None
    emergency: EmergencyGiven | None = None


class SetGiven(Section):
    """actions: set: what tasks get, whatever they say themselves."""

    priority: Annotated[str, PlainValidator(one_of(PRIORITIES))] | None = None
    timeout: Seconds | None = None
    on_window_end: Annotated[Literal["finish", "pause", "cancel"], PlainValidator(one_of(ENDS))] | None = None
    retry: RetryGiven | None = None


class ActionGiven(Section):
    """An action that has more to it than a word: exactly one key."""

    WORD: ClassVar[str] = "action"

    set: SetGiven | None = None
    notify: NotificationsGiven | None = None


def action(value: Any) -> str | ActionGiven:
    """One of DECISIONS, or a mapping with `set` or `notify`."""
    if not isinstance(value, Mapping):
        return one_of((*DECISIONS, "set: {…}", "notify: {…}"))(value)
    model, flaws = read(ActionGiven, value)
    flaws += exactly_one(value, ("set", "notify"), flaws, ())
    if model is None or flaws:
        raise ValueError("; ".join(f"{dotted(flaw.path)}: {flaw.problem}" for flaw in flaws).removeprefix(": "))
    return model


class PolicyGiven(Section):
    """A policy."""

    name: Name
    description: Note = ""
    enabled: Flag = True
    priority: Annotated[int, PlainValidator(between(0, MOST_PRIORITY))] = 100
    scope: ScopeGiven = ScopeGiven()
    rules: tuple[RuleGiven, ...] = ()
    actions: tuple[Annotated[Any, PlainValidator(action)], ...] | None = None
    conditions: tuple[ConditionGiven, ...] = ()


def _condition(given: ConditionGiven, allows: bool) -> Condition:
    """Return a policy's condition. A fact that cannot be learnt keeps a policy in force, but none that allows."""
    is_met = not allows if "on_unknown" not in given.model_fields_set else given.on_unknown == "met"
    return replace(given.condition(), unknown_is_met=is_met)


def read_policy(given: Mapping[str, Any], origin: Origin) -> Read[Policy]:
    """Reads a policy, which has its `name` in it."""
    model, flaws = read(PolicyGiven, given)
    for at, rule in _rules_given(given):
        flaws += exactly_one(rule, RULES, flaws, at)
        flaws += schedule_flaws(rule.get("freeze"), flaws, (*at, "freeze"))
    flaws += condition_flaws(given, flaws)
    if model is None or flaws:
        return Read(None, tuple(flaws))
    rules, problems = _rules(given, model)
    decision, sets, notify = _actions(model)
    problems += _senseless(model, rules, decision, bool(sets or notify))
    if problems:
        return Read(None, tuple(problems))
    policy = Policy(
        id=object_id("policy", model.name),
        name=model.name,
        scope=model.scope.scope(),
        rules=rules,
        decision=decision,
        sets=sets,
        notify=notify,
        conditions=tuple(_condition(one, allows=decision == "allow") for one in model.conditions),
        priority=model.priority,
        description=model.description,
        enabled=model.enabled,
        origin=origin,
        definition=dict(given),
    )
    return Read(policy, (), (), tuple(_named(model)))


def _rules_given(given: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], Mapping[str, Any]]]:
    rules = given.get("rules")
    for index, rule in enumerate(rules if isinstance(rules, list) else ()):
        if isinstance(rule, Mapping):
            yield ("rules", index), rule


def _rules(given: Mapping[str, Any], model: PolicyGiven) -> tuple[Rules, list[Flaw]]:
    found, flaws = Rules(), list[Flaw]()
    for (at, given_rule), rule in zip(_rules_given(given), model.rules, strict=True):
        if rule.freeze is not None:
            periods = read_periods(given_rule["freeze"], rule.freeze, (), (*at, "freeze"))
            flaws += periods.flaws
            if periods.value is not None:
                closed = rule.freeze.default == "closed"
                name = f"{model.name}#{len(found.freezes)}"
                freeze = Freeze(
                    name, (periods.value,), closed_by_default=closed, timezone=rule.freeze.timezone or "UTC"
                )
                found = replace(found, freezes=(*found.freezes, freeze))
        elif rule.rate is not None:
            flaws += _rate_flaws(rule.rate, (*at, "rate"))
            rate = Rate(rule.rate.at_most, rule.rate.within or 0.0, rule.rate.apart or 0.0)
            found = replace(found, rates=(*found.rates, rate))
        elif rule.backup_required is not None:
            backup = BackupRequired(rule.backup_required.within, rule.backup_required.task)
            found = replace(found, backups=(*found.backups, backup))
        else:
            found = _plain(found, rule)
    return found, flaws


def _plain(found: Rules, rule: RuleGiven) -> Rules:
    """The rules with one of those that need no look beyond themselves."""
    changes: dict[str, Any] = {
        "timeout_seconds": rule.timeout,
        "retention_seconds": rule.retention,
        "rollback_required": rule.rollback_required or None,
        "protected_paths": None if rule.protected_paths is None else (*found.protected_paths, *rule.protected_paths),
        "approval_by": None if rule.approval is None else tuple(str(one) for one in rule.approval.by),
        "retry": None if rule.retry is None else _retry(rule.retry),
        "emergency_seconds": None if rule.emergency is None else rule.emergency.lasts,
    }
    return replace(found, **{key: value for key, value in changes.items() if value is not None})


def _rate_flaws(rate: RateGiven, at: tuple[str | int, ...]) -> Iterator[Flaw]:
    if rate.at_most is None and rate.apart is None:
        yield Flaw(at, "must have `at_most` and `within`, or `apart`")
    if (rate.at_most is None) != (rate.within is None):
        missing, there = ("within", "at_most") if rate.within is None else ("at_most", "within")
        yield Flaw((*at, missing), f"is missing beside `{there}`")


def _actions(model: PolicyGiven) -> tuple[str | None, dict[str, Any], dict[str, Any]]:
    """What is decided, what is set, and who is told. Left out, a policy denies if it has anything that matches."""
    decision, sets, notify = None, dict[str, Any](), dict[str, Any]()
    for each in model.actions or ():
        if isinstance(each, str):
            decision = each if decision is None or DECISIONS.index(each) < DECISIONS.index(decision) else decision
        elif each.set is not None:
            sets = {
                "priority": each.set.priority,
                "timeout_seconds": each.set.timeout,
                "on_window_end": each.set.on_window_end,
                "retry": None if each.set.retry is None else _retry(each.set.retry),
            }
        elif each.notify is not None:
            notify = {"on": list(each.notify.on), "channels": list(each.notify.channels)}
    if model.actions is None and any(_matches(rule) for rule in model.rules):
        decision = "deny"
    return decision, {key: value for key, value in sets.items() if value is not None}, notify


def _matches(rule: RuleGiven) -> bool:
    decides = (rule.freeze, rule.rate, rule.rollback_required, rule.backup_required, rule.protected_paths)
    return any(value is not None for value in decides)


def _senseless(model: PolicyGiven, rules: Rules, decision: str | None, changes: bool) -> Iterator[Flaw]:
    """What cannot be carried out as it stands."""
    if rules == Rules() and decision is None and not changes:
        yield Flaw(("rules",), "has no effect: give it a rule or an action")
    if rules.match and decision is None:
        choices = ", ".join(DECISIONS)
        yield Flaw(("actions",), f"must say what to do when a rule matches: one of {choices}")
    if changes and (rules.match or model.conditions):
        problem = "always apply; with conditions or rules that match only at times they need a policy of their own"
        yield Flaw(("actions",), f"`set` and `notify` {problem}")


def _retry(given: RetryGiven) -> Retry:
    return Retry(given.attempts, given.delay, given.factor, frozenset(given.on))


def _named(model: PolicyGiven) -> Iterator[GrantedName]:
    for index, condition in enumerate(model.conditions):
        for kind, path, value in condition.named():
            yield GrantedName(kind, ("conditions", index, *path), value)
    for index, rule in enumerate(model.rules):
        if rule.freeze is not None and rule.freeze.ics is not None:
            yield GrantedName("path", ("rules", index, "freeze", "ics"), rule.freeze.ics)
