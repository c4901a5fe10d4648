"""Plans: the order of the way back, and a step that goes through the store and comes out as it was."""

import json
from typing import Any

import pytest

from jamaint.core.plans import Step, step_from_json, step_to_json, undo_order

WHOLE = Step(
    name="cleanup",
    says="Delete 2 logs",
    args={"files": ["a", "b"]},
    undo={"trash": "/var/log/.jamaint-trash/e1"},
    items=2,
    bytes=1 << 40,
    sample=({"path": "a", "bytes": 5}, {"path": "b\udcff", "bytes": 7}),
)


def test_what_was_done_last_is_undone_first_and_what_has_no_way_back_is_left_out() -> None:
    steps = [Step(name, "", undo=undo) for name, undo in (("a", {}), ("b", None), ("c", {"x": 1}), ("d", None))]
    assert [step.name for step in undo_order(steps)] == ["c", "a"]
    assert undo_order([]) == ()


@pytest.mark.parametrize("step", [WHOLE, Step("analysis", "Look"), Step("purge", "Empty", undo={})])
def test_a_step_comes_back_from_json_as_it_was(step: Step) -> None:
    assert step_from_json(json.loads(json.dumps(step_to_json(step)))) == step


def test_an_undo_that_needs_nothing_is_not_the_same_as_none() -> None:
    kept: list[Any] = [step_from_json(step_to_json(Step("x", "", undo=undo))).undo for undo in ({}, None)]
    assert kept == [{}, None]
