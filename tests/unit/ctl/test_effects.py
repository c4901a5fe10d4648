"""An execution that did nothing is told as one that did nothing, with the reason and without an undo."""

from typing import Any

import pytest

from jamaint.ctl.output import execution_text
from jamaint.ctl.output.effects import nothing_done
from jamaint.ctl.output.text import Look

LOOK = Look(0.0, colours=True)
HELD = {"path": "/srv/a.log", "why": "rotated weekly"}
POINT = {"id": "r", "status": "open", "bytes": 0}
NOT_RUN: dict[str, Any] = {"files": 0, "bytes": 0, "freed_space": 0, "skipped": [], "skipped_count": 0}


def completed(*details: dict[str, Any], name: str = "cleanup") -> dict[str, Any]:
    steps = [{"name": name, "status": "completed", "duration": 4, "details": one} for one in details]
    return {"id": "a1b2c3d4-0", "task_name": "t", "status": "completed", "steps": steps, "rollback_point": POINT}


@pytest.mark.parametrize(
    ("execution", "why"),
    [
        (completed(NOT_RUN), "nothing was due"),
        (completed({**NOT_RUN, "skipped": [HELD, HELD], "skipped_count": 2}), "2 left alone: rotated weekly"),
        (
            completed({**NOT_RUN, "skipped": [HELD, {"path": "/b", "why": "is a link"}], "skipped_count": 1201}),
            "1,201 left alone",
        ),
        (completed({"rebuilt": 0, "skipped": [HELD], "skipped_count": 1}), "1 left alone: rotated weekly"),
        (completed({"files": 0, "steps": {"cleanup": {**NOT_RUN, "skipped": [HELD], "skipped_count": 1}}}),
         "1 left alone: rotated weekly"),
    ],
)  # fmt: skip
def test_effects_of_a_run_that_did_nothing_have_a_reason(execution: dict[str, Any], why: str) -> None:
    assert nothing_done(execution) == why
    head, *rest = execution_text.ending(execution, LOOK)
    assert f"completed, nothing done: {why}" in head
    assert not any("jamaintctl rollback" in line for line in rest)
    shown = "\n".join(execution_text.details(execution, LOOK))
    assert f"nothing: {why}" in shown
    assert "jamaintctl rollback" not in shown


@pytest.mark.parametrize(
    "execution",
    [
        completed({**NOT_RUN, "files": 1}),
        completed(NOT_RUN, {**NOT_RUN, "freed_space": 4096}),
        completed({**NOT_RUN, "told_again": 1}, name="rotation"),
        completed({**NOT_RUN, "directories": 2}),
        completed({"exit_code": 0}, name="command"),
        completed({**NOT_RUN, "files": 3}, name="analysis"),
        {**completed(NOT_RUN), "status": "failed"},
        {**completed(), "steps": []},
    ],
)
def test_effects_of_another_run_are_not_said_to_be_none(execution: dict[str, Any]) -> None:
    assert nothing_done(execution) == ""
    assert "nothing done" not in execution_text.ending(execution, LOOK)[0]


def test_effects_in_green_only_where_something_was_done() -> None:
    green = LOOK.paint("green", "completed")
    assert green in execution_text.ending(completed({**NOT_RUN, "files": 1}), LOOK)[0]
    blocked = completed({**NOT_RUN, "skipped": [HELD], "skipped_count": 1})
    said = "completed, nothing done: 1 left alone: rotated weekly"
    assert LOOK.paint("yellow", said) in execution_text.ending(blocked, LOOK)[0]
    timed = {**completed(NOT_RUN), "duration": 4000}
    assert execution_text.ending(timed, LOOK)[0].startswith("t completed, nothing done: nothing was due (4 s)")
