"""`jamaintctl schedule …` and `next`, typed at a real daemon: what comes, another schedule, days to come."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from command_line import Scene, scene, until
from daemon_harness import client, refusal

QUICK = {"type": "custom", "category": "system", "executor": "noop"}
BERLIN = "Europe/Berlin"


@pytest.fixture
def place(database: str) -> Iterator[Scene]:
    with scene(database) as found:
        yield found


def night(**more: object) -> dict[str, object]:
    return {"schedule": {"cron": "30 2 * * *"}, "duration": 120, "timezone": BERLIN, **more}


def test_schedules_are_changed_all_together_or_not_at_all(place: Scene) -> None:
    place.configure(tasks={"filed": QUICK})
    with place.serving() as caller:
        for name in ("a", "b"):
            caller.call("task.create", task={"name": name, **QUICK})
        every = {"every": "1h"}
        wrong = [
            ([{"task": "a", "schedule": every}, {"task": "b", "schedule": {"cron": "nonsense"}}], "b: "),
            ([{"task": "a", "schedule": every}, {"task": "filed", "schedule": every}], "filed comes from a file"),
            ([{"task": "a", "schedule": every}, {"task": "a", "schedule": None}], "stands in the list twice"),
            ([{"task": "a", "schedule": every}, {"schedule": every}], "must be an object with `task`"),
            ([], "must have from 1 to"),
        ]
        for changes, says in wrong:
            assert says in refusal(caller, "schedule.update", changes=changes).message
            assert caller.call("task.get", task="a")["schedule"] is None
        done = place.ctl("schedule", "apply", "-f", "-", stdin="changes: [{task: a, schedule: {every: 1h}}, {task: b}]")
        assert (done.returncode, "b has no schedule any more" in done.stdout) == (0, True)
        assert caller.call("task.get", task="a")["schedule"] is not None
        caller.run("a")
        assert caller.call("task.get", task="a")["metrics"]["executions"] == 1


class TestShow:
    def test_what_is_due_between_two_moments(self, place: Scene) -> None:
        place.configure(
            windows={"w": night()},
            tasks={
                "in-it": {**QUICK, "schedule": {"window": "w"}},
                "alone": {**QUICK, "schedule": {"calendar": "Sun 01:00", "timezone": "UTC"}},
                "often": {**QUICK, "schedule": {"every": "10m"}},
                "by-hand": QUICK,
            },
        )
        with place.serving() as caller:
            span = {"from": "2027-03-27T00:00:00Z", "to": "2027-03-29T00:00:00Z"}
            found = caller.call("schedule.get", often_apart=True, **span)
            assert [(one["task"], one["at"]) for one in found["items"]] == [
                ("in-it", "2027-03-27T01:30:00.000Z"),
                ("alone", "2027-03-28T01:00:00.000Z"),
                ("in-it", "2027-03-28T01:00:00.000Z"),
            ]
            assert [(one["window_name"], one["clock_change"], one["tasks_in_all"]) for one in found["openings"]] == [
                ("w", None, 1),
                ("w", "moved", 1),
            ]
            assert found["clock_changes"] == [
                {"timezone": BERLIN, "at": "2027-03-28T01:00:00.000Z", "shift_seconds": 3600}
            ]
            assert [(one["task"], one["about_every"]) for one in found["often"]] == [("often", 600_000)]
            shown = place.ctl("schedule", "show", "--from", span["from"], "--to", span["to"])
            assert shown.returncode == 0
            assert "window w" in shown.stdout
            assert "moved: the clocks leap over its time" in shown.stdout
            assert "clocks in Europe/Berlin go forward by 1 h" in shown.stdout
            assert "about every 10 min" in shown.stdout

    def test_pages_leave_none_out_and_have_none_twice(self, place: Scene) -> None:
        place.configure(tasks={name: {**QUICK, "schedule": {"cron": "0 * * * *", "timezone": "UTC"}} for name in "abc"})
        with place.serving() as caller:
            span = {"from": "2027-01-01T00:00:00Z", "to": "2027-01-01T10:00:00Z", "limit": 7}
            found, cursor = [], None
            while True:
                page = caller.call("schedule.get", **span, **({} if cursor is None else {"cursor": cursor}))
                found += [(one["at"], one["task"]) for one in page["items"]]
                cursor = page["next_cursor"]
                if cursor is None:
                    break
            assert found == sorted(set(found))
            assert len(found) == 30

    @pytest.mark.parametrize(
        "params",
        [
            {"from": "2027-01-02T00:00:00Z", "to": "2027-01-01T00:00:00Z"},
            {"from": "2027-01-01T00:00:00Z", "to": "2029-01-01T00:00:00Z"},
            {"cursor": "x"},
            {"limit": 0},
        ],
    )
    def test_what_makes_no_sense_is_refused(self, place: Scene, params: dict[str, object]) -> None:
        place.configure(tasks={})
        with place.serving() as caller:
            assert refusal(caller, "schedule.get", **params).code == -32602


class TestSet:
    def test_a_task_made_through_the_socket_gets_another(self, place: Scene) -> None:
        place.configure(tasks={"filed": QUICK})
        with place.serving():
            made = 'name: mine\nexecutor: noop\nschedule: { cron: "0 4 * * *", timezone: UTC }\n'
            assert place.ctl("task", "create", "-f", "-", stdin=made).returncode == 0
            changed = place.json(
                "schedule", "set", "mine", "--calendar", "Sat *-*~07/1 03:30", "--timezone", BERLIN, "--jitter", "10m",
                "--stable",
            )  # fmt: skip
            assert changed["schedule"] == {
                "calendar": "Sat *-*~07/1 03:30", "timezone": BERLIN, "jitter": {"up_to": "10m", "stable": True}
            }  # fmt: skip
            followed = place.json("schedule", "set", "mine", "--after", "filed", "--state", "any")
            assert followed["schedule"] == {"after": {"task": "filed", "state": "any"}}
            done = place.ctl("schedule", "set", "mine", "--calendar", "*-02-30")
            assert (done.returncode, "never comes" in done.stderr) == (7, True)
            assert place.json("schedule", "set", "mine")["schedule"] is None

    def test_one_from_a_file_is_refused_with_its_place(self, place: Scene) -> None:
        place.configure(tasks={"filed": QUICK})
        with place.serving():
            done = place.ctl("schedule", "set", "filed", "--cron", "0 4 * * *")
            assert done.returncode == 5
            line = next(
                number for number, text in enumerate(place.config.read_text().splitlines(), 1) if '"filed"' in text
            )
            assert f"{place.config}:{line}" in done.stderr


class TestCalendar:
    def test_a_month(self, place: Scene) -> None:
        place.configure(windows={"w": night()}, tasks={"in-it": {**QUICK, "schedule": {"window": "w"}}})
        with place.serving():
            shown = place.ctl("schedule", "calendar", "--month", "2027-03").stdout
            assert shown.startswith("March 2027")
            assert shown.count("w: in-it") == 30
            assert shown.count("w (moved): in-it") == 1
            assert place.ctl("schedule", "calendar", "--month", "2027-13").returncode == 2


class TestSimulate:
    def test_what_would_run_and_which_window_is_too_full(self, place: Scene) -> None:
        """What has never run takes a minute: of four in a window of three minutes, one at a time, one is left over."""
        place.configure(
            windows={"w": night(duration=3, max_concurrent_tasks=1)},
            tasks={f"t{number}": {**QUICK, "schedule": {"window": "w"}} for number in range(4)},
        )
        with place.serving():
            found = place.json("schedule", "simulate", "--days", "3")
            assert (found["due"], found["runs"], found["skipped"]) == (12, 9, 3)
            assert found["never"][0]["task"] == "t3"
            assert found["too_full"][0]["window"] == "w"
            shown = place.ctl("schedule", "simulate", "--days", "3").stdout
            assert "9 runs and 3 skips of 12 occurrences" in shown
            assert "never run" in shown
            assert place.json("status")["active_tasks"] == []
            assert place.json("execution", "list")["items"] == []


class TestNext:
    def test_an_opening_that_is_moved_is_marked(self, place: Scene) -> None:
        place.configure(windows={"w": {**night(), "schedule": {"cron": "30 2 28 3 *"}}})
        with place.serving() as caller:
            found = caller.call("window.next", window="w", limit=3)["items"][0]["next"]
            assert {one["starts_at"][:10]: one["clock_change"] for one in found}["2027-03-28"] == "moved"
            assert "moved: the clocks leap over its time" in place.ctl("next", "-n", "3").stdout

    def test_as_a_calendar_file(self, place: Scene) -> None:
        hour = (datetime.now(UTC) + timedelta(hours=12)).hour  # an opening that is under way would be a third one
        schedule = {"cron": f"30 {hour} * * *"}
        place.configure(windows={"w": night(schedule=schedule, timezone="UTC")})
        with place.serving():
            done = place.ctl("next", "w", "-n", "2", "--ics")
            lines = done.stdout.splitlines()
            assert (lines[0], lines[-1]) == ("BEGIN:VCALENDAR", "END:VCALENDAR")
            assert lines.count("BEGIN:VEVENT") == 2
            assert all(len(line.encode()) <= 75 for line in lines)


class TestAfter:
    def test_one_comes_after_another_also_over_a_crash(self, place: Scene) -> None:
        tasks = {"first": QUICK, "then": {**QUICK, "schedule": {"after": {"task": "first", "state": "completed"}}}}
        place.configure(tasks={**tasks, "then": {**tasks["then"], "enabled": False}})
        with place.serving() as caller:
            caller.run("first")
        place.configure(tasks=tasks)
        with place.serving() as caller:
            assert caller.call("execution.list", task="then")["items"] == []  # enabled later: none of the past
            with client(place.socket) as watching:
                watching.call("event.subscribe")
                ended = caller.run("first")
                until(watching, "execution.ended", task_name="then", status="completed")
            found = caller.call("execution.list", task="then", status="completed")["items"]
            assert [one["scheduled_for"] for one in found] == [ended["completed_at"]]
