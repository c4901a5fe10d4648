"""Restrictions: every freeze of the section and of policies, and which of them holds a task."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from jamaint.core.calendar.freezes import Freeze, state_at
from jamaint.core.calendar.periods import Periods, apart
from jamaint.core.calendar.restrictions import Hold, Holds, Restriction, hold_of, holds_at, restrictions
from jamaint.core.policies.policies import Policy, Rules
from jamaint.core.scopes import Scope
from jamaint.core.tasks import Condition, Task

START = datetime(2026, 11, 24, tzinfo=UTC)
HOUR = timedelta(hours=1)
TASK = Task(id="t", name="t", type="cleanup", category="logs", executor="noop", schedule=None, config={})


def freeze(name: str, *hours: tuple[int, int], closed: bool = False, scope: Scope | None = None) -> Freeze:
    spans = apart((START + first * HOUR, START + last * HOUR) for first, last in hours)
    return Freeze(name, (Periods(spans=spans),), scope or Scope(), closed_by_default=closed)


def test_policies_that_only_allow_or_set_restrict_nothing() -> None:
    rules = Rules(freezes=(freeze("p", (0, 5)),))
    policies = [
        Policy("1", "denies", rules=rules, decision="deny"),
        Policy("2", "allows", rules=rules, decision="allow"),
        Policy("3", "sets", rules=rules, decision=None),
        Policy("4", "off", rules=rules, enabled=False),
    ]
    found = restrictions([freeze("s", (0, 5))], policies)
    assert [(one.name, one.policy, one.effect) for one in found] == [("s", None, "defer"), ("denies", "denies", "deny")]


def test_restriction_carries_what_its_freeze_or_policy_says() -> None:
    rules = Rules(freezes=(freeze("rule", (0, 5)),))
    condition = Condition("file", {"path": "/x"})
    policies = [
        Policy("1", "defers", rules=rules, decision="defer", description="audit"),
        Policy("2", "asks", rules=rules, decision="require_approval", conditions=(condition,)),
    ]
    off = replace(freeze("off", (0, 5)), enabled=False)
    section = replace(freeze("s", (0, 5)), description="sale")
    found = restrictions([section, off], policies)
    assert [(one.name, one.effect, one.description, one.conditional) for one in found] == [
        ("s", "defer", "sale", False),
        ("defers", "defer", "audit", False),
        ("asks", "require_approval", "", True),
    ]
    assert Restriction(section, section.scope) == Restriction(section, section.scope, None, "defer", "", False)


def test_hold_that_never_ends_goes_before_any_other_in_either_order() -> None:
    ends = Hold(Restriction(freeze("ends", (0, 5)), Scope()), START + 5 * HOUR)
    last = Hold(Restriction(freeze("last", (0, 5)), Scope()), datetime.max.replace(tzinfo=UTC))
    ever = Hold(Restriction(freeze("ever", (0, 5)), Scope()), None)
    assert hold_of(TASK, None, [ends, ever]) is ever
    assert hold_of(TASK, None, [last, ever]) is ever
    assert hold_of(TASK, None, [ends, last]) is last


def test_holds_change_at_the_very_moment_and_are_kept_until_then() -> None:
    holds = Holds(restrictions([freeze("s", (1, 2))], []))
    assert holds.at(START) == ()
    held = holds.at(START + HOUR)
    assert [one.restriction.name for one in held] == ["s"]
    assert holds.at(START + HOUR * 1.5) is held
    assert holds.at(START + 2 * HOUR) == ()


def test_hold_that_lasts_longest_is_told_and_only_of_what_covers_the_task() -> None:
    other = freeze("other", (0, 90), scope=Scope(types=("backup",)))
    found = restrictions([freeze("short", (0, 5)), freeze("long", (0, 9)), other], [])
    hold = hold_of(TASK, None, holds_at(found, START + HOUR))
    assert hold is not None
    assert (hold.restriction.name, hold.until) == ("long", START + 9 * HOUR)
    endless = restrictions([freeze("short", (0, 5)), freeze("ever", closed=True)], [])
    hold = hold_of(TASK, None, holds_at(endless, START + HOUR))
    assert hold is not None
    assert (hold.restriction.name, hold.until) == ("ever", None)
    assert hold_of(TASK, None, holds_at(found, START + 10 * HOUR)) is None


SPANS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=4)


@given(st.lists(st.tuples(SPANS, st.booleans()), max_size=4), st.lists(st.integers(0, 90), max_size=20))
def test_moments_in_a_row_give_what_each_gives_alone(
    given_spans: list[tuple[list[tuple[int, int]], bool]], halves: list[int]
) -> None:
    freezes = [freeze(str(at), *spans, closed=closed) for at, (spans, closed) in enumerate(given_spans)]
    found = restrictions(freezes, [])
    holds = Holds(found)
    for half in sorted(halves):
        moment = START + half * HOUR / 2
        alone = [one.name for one in freezes if state_at(one, moment).holds]
        assert [hold.restriction.name for hold in holds.at(moment)] == alone
