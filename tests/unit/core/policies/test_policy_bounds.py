"""Policies, approvals and overrides, each asked directly: bounds, defaults, and what is written of them."""

from dataclasses import replace
from typing import Any

import pytest

from core_examples import HOUR, MINUTE, NOON, SECOND, execution, task
from jamaint.core.calendar.freezes import Freeze
from jamaint.core.policies.approvals import Approval, asker_of, digest_of, usable
from jamaint.core.policies.overrides import KEY, LASTS, lifts, override, told
from jamaint.core.policies.policies import (
    BackupRequired,
    Policy,
    Rate,
    Rules,
    about,
    effective,
    emergency_seconds,
    in_order,
    protected_by,
    retention_seconds,
    starts_within,
    unreadable,
    without_way_back,
)
from jamaint.core.scopes import Scope
from jamaint.core.tasks import Retry, RollbackRule

BACKUPS = Scope(types=("backup",))


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


class TestApproval:
    def test_seal_is_over_all_that_it_allows(self) -> None:
        one = approval(as_principals=frozenset({"user:b", "admin"}), execution_id="e1", plan="p", occurrences=2)
        assert one.sealed() == {
            "id": "a1",
            "task": "cleanup",
            "by": "ana",
            "as": ["admin", "user:b"],
            "at": "2026-11-24T11:00:00+00:00",
            "until": "2026-11-24T13:00:00+00:00",
            "occurrences": 2,
            "execution": "e1",
            "plan": "p",
            "definition": digest_of({}),
        }

    @pytest.mark.parametrize(
        ("changes", "now", "covers"),
        [
            ({}, NOON - HOUR - SECOND, False),
            ({}, NOON - HOUR, True),
            ({}, NOON + HOUR - SECOND, True),
            ({}, NOON + HOUR, False),
            ({"occurrences": 2, "used_by": ("a", "b")}, NOON, False),
            ({"occurrences": 2, "used_by": ("a", "e1")}, NOON, True),
            ({"execution_id": "e2"}, NOON, False),
            ({"execution_id": "e2", "occurrences": 2}, NOON, True),
            ({"task_name": "other"}, NOON, False),
            ({"definition": "x"}, NOON, False),
        ],
    )
    def test_covers(self, changes: dict[str, Any], now: Any, covers: bool) -> None:
        assert approval(**changes).covers(execution(), digest_of({}), now) is covers

    def test_who_may_give_it(self) -> None:
        one = approval(as_principals=frozenset({"user:ana", "group:dba"}))
        assert not one.is_by(())
        assert one.is_by(("user:bob", "group:dba"))
        assert approval().is_by(())
        assert not approval().is_by(("user:ana",))

    @pytest.mark.parametrize(
        ("by", "asker"), [(None, None), ("", None), ("ana", "ana"), ("ana: now: please", "ana"), ("ana:x", "ana:x")]
    )
    def test_asker(self, by: str | None, asker: str | None) -> None:
        assert asker_of(execution(requested_by=by)) == asker

    def test_digest_is_of_keys_and_values_in_any_order(self) -> None:
        assert digest_of({"a": [1, {"x": 2}], "b": "c"}) == digest_of({"b": "c", "a": (1, {"x": 2})})
        assert digest_of({"a": 1}) != digest_of({"a": 2})
        assert digest_of({"a": {"x": 1}}) != digest_of({"a": {"y": 1}})
        assert digest_of({"a": [1, 2]}) != digest_of({"a": [2, 1]})
        assert len(digest_of({"a": "\udcff"})) == 64

    def test_usable_takes_its_own_first_then_the_one_that_ends_first(self) -> None:
        late, soon = approval(id="late"), approval(id="soon", expires_at=NOON + MINUTE)
        own, other = approval(id="own", execution_id="e1"), approval(id="other", task_name="other")
        assert usable([late, soon, other], execution(), (), NOON, {}) == soon
        assert usable([soon, own], execution(), (), NOON, {}) == own
        assert usable([other], execution(), (), NOON, {}) is None
        assert usable([late], execution(), ("user:bob",), NOON, {}) is None
        assert usable([late], execution(), (), NOON, {"changed": 1}) is None


class TestOverride:
    def test_as_it_stands_in_an_execution(self) -> None:
        found = override("o1", "ana", "the disk is full", NOON, LASTS)
        assert found == {
            "id": "o1",
            "by": "ana",
            "reason": "the disk is full",
            "at": "2026-11-24T12:00:00+00:00",
            "until": "2026-11-24T13:00:00+00:00",
            "lifts": ["window", "freeze", "fit", "condition"],
        }
        one = execution(options={"emergency": found})
        assert KEY == "emergency"
        assert told(one) == "overridden by the emergency override of ana (the disk is full)"
        assert lifts(one, "fit", NOON + HOUR - SECOND)
        assert not lifts(one, "fit", NOON + HOUR)
        assert not lifts(one, "policy", NOON)
        assert not lifts(execution(), "fit", NOON)


