"""Promises: a plan that says it can be put back is not carried out where it cannot, also for one root of several."""

from dataclasses import replace
from typing import Any

import pytest

from core_examples import task
from jamaint.core.plans import Plan, Step, step_to_json
from jamaint.core.safety.plan_contract import at_once, broken
from jamaint.daemon.execution.stored_plans import header_of
from jamaint.daemon.state import json_views

KEPT = Step("cleanup", "Remove 2", {"direct": {}}, {"roots": ["/a", "/b"]}, 2, 10)
LOW = replace(KEPT, says="Remove 2; at once", args={"direct": {"/b": "Only 3% is free"}}, undo={"roots": ["/a"]})


def shown(*steps: Step) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json_views.plan(Plan(steps))["steps"]
    return found


def whole(*parts: Step) -> Step:
    return Step("temp_cleanup", "", {"steps": [step_to_json(part) for part in parts]}, {"steps": []}, 2, 10)


def test_where_there_is_no_way_back() -> None:
    assert at_once(KEPT) == []
    assert at_once(LOW) == ["/b"]
    assert at_once(whole(KEPT, Step("analysis", "", items=9), Step("report", ""))) == []
    assert at_once(whole(LOW, replace(KEPT, name="rows", undo=None))) == ["/b", "rows"]


@pytest.mark.parametrize("itemised", [False, True])
def test_a_root_that_lost_its_way_back_breaks_the_promise_though_another_has_one(itemised: bool) -> None:
    assert broken(shown(KEPT), shown(KEPT), itemised) is None
    assert broken(shown(KEPT), shown(LOW), itemised) == "cleanup leaves no rollback for /b now, and does in the plan"
    assert "leaves no rollback" in (broken(shown(whole(KEPT)), shown(whole(LOW)), itemised) or "")


def test_a_root_that_has_a_way_back_again_breaks_none() -> None:
    assert broken(shown(LOW), shown(KEPT), True) is None


def test_an_approval_is_not_for_the_same_items_without_a_way_back() -> None:
    assert header_of(task("a"), shown(KEPT)) != header_of(task("a"), shown(LOW))


def test_what_an_older_daemon_has_stored_can_be_compared() -> None:
    old = [{key: value for key, value in one.items() if key != "at_once"} for one in shown(KEPT)]
    assert broken(old, shown(KEPT), True) is None
    assert broken(old, shown(LOW), True) is not None


def test_figures_count_where_items_are_not_told() -> None:
    fewer = replace(KEPT, items=1)
    assert broken(shown(KEPT), shown(fewer), False) == "cleanup has other figures"
    assert broken(shown(KEPT), shown(fewer), True) is None
    assert broken(shown(KEPT), shown(replace(KEPT, undo=None)), True) is not None
    assert broken(shown(KEPT), shown(replace(KEPT, name="other")), True) == "it has other steps"
    assert broken(shown(KEPT), shown(KEPT, KEPT), True) == "it has other steps"
