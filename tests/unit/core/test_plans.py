"""Plans: the order of the way back, and a step that goes through the store and comes out as it was."""

import json

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
    steps = [Step("a", "", undo={}), Step("b", ""), Step("c", "", undo={"x": 1}), Step("d", "")]
    assert [step.name for step in undo_order(steps)] == ["c", "a"]
    assert undo_order([]) == ()


@pytest.mark.parametrize("step", [WHOLE, Step("analysis", "Look"), Step("purge", "Empty", undo={})])
def test_a_step_comes_back_from_json_as_it_was(step: Step) -> None:
    assert step_from_json(json.loads(json.dumps(step_to_json(step)))) == step


def test_an_undo_that_needs_nothing_is_not_the_same_as_none() -> None:
    steps = [Step("x", "", undo={}), Step("x", "")]
    assert [step_from_json(step_to_json(step)).undo for step in steps] == [{}, None]