class TestPolicy:
    def test_defaults_ask_for_nothing_and_deny(self) -> None:
        one = Policy("id", "p")
        assert (one.decision, one.priority, one.enabled, one.origin, one.description) == ("deny", 100, True, "file", "")
        assert Rate() == Rate(None, 0.0, 0.0)
        assert not Rules().match
        assert not Rules().rollback_required

    @pytest.mark.parametrize(
        "rules",
        [
            Rules(freezes=(Freeze("f", ()),)),
            Rules(rates=(Rate(1),)),
            Rules(rollback_required=True),
            Rules(backups=(BackupRequired(1),)),
            Rules(protected_paths=("/a",)),
        ],
    )
    def test_rules_that_bite_at_times(self, rules: Rules) -> None:
        assert rules.match is True

    def test_rate_looks_back_as_far_as_its_longer_part(self) -> None:
        assert Rate(1, 60, 30).reach_seconds == 60
        assert Rate(1, 30, 60).reach_seconds == 60

    def test_order_ranks_scope_priority_decision_name(self) -> None:
        decisions = ("deny", "defer", "require_approval", "allow", None)
        ranked = [Policy("id", "p", decision=one) for one in decisions]
        assert in_order(reversed(ranked)) == tuple(ranked)
        by_name = [Policy("id", name) for name in ("a", "b")]
        assert in_order(reversed(by_name)) == tuple(by_name)
        assert in_order([Policy("id", "off", enabled=False)]) == ()

    def test_unreadable_says_why_and_what_to_do(self) -> None:
        found = unreadable("p", {"actions": ["deny"]}, "no path")
        assert found == Policy(
            "p",
            "p",
            decision="defer",
            priority=-1,
            description="it cannot be read (no path), so nothing starts: fix it with `jamaintctl policy update p`, "
            "or delete it",
            origin="api",
            definition={"actions": ["deny"]},
        )
        assert unreadable("p", {"actions": ("allow",)}, "no path") is None
        assert unreadable("p", {}, "no path") is not None

    def test_starts_within_are_less_than_so_long_ago_in_order(self) -> None:
        starts = [NOON, NOON - MINUTE, NOON - 59 * SECOND, NOON + SECOND]
        assert starts_within(starts, NOON, 60) == [NOON - 59 * SECOND, NOON]

    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({}, None),
            ({"rollback": RollbackRule(False)}, "it keeps no undo data (rollback.enabled: false)"),
            (
                {"rollback": replace(RollbackRule(), when_full="unlink")},
                "it keeps no undo data while a disk is full (rollback.when_full: unlink)",
            ),
            ({"executor": "command"}, "it has no rollback_command"),
            ({"executor": "command", "config": {"rollback_command": ["x"]}}, None),
        ],
    )
    def test_without_way_back(self, changes: dict[str, Any], why: str | None) -> None:
        assert without_way_back(task(**changes)) == why


