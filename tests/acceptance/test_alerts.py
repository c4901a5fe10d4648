"""Alerts in `status`: what needs somebody stays told until it is over."""

from collections.abc import Iterator

import pytest

from command_line import Scene, scene

NOOP = {"type": "custom", "category": "system", "executor": "noop"}
EXECUTIONS_AFTER = 12  # more than `status` shows as recent


@pytest.fixture
def place(database: str) -> Iterator[Scene]:
    with scene(database) as place:
        yield place


def failed(place: Scene) -> list[str]:
    return [one["message"] for one in place.json("status")["alerts"] if one["kind"] == "execution_failed"]


def test_failed_task_stays_an_alert_until_it_completes(place: Scene) -> None:
    mark = place.directory / "mark"
    bad = {"type": "custom", "category": "system", "config": {"command": ["test", "-e", str(mark)]}}
    place.configure(tasks={"bad": bad, "quiet": NOOP})
    with place.serving() as caller:
        assert caller.run("bad")["status"] == "failed"
        for _ in range(EXECUTIONS_AFTER):
            caller.run("quiet")
        assert [message.partition(":")[0] for message in failed(place)] == ["bad failed"]
        assert place.json("status")["overall"] == "issues"
    with place.serving() as caller:
        assert [message.partition(":")[0] for message in failed(place)] == ["bad failed"]
        mark.touch()
        assert caller.run("bad")["status"] == "completed"
        assert failed(place) == []
