"""Windows and freezes, as a person sees them: skipped openings, freezes by name, and what does not fit."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from command_line import Scene, scene, soon, until, window
from daemon_harness import refusal
from socket_peers import ME

QUICK = {"type": "custom", "category": "system", "executor": "noop"}
ALWAYS = {"from": "2020-01-01", "to": "2199-12-31"}


@pytest.fixture
def place(database: str) -> Iterator[Scene]:
    with scene(database) as found:
        yield found


def test_a_skipped_opening_is_told_of_kept_over_a_restart_and_taken_back(place: Scene) -> None:
    hour = (datetime.now(UTC) + timedelta(hours=12)).hour  # whenever the test runs, the window is closed
    place.configure(windows={"w": {"schedule": {"cron": f"0 {hour} * * *"}, "duration": 60, "timezone": "UTC"}})
    with place.serving():
        skipped = place.json("window", "skip", "w", "--next", "2")
        assert len(skipped["skipped"]) == 2
        assert place.ctl("window", "skip", "w").stdout.startswith("w will not open ")
    with place.serving():
        (item,) = place.json("next", "w")["items"]
        assert [one["starts_at"] for one in item["skipped"][:2]] == skipped["skipped"]
        assert item["next"][0]["starts_at"] > item["skipped"][2]["starts_at"]
        assert item["next_transition"] == item["next"][0]["starts_at"]
        assert f"skipped by {ME}" in place.ctl("next").stdout
        taken = place.json("window", "skip", "w", "--undo")
        assert taken["taken_back"] == [one["starts_at"] for one in item["skipped"]]
        assert place.json("next", "w")["items"][0]["next"][0]["starts_at"] == skipped["skipped"][0]
        assert "nothing was skipped" in place.ctl("window", "skip", "w", "--undo").stdout


def test_what_is_due_at_a_skipped_opening_is_cancelled_and_says_by_whom(place: Scene) -> None:
    place.configure()
    with place.serving() as caller:
        caller.call("event.subscribe")
        caller.call("window.create", window={"name": "w", **window(4)})
        caller.call("task.create", task={"name": "t", **QUICK, "schedule": {"window": "w"}})
        caller.call("window.skip", window="w")
        ended = until(caller, "execution.ended", task_name="t")
        assert ended["status"] == "cancelled"
        assert ended["reasons"][0]["guard"] == "window"
        assert f"was skipped by {ME}" in ended["reasons"][0]["detail"]
        assert refusal(caller, "window.skip", window="w").message == "cannot skip w: it does not open again"


def test_one_opening_is_skipped_by_its_start_and_no_other(place: Scene) -> None:
    place.configure(windows={"w": {"schedule": {"cron": "0 3 * * *"}, "duration": 60, "timezone": "UTC"}})
    with place.serving():
        coming = [one["starts_at"] for one in place.json("next", "w", "-n", "3")["items"][0]["next"]]
        assert place.json("window", "skip", "w", "--at", coming[1])["skipped"] == [coming[1]]
        assert place.ctl("window", "skip", "w", "--at", coming[1]).returncode == 5
        left = [one["starts_at"] for one in place.json("next", "w", "-n", "2")["items"][0]["next"]]
        assert left == [coming[0], coming[2]]
        wrong = place.ctl("window", "skip", "w", "--at", coming[0].replace("T03", "T04"))
        assert wrong.returncode == 7 or wrong.returncode == 2, wrong
        assert "has no opening that begins then: the next one after it is at" in wrong.stderr


def test_an_opening_is_had_now_and_does_not_come_once_more(place: Scene) -> None:
    """Each task in it goes through its guards; what is refused is told, and the others run."""
    nightly = {"schedule": {"cron": "0 3 * * *"}, "duration": 60, "timezone": "UTC"}
    tasks = {name: {**QUICK, "schedule": {"window": "w"}} for name in ("a", "b")}
    freeze = {**ALWAYS, "scope": {"tasks": ["b"]}}
    place.configure(windows={"w": nightly, "empty": nightly}, tasks=tasks, freezes={"f": freeze})
    with place.serving() as caller:
        (coming, following) = [one["starts_at"] for one in place.json("next", "w", "-n", "2")["items"][0]["next"]]
        found = place.json("window", "execute", "w")
        assert (found["opening"], [one["task"] for one in found["items"]]) == (coming, ["a", "b"])
        assert "freeze f" in found["items"][1]["refused"]
        ident = found["items"][0]["execution_id"]
        assert caller.call("execution.wait", execution=ident)["status"] == "completed"
        assert place.json("next", "w")["items"][0]["next"][0]["starts_at"] == following
        assert "no task is scheduled in it" in place.ctl("window", "execute", "empty").stderr


def test_a_freeze_refuses_by_name_and_leaves_alone_what_it_is_not_about(place: Scene) -> None:
    freeze = {**ALWAYS, "description": "nobody is here", "scope": {"tasks": ["held"]}}
    place.configure(freezes={"year-end": freeze}, tasks={"held": QUICK, "free": QUICK})
    with place.serving() as caller:
        assert caller.run("free")["status"] == "completed"
        problem = refusal(caller, "execution.start", task="held")
        assert problem.message == (
            "cannot run held: freeze year-end (nobody is here) holds until 2200-01-01 00:00:00 UTC"
        )
        assert [reason["guard"] for reason in problem.data["reasons"]] == ["freeze"]
        assert place.ctl("execute", "held").returncode == 5
        assert "freeze year-end" in place.ctl("why", "held").stdout


def test_a_scheduled_task_is_skipped_by_a_freeze_with_its_name(place: Scene) -> None:
    place.configure(freezes={"f": ALWAYS})
    with place.serving() as caller:
        caller.call("event.subscribe")
        caller.call("task.create", task={"name": "t", **QUICK, "schedule": {"at": soon(3)}})
        ended = until(caller, "execution.ended", task_name="t")
        assert [reason["guard"] for reason in ended["reasons"]] == ["freeze"]


def test_what_does_not_fit_is_told_and_what_never_fits_is_an_alert(place: Scene) -> None:
    long = {**QUICK, "expected_duration": "2h", "schedule": {"window": "w"}}
    place.configure(windows={"w": window(-60)}, tasks={"long": long, "short": {**QUICK, "expected_duration": "1m"}})
    with place.serving() as caller:
        assert caller.run("short", window="w")["status"] == "completed"
        problem = refusal(caller, "execution.start", task="long", window="w")
        assert problem.data["reasons"][0]["guard"] == "fit"
        (alert,) = place.json("status")["alerts"]
        assert alert["kind"] == "fits_no_window"
        assert "it takes 2 h (declared), and no opening of window w is longer than 1 h" in alert["message"]