class TestEffective:
    def only(self, **changes: Any) -> list[Policy]:
        return [Policy("id", "p", decision=None, **changes)]

    def test_what_is_set_goes_before_the_task_and_a_default_after(self) -> None:
        one = task(timeout_seconds=5.0, retry=Retry(2), definition={"retry": {}}, priority="low")
        sets = {"timeout_seconds": 9.0, "retry": Retry(7), "priority": "high", "on_window_end": "finish"}
        found = effective(one, None, self.only(sets=sets, rules=Rules(timeout_seconds=1.0, retry=Retry(9))))
        assert (found.timeout_seconds, found.retry, found.priority, found.on_window_end) == (
            9.0,
            Retry(7),
            "high",
            "finish",
        )
        found = effective(one, None, self.only(rules=Rules(timeout_seconds=1.0, retry=Retry(9))))
        assert (found.timeout_seconds, found.retry, found.priority) == (5.0, Retry(2), "low")
        assert found.on_window_end == one.on_window_end
        unsaid = effective(task(retry=Retry(2)), None, self.only())
        assert (unsaid.timeout_seconds, unsaid.retry) == (None, Retry(2))
        unsaid = effective(task(retry=Retry(2)), None, self.only(rules=Rules(timeout_seconds=1.0, retry=Retry(9))))
        assert (unsaid.timeout_seconds, unsaid.retry) == (1.0, Retry(9))

    def test_first_policy_that_says_something_counts(self) -> None:
        both = [*self.only(sets={"priority": "high"}), *self.only(sets={"priority": "low", "on_window_end": "cancel"})]
        found = effective(task(), None, both)
        assert (found.priority, found.on_window_end) == ("high", "cancel")
        said = [*self.only(), *self.only(rules=Rules(retention_seconds=1.0, emergency_seconds=2.0))]
        assert retention_seconds(task(), said) == 1.0
        assert emergency_seconds(task(), None, said) == 2.0
        assert retention_seconds(task(), self.only()) is None
        assert emergency_seconds(task(), None, self.only()) is None
        night = self.only(rules=Rules(emergency_seconds=2.0), scope=Scope(windows=("night",)))
        assert emergency_seconds(task(), "night", night) == 2.0
        assert emergency_seconds(task(), None, night) is None
        assert about(self.only(scope=BACKUPS), task(), None) == []

    def test_notices_are_added_and_others_kept(self) -> None:
        given = {"on": ["failed"], "text": "x"}
        tells = [*self.only(notify={"on": ["completed", "failed"]}), *self.only(notify={"on": ["skipped"]})]
        found = effective(task(notifications=given), None, tells).notifications
        assert found == {"on": ["failed", "completed", "skipped"], "text": "x"}
        assert effective(task(), None, self.only(notify={"channels": ["ops"]})).notifications == {"channels": ["ops"]}

    def test_exclusions_are_added_once_where_paths_can_be_excluded(self) -> None:
        keep = self.only(rules=Rules(protected_paths=("/a", "/b")))
        found = effective(task(config={"exclude": ["/b"]}), None, keep).config
        assert found == {"exclude": ["/b", "/a"]}
        paths = [{"path": "/x", "exclude": ["/a"]}, {"path": "/y"}, "/z"]
        found = effective(task(config={"paths": paths}), None, keep).config
        assert found == {"paths": [{"path": "/x", "exclude": ["/a", "/b"]}, {"path": "/y"}, "/z"]}
        found = effective(task(config={"paths": tuple(paths[:1])}), None, keep).config
        assert found == {"paths": [{"path": "/x", "exclude": ["/a", "/b"]}]}
        assert effective(task(config={"paths": "/x"}), None, keep).config == {"paths": "/x"}
        config = {"exclude": []}
        assert effective(task(config=config), None, self.only()).config is config


class TestProtected:
    @pytest.mark.parametrize(
        ("config", "path"),
        [
            ({"directory": "/srv/keep"}, "/srv/keep"),
            ({"directory": "/srv/keep/x"}, "/srv/keep/x"),
            ({"directory": "/srv/keeper"}, None),
            ({"directory": "/srv"}, "/srv"),
            ({"directory": "/"}, "/"),
            ({"directory": "srv/keep"}, None),
            ({"log_paths": ["/srv/keep*/x"]}, "/srv/keep*/x"),
            ({"log_paths": ["/srv/k?ep"]}, "/srv/k?ep"),
            ({"log_paths": ["/srv/[k]eep"]}, "/srv/[k]eep"),
            ({"log_paths": ["/*"]}, "/*"),
            ({"log_paths": ["/other/*"]}, None),
            ({"log_paths": ["/srv/*"], "exclude": []}, None),
            ({"log_paths": ["/srv/keep/*"], "exclude": []}, "/srv/keep/*"),
            ({"paths": [{"path": "/srv", "exclude": []}]}, None),
            ({"paths": ({"path": "/srv", "exclude": []},)}, None),
            ({"paths": [{"path": "/srv", "exclude": []}, {"path": "/srv"}]}, "/srv"),
            ({"paths": [{"path": "/srv"}]}, "/srv"),
            ({"paths": "/srv"}, "/srv"),
            ({"deep": {"er": ["/a", {"path": "/srv/keep/b"}]}}, "/srv/keep/b"),
            ({"both": ["/srv/keep/2", "/srv/keep/1"]}, "/srv/keep/1"),
            ({"number": 5}, None),
            *(
                ({key: ["/srv/keep/x"]}, None)
                for key in ("beside", "exclude", "command", "rollback_command", "environment", "urls", "postrotate")
            ),
        ],
    )
    def test_path(self, config: dict[str, Any], path: str | None) -> None:
        assert protected_by(task(config=config), ["/home/none", "/srv/keep"]) == path

    def test_top_of_the_tree_protects_all(self) -> None:
        assert protected_by(task(config={"directory": "/a"}), ["/"]) == "/a"
