"""Policies: which counts, what matches, what they set, who approves, and what an emergency lifts."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core_examples import HOUR, MINUTE, NOON, execution, task, window
from jamaint.core.calendar.freezes import Freeze, state_at
from jamaint.core.calendar.periods import Periods
from jamaint.core.conditions import Facts, Unknown
from jamaint.core.conditions.load_average import Load
from jamaint.core.guards.guard import Snapshot, Verdict, Waiting
from jamaint.core.policies.approvals import Approval, digest_of, usable
from jamaint.core.policies.overrides import KEY, LIFTS, override
from jamaint.core.policies.policies import (
    DECISIONS,
    BackupRequired,
    Policy,
    Rate,
    Rules,
    effective,
    emergency_seconds,
    in_order,
    protected_by,
    retention_seconds,
    unreadable,
)
from jamaint.core.scheduling.agenda import decide, explain
from jamaint.core.scopes import Scope
from jamaint.core.tasks import PRIORITIES, Condition, Retry, RollbackRule, Task

FREEZE = Freeze("p#0", (Periods(((NOON - HOUR, NOON + HOUR),)),))
FROZEN = {"p#0": state_at(FREEZE, NOON)}
FREEZES = Rules(freezes=(FREEZE,))
CALM = Condition("load_average", {"max": 2.0, "minutes": 1, "per_cpu": False})
MINE = Scope(tasks=("cleanup",))


def policy(name: str = "p", **changes: Any) -> Policy:
    return Policy(f"id of {name}", name, **changes)


def waiting(one: Task | None = None, **changes: Any) -> Waiting:
    its_task = one or task()
    return Waiting(execution(task_name=its_task.name, **changes), its_task)


def judged(*policies: Policy, one: Waiting | None = None, **seen: Any) -> Verdict:
    snapshot = Snapshot((), policies=in_order(policies), frozen=FROZEN, **seen)
    return next(found for found in explain(snapshot, one or waiting(), NOON) if found.guard == "policy")


def approval(**changes: Any) -> Approval:
    fields: dict[str, Any] = {
        "id": "a1",
        "task_name": "cleanup",
        "by": "ana",
        "at": NOON - HOUR,
        "expires_at": NOON + HOUR,
        "as_principals": frozenset({"admin"}),
        "definition": digest_of({}),
    }
    return Approval(**{**fields, **changes})


class TestOrder:
    @pytest.mark.parametrize(
        ("first", "second", "verdict"),
        [
            ({"decision": "allow"}, {}, "refuse"),
            ({"decision": "allow", "priority": 99}, {}, "pass"),
            ({"decision": "allow", "priority": 200, "scope": MINE}, {"priority": 1}, "pass"),
            ({"decision": "allow", "scope": Scope(types=("cleanup",))}, {"scope": Scope(windows=("night",))}, "pass"),
            ({"decision": "allow", "priority": 1, "enabled": False}, {}, "refuse"),
            ({"decision": "defer"}, {}, "refuse"),
            ({"decision": "defer", "priority": 1}, {}, "wait"),
            ({"scope": Scope(types=("update",))}, {"enabled": False}, "pass"),
        ],
    )
    def test_the_nearer_scope_goes_first_then_the_lower_number_then_deny(
        self, first: dict[str, Any], second: dict[str, Any], verdict: str
    ) -> None:
        found = judged(policy("a", rules=FREEZES, **first), policy("b", rules=FREEZES, **second))
        assert found.verdict == verdict

    scopes = st.builds(
        Scope,
        types=st.sampled_from([(), ("cleanup",)]),
        categories=st.sampled_from([(), ("logs",)]),
        tasks=st.sampled_from([(), ("cleanup",)]),
        windows=st.sampled_from([(), ("night",)]),
    )
    policies = st.builds(
        policy,
        st.sampled_from("abcdef"),
        scope=scopes,
        priority=st.integers(0, 3),
        decision=st.sampled_from(DECISIONS),
        rules=st.sampled_from([FREEZES, Rules(rollback_required=True)]),
    )

    @given(st.lists(policies, max_size=6, unique_by=lambda one: one.name), st.randoms())
    @settings(derandomize=True, deadline=None)
    def test_the_order_in_which_they_are_written_is_of_no_matter(self, policies: list[Policy], random: Any) -> None:
        shuffled = list(policies)
        random.shuffle(shuffled)
        one = waiting(window_name="night")
        assert judged(*policies, one=one) == judged(*shuffled, one=one)

    @given(st.lists(policies, min_size=1, max_size=6, unique_by=lambda one: one.name))
    @settings(derandomize=True, deadline=None)
    def test_where_none_allows_and_one_denies_nothing_starts(self, policies: list[Policy]) -> None:
        biting = [replace(one, rules=FREEZES) for one in policies if one.decision != "allow"]
        found = judged(*biting, one=waiting(window_name="night"))
        assert (found.verdict == "pass") is (not biting)


@pytest.mark.parametrize(
    ("rules", "one", "seen", "verdict", "says"),
    [
        (FREEZES, waiting(), {}, "refuse", "policy p: it freezes until 2026-11-24 13:00:00 UTC"),
        (
            Rules(rollback_required=True),
            waiting(task(rollback=RollbackRule(False))),
            {},
            "refuse",
            "policy p: undo data is required, and it keeps no undo data (rollback.enabled: false)",
        ),
        (
            Rules(rollback_required=True),
            waiting(task(executor="command")),
            {},
            "refuse",
            "policy p: undo data is required, and it has no rollback_command",
        ),
        (Rules(rollback_required=True), waiting(), {}, "pass", "1 policies allow it"),
        (
            Rules(backups=(BackupRequired(3600, "dump"),)),
            waiting(),
            {},
            "refuse",
            "policy p: dump must have completed within 1 h, and the newest never has",
        ),
        (
            Rules(backups=(BackupRequired(3600, "dump"),)),
            waiting(),
            {"completed": {"dump": NOON - 2 * HOUR}},
            "refuse",
            "policy p: dump must have completed within 1 h, and the newest was 2 h ago",
        ),
        (
            Rules(backups=(BackupRequired(3600),)),
            waiting(),
            {"completed": {"dump": NOON - MINUTE, "old": NOON - 9 * HOUR}, "backups": ("old", "dump")},
            "pass",
            "1 policies allow it",
        ),
        (
            Rules(protected_paths=("/srv/keep",)),
            waiting(task(config={"log_paths": ["/srv/keep/app/*.log"], "exclude": []})),
            {},
            "refuse",
            "policy p: /srv/keep/app/*.log is protected (/srv/keep)",
        ),
        (
            Rules(rates=(Rate(2, 3600),)),
            waiting(),
            {"starts": {"cleanup": [NOON - 30 * MINUTE, NOON - 10 * MINUTE]}, "defined": {"cleanup": task()}},
            "refuse",
            "policy p: 2 of 2 have started within 1 h, the next may be at 2026-11-24 12:30:00 UTC",
        ),
        (
            Rules(rates=(Rate(2, 3600),)),
            waiting(),
            {"starts": {"cleanup": [NOON - HOUR, NOON - 10 * MINUTE]}, "defined": {"cleanup": task()}},
            "pass",
            "1 policies allow it",
        ),
        (
            Rules(rates=(Rate(apart_seconds=1200),)),
            waiting(),
            {"starts": {"cleanup": [NOON - 10 * MINUTE]}, "defined": {"cleanup": task()}},
            "refuse",
            "policy p: starts must be 20 min apart, the next may be at 2026-11-24 12:10:00 UTC",
        ),
    ],
)
def test_a_rule_that_bites_says_what_is_against_it(
    rules: Rules, one: Waiting, seen: dict[str, Any], verdict: str, says: str
) -> None:
    found = judged(policy(rules=rules), one=one, **seen)
    assert found.verdict == verdict
    assert found.detail == says


def test_a_rate_counts_what_starts_in_the_same_moment() -> None:
    tasks = [task(name) for name in ("one", "two", "three")]
    ones = [Waiting(execution(f"of {each.name}", task_name=each.name), each) for each in tasks]
    rate = policy(rules=Rules(rates=(Rate(2, 3600),)))
    agenda = decide(Snapshot(ones, policies=(rate,), defined={each.name: each for each in tasks}), NOON)
    assert len(agenda.start) == 2
    assert [against[0].guard for _, against in agenda.skip] == ["policy"]


def test_a_policy_holds_only_while_its_conditions_do() -> None:
    calm = replace(CALM, unknown_is_met=True)
    found = [
        judged(policy(rules=FREEZES, conditions=(calm,)), facts=Facts({calm.question: fact})).verdict
        for fact in (Load({1: 1.0}, 1), Load({1: 3.0}, 1), Unknown("no idea"), Unknown("looked at", is_pending=True))
    ]
    assert found == ["refuse", "pass", "refuse", "wait"]


def test_unreadable_policy_defers_every_start_and_says_what_to_do() -> None:
    closed = unreadable("p", {"actions": ["deny"]}, "no such path is granted")
    assert closed is not None
    verdict = judged(closed, policy("later", decision="allow"))
    assert verdict.verdict == "wait"
    assert "jamaintctl policy update p" in verdict.detail


def test_unreadable_policy_that_only_allows_is_left_out() -> None:
    assert unreadable("p", {"actions": ["allow"]}, "why") is None


class TestApproval:
    ASKS = policy(rules=Rules(approval_by=()), decision=None)

    def test_it_waits_and_says_for_whom(self) -> None:
        assert judged(self.ASKS) == ("policy", "wait", "policy p: it waits for approval by an admin")
        named = policy(rules=Rules(approval_by=("user:ana", "group:dba")), decision=None)
        assert judged(named).detail.endswith("by user:ana or group:dba")

    @pytest.mark.parametrize(
        ("changes", "verdict"),
        [
            ({}, "pass"),
            ({"expires_at": NOON}, "wait"),
            ({"task_name": "other"}, "wait"),
            ({"execution_id": "e1"}, "pass"),
            ({"execution_id": "e2"}, "wait"),
            ({"execution_id": "e2", "occurrences": 2, "used_by": ("e2",)}, "pass"),
            ({"used_by": ("e0",)}, "wait"),
            ({"used_by": ("e0",), "occurrences": 2}, "pass"),
            ({"used_by": ("e0", "e2"), "occurrences": 2}, "wait"),
            ({"as_principals": frozenset({"user:bob"})}, "wait"),
            ({"plan": "abc"}, "pass"),
            ({"definition": digest_of({"config": {}})}, "wait"),
            ({"definition": None}, "wait"),
        ],
    )
    def test_one_that_covers_it_lets_it_start(self, changes: dict[str, Any], verdict: str) -> None:
        assert judged(self.ASKS, approvals=(approval(**changes),)).verdict == verdict

    @pytest.mark.parametrize(
        ("by", "asker", "verdict"),
        [("ana", "ana", "wait"), ("ana", "ana: now", "wait"), ("ana", "bob", "pass"), ("root", "root", "pass")],
    )
    def test_approval_of_ones_own_request_does_not_count(self, by: str, asker: str, verdict: str) -> None:
        one = waiting(requested_by=asker)
        assert judged(self.ASKS, one=one, approvals=(approval(by=by),)).verdict == verdict

    def test_override_does_not_make_up_for_an_approval(self) -> None:
        given = override("o", "ana", "fire", NOON, HOUR)
        one = waiting(options={KEY: given})
        assert judged(policy(rules=FREEZES, decision="require_approval"), one=one).verdict == "wait"
        assert judged(policy(rules=FREEZES), one=one).verdict == "pass"

    def test_bound_to_a_plan_it_lets_that_plan_start(self) -> None:
        for asked, verdict in (("abc", "pass"), ("def", "wait")):
            one = waiting(options={"plan": asked})
            assert judged(self.ASKS, one=one, approvals=(approval(plan="abc"),)).verdict == verdict

    def test_the_one_for_this_execution_is_used_before_others(self) -> None:
        own, general = approval(execution_id="e1"), approval(id="a2", expires_at=NOON + MINUTE)
        assert usable([general, own], execution(), (), NOON, {}) == own

    def test_asked_for_by_an_action_where_a_rule_bites(self) -> None:
        found = judged(policy(rules=FREEZES, decision="require_approval"))
        assert found.detail == ("policy p: it freezes until 2026-11-24 13:00:00 UTC: it waits for approval by an admin")
        assert judged(policy(rules=FREEZES, decision="require_approval"), approvals=(approval(),)).verdict == "pass"


class TestSettings:
    def test_a_default_gives_way_to_what_the_task_says_and_what_is_set_does_not(self) -> None:
        default = policy("a", rules=Rules(timeout_seconds=60, retry=Retry(3)), decision=None)
        forced = policy("b", sets={"priority": "low", "on_window_end": "cancel"}, decision=None)
        plain = effective(task(), None, in_order([default, forced]))
        assert (plain.timeout_seconds, plain.retry.attempts, plain.priority) == (60, 3, "low")
        said = task(timeout_seconds=5, retry=Retry(2), definition={"retry": {}}, priority="critical")
        found = effective(said, None, in_order([default, forced]))
        assert (found.timeout_seconds, found.retry.attempts, found.priority) == (5, 2, "low")
        assert found.on_window_end == "cancel"

    def test_the_first_that_sets_a_key_has_it(self) -> None:
        sets = [policy(name, sets={"priority": name}, priority=at, decision=None) for at, name in enumerate(PRIORITIES)]
        assert effective(task(), None, in_order(sets)).priority == PRIORITIES[0]

    def test_protected_paths_are_left_alone_by_what_can_leave_paths_alone(self) -> None:
        keep = [policy(rules=Rules(protected_paths=("/srv/app/keep",)))]
        logs = task(config={"log_paths": ["/srv/app/**/*.log"], "exclude": ["a"]})
        assert effective(logs, None, keep).config["exclude"] == ["a", "/srv/app/keep"]
        temp = task(config={"paths": [{"path": "/srv/app", "exclude": []}]})
        assert effective(temp, None, keep).config["paths"][0]["exclude"] == ["/srv/app/keep"]
        assert protected_by(logs, ["/srv/app/keep"]) is None
        assert protected_by(task(config={"directory": "/srv/app"}), ["/srv/app/keep"]) == "/srv/app"
        assert protected_by(task(config={"command": ["/srv/app/keep/x"]}), ["/srv/app/keep"]) is None

    def test_who_is_told_is_added_once(self) -> None:
        tells = policy(notify={"on": ["failed"], "channels": ["ops", "boss"]}, decision=None)
        found = effective(task(notifications={"on": ["failed"], "channels": ["ops"]}), None, [tells])
        assert found.notifications == {"on": ["failed"], "channels": ["ops", "boss"]}

    def test_retention_and_leave_for_emergencies_are_of_the_first_that_says(self) -> None:
        found = in_order(
            [
                policy("a", rules=Rules(retention_seconds=9.0, emergency_seconds=5.0), decision=None),
                policy("b", rules=Rules(retention_seconds=1.0), scope=MINE, decision=None),
            ]
        )
        assert retention_seconds(task(), found) == 1.0
        assert emergency_seconds(task(), None, found) == 5.0
        assert retention_seconds(task("other"), found) == 9.0

    def test_without_a_policy_for_it_a_task_is_the_very_same(self) -> None:
        one = task()
        assert effective(one, None, [policy(scope=Scope(types=("update",)))]) is one


class TestEmergency:
    GIVEN = override("o1", "ana", "the disk is full", NOON, HOUR)

    def test_it_lifts_times_and_conditions_and_says_who_and_why(self) -> None:
        one = waiting(
            task(conditions=(CALM,), expected_duration_seconds=9e9),
            window_name="night",
            options={KEY: self.GIVEN},
        )
        held = Snapshot(
            (),
            windows={"night": window()},
            freezes=(state_at(replace(FREEZE, name="f"), NOON),),
            policies=(policy(rules=FREEZES),),
            frozen=FROZEN,
            facts=Facts({CALM.question: Load({1: 3.0}, 1)}),
        )
        found = explain(held, one, NOON)
        assert {verdict.verdict for verdict in found} == {"pass"}
        lifted = {verdict.guard: verdict.detail for verdict in found if "emergency" in verdict.detail}
        assert set(lifted) == {"window", "freeze", "condition"}  # closed, it has no end to fit into
        assert lifted["window"] == (
            "window night is closed; overridden by the emergency override of ana (the disk is full)"
        )
        assert decide(replace(held, waiting=(one,)), NOON).start == ("e1",)

    def test_after_its_end_it_lifts_nothing(self) -> None:
        one = waiting(window_name="night", options={KEY: self.GIVEN})
        late = explain(Snapshot(()), one, NOON + HOUR)
        assert next(verdict for verdict in late if verdict.guard == "window").verdict == "wait"

    @pytest.mark.parametrize(
        "rules",
        [Rules(approval_by=()), Rules(rates=(Rate(1, 60),)), Rules(backups=(BackupRequired(1, "dump"),))],
    )
    def test_it_lifts_no_policy_but_freezes(self, rules: Rules) -> None:
        decision = None if rules.approval_by is not None else "deny"
        one = waiting(options={KEY: self.GIVEN})
        seen = {"starts": {"cleanup": [NOON]}, "defined": {"cleanup": task()}}
        assert judged(policy(rules=rules, decision=decision), one=one, **seen).verdict != "pass"

    def test_what_protects_data_is_not_among_what_it_lifts(self) -> None:
        assert set(LIFTS) == {"window", "freeze", "fit", "condition"}
