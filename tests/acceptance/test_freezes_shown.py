"""Freezes that hold are seen at a glance: in status, next, task list, schedule show, the calendar and freeze list."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from command_line import Scene, scene

ENDS = (datetime.now(UTC) + timedelta(days=90)).strftime("%Y-%m-%d")
BEGAN = (datetime.now(UTC) - timedelta(days=2)).strftime("%Y-%m-%d")
QUIET = {"type": "custom", "category": "system", "executor": "noop", "schedule": {"window": "nightly"}}
OTHER = {"type": "cleanup", "category": "system", "executor": "noop", "schedule": {"every": "6h"}}


@pytest.fixture
def place(database: str) -> Iterator[Scene]:
    with scene(database) as place:
        yield place


def configure(place: Scene, **sections: object) -> None:
    place.configure(
        windows={"nightly": {"schedule": {"cron": "0 2 * * *"}, "duration": 60}},
        tasks={"quiet": QUIET, "other": OTHER},
        **sections,
    )


POLICY = {"policies": {"year-end": {
    "description": "the shop sells", "scope": {"types": ["custom"]},
    "rules": [{"freeze": {"from": BEGAN, "to": ENDS}}], "actions": ["deny"],
}}}  # fmt: skip
SECTION = {"freezes": {"year-end": {
    "description": "the shop sells", "scope": {"types": ["custom"]}, "from": BEGAN, "to": ENDS,
}}}  # fmt: skip


@pytest.mark.parametrize("defined", [POLICY, SECTION], ids=["policy", "section"])
def test_freeze_that_holds_is_shown_wherever_the_task_is(place: Scene, defined: dict[str, object]) -> None:
    configure(place, **defined)
    with place.serving():
        said = place.ctl("status").stdout
        assert "FREEZES" in said
        assert "1 of 2 tasks does not start (the shop sells)" in said
        tasks = {task["name"]: task["frozen"] for task in place.json("task", "list")["items"]}
        assert (tasks["quiet"]["freeze"], tasks["other"]) == ("year-end", None)
        assert "frozen by year-end until" in place.ctl("task", "list").stdout
        assert "frozen by year-end" in place.ctl("task", "show", "quiet").stdout
        assert "frozen by year-end" in place.ctl("next").stdout
        shown = place.json("schedule", "show", "--to", "+2d")
        assert {one["task"]: one["frozen"] and one["frozen"]["freeze"] for one in shown["items"]} == {
            "quiet": "year-end", "other": None,
        }  # fmt: skip
        assert [one["name"] for one in shown["freezes"]] == ["year-end"]
        assert "frozen by year-end" in place.ctl("schedule", "show", "--to", "+2d").stdout
        (listed,) = place.json("freeze", "list")["items"]
        assert (listed["holds"], listed["tasks"], listed["tasks_covered"]) == (True, ["quiet"], 1)
        assert "holds" in place.ctl("freeze", "list").stdout
        forecast = place.json("schedule", "simulate", "--days", "3")
        runs = {one["task"]: (one["due"] > 0, one["runs"] > 0) for one in forecast["tasks"]}
        assert runs == {"quiet": (True, False), "other": (True, True)}
        assert (
            "freeze" in place.ctl("schedule", "calendar").stdout
            or "year-end" in place.ctl("schedule", "calendar").stdout
        )
        why = place.ctl("why", "quiet", "--at", "+1h").stdout
        assert "the shop sells" in why


def test_freeze_that_does_not_hold_is_listed_and_nothing_is_frozen(place: Scene) -> None:
    later = (datetime.now(UTC) + timedelta(days=30)).strftime("%Y-%m-%d")
    configure(place, freezes={"later": {"from": later, "to": ENDS}})
    with place.serving():
        assert place.json("status")["freezes"] == []
        (listed,) = place.json("freeze", "list")["items"]
        assert (listed["name"], listed["holds"]) == ("later", False)
        assert {task["frozen"] for task in place.json("task", "list")["items"]} == {None}
