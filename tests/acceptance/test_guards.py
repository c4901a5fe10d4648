"""What keeps a task from running, and what runs it again: with a real daemon, as a person sees it."""

from collections.abc import Iterator
from typing import Any

import pytest

from command_line import Scene, scene, soon, until, window
from daemon_harness import Client

QUICK = {"type": "custom", "category": "system", "executor": "noop"}


@pytest.fixture
def place(database: str) -> Iterator[Scene]:
    with scene(database) as found:
        yield found


def details(execution: dict[str, Any]) -> str:
    return "; ".join(reason["detail"] for reason in execution["reasons"])


def command(*argv: str, **more: Any) -> dict[str, Any]:
    return {"type": "custom", "category": "system", "config": {"command": list(argv)}, **more}


def queued(place: Scene, task: str) -> dict[str, Any]:
    """The execution of that task that waits, as `status` shows it."""
    (found,) = (one for one in place.json("status")["queued_tasks"] if one["task_name"] == task)
    return dict(found)


def start(caller: Client, task: str) -> str:
    return str(caller.call("execution.start", task=task)["execution_id"])


def define(caller: Client, name: str, seconds: float = 2.0, **given: Any) -> None:
    """A task that is due once, soon; a file is read too early for that on a busy machine."""
    caller.call("task.create", task={"name": name, "schedule": {"at": soon(seconds)}, **given})


def until_held(caller: Client, name: str) -> dict[str, Any]:
    """The execution of that task, as soon as it is told why it waits."""
    while True:
        waiting = until(caller, "execution.scheduled", task_name=name)
        if waiting["reasons"]:
            return waiting


class TestWhatHeldIsRemembered:
    def test_also_over_a_restart_and_once_it_has_run(self, place: Scene) -> None:
        place.configure(scheduler={"max_concurrent_tasks": 1}, tasks={"first": place.held("first")})
        with place.serving() as caller:
            start(caller, "first")
            caller.call("event.subscribe")
            define(caller, "second", 1.0, **QUICK)
            define(caller, "third", 3.0, **QUICK)
            until_held(caller, "second")
            until_held(caller, "third")  # by then the second has waited for more than a second
        with place.serving() as caller:
            (late,) = caller.call("execution.list", task="second")["items"]
            ended = caller.call("execution.wait", execution=late["id"])
            assert ended["status"] == "completed"
            assert ended["reasons"][0]["guard"] == "concurrency"
            assert ended["reasons"][0]["held_seconds"] >= 1
            assert "had waited: 1 of 1 executions run (for " in place.ctl("execution", "show", late["id"]).stdout


class TestWhatWaitsSaysWhy:
    def test_what_its_schedule_brought_while_there_is_no_room(self, place: Scene) -> None:
        place.configure(
            scheduler={"max_concurrent_tasks": 1},
            tasks={"first": place.held("first")},
        )
        with place.serving() as caller:
            start(caller, "first")
            define(caller, "second", **QUICK)
            caller.call("event.subscribe")
            assert details(until_held(caller, "second")) == "1 of 1 executions run"
            assert "waits: 1 of 1 executions run" in place.ctl("status").stdout
            place.let_go("first")
            until(caller, "execution.ended", task_name="second", status="completed")

    def test_two_tasks_in_one_directory_one_after_the_other(self, place: Scene) -> None:
        touches = {"touches": {"paths": [str(place.directory / "data")]}}
        below = {"touches": {"paths": [str(place.directory / "data/sub")]}}
        place.configure(tasks={"a": place.held("a", **touches), "b": {**QUICK, **below}, "c": QUICK})
        with place.serving() as caller:
            start(caller, "a")
            ident = start(caller, "b")
            caller.run("c")
            assert f"a runs and uses {place.directory}/data, and this on" in details(queued(place, "b"))
            place.let_go("a")
            assert caller.call("execution.wait", execution=ident)["status"] == "completed"


class TestOverlap:
    def test_one_queues_behind_the_other(self, place: Scene) -> None:
        place.configure(tasks={"a": place.held("a", overlap="queue")})
        with place.serving() as caller:
            first, second = start(caller, "a"), start(caller, "a")
            assert "this one is queued behind it" in details(queued(place, "a"))
            place.let_go("a")
            assert caller.call("execution.wait", execution=first)["status"] == "completed"
            place.let_go("a")
            assert caller.call("execution.wait", execution=second)["status"] == "completed"

    def test_the_older_one_is_stopped_for_the_newer(self, place: Scene) -> None:
        place.configure(tasks={"a": place.held("a", overlap="cancel_older")})
        with place.serving() as caller:
            first, second = start(caller, "a"), start(caller, "a")
            older = caller.call("execution.wait", execution=first)
            assert older["status"] == "cancelled"
            assert details(older) == "a newer execution of it is due, and the task says to stop the older"
            place.let_go("a")
            assert caller.call("execution.wait", execution=second)["status"] == "completed"


class TestDependencies:
    def test_a_failed_one_holds_or_skips_what_follows_and_says_so(self, place: Scene) -> None:
        place.configure(tasks={"backup": command("false")})
        with place.serving() as caller:
            assert place.ctl("execute", "backup").returncode == 1
            define(caller, "holds", **QUICK, dependencies=[{"task": "backup"}])
            define(caller, "skips", **QUICK, dependencies=[{"task": "backup", "on_failure": "skip"}])
            caller.call("event.subscribe")
            skipped = until(caller, "execution.ended", task_name="skips", status="cancelled")
            assert "backup ended failed at" in details(skipped)
            assert details(skipped).endswith("completed is required, so this is skipped (on_failure: skip)")
            assert "backup ended failed at" in details(queued(place, "holds"))
            assert place.ctl("task", "disable", "backup").returncode == 0
            said = place.ctl("why", "holds").stdout
            assert "and backup is disabled (jamaintctl task enable backup)" in said

    def test_a_ring_is_refused_over_the_socket_with_the_way_round(self, place: Scene) -> None:
        place.configure(tasks={"a": QUICK})
        with place.serving():
            for name, needs in (("b", "a"), ("c", "b")):
                given = f"{{name: {name}, executor: noop, dependencies: [{{task: {needs}}}]}}"
                assert place.ctl("task", "create", "-f", "-", stdin=given).returncode == 0
            ring = place.ctl("task", "update", "b", "-f", "-", stdin="{dependencies: [{task: c}]}")
            assert (ring.returncode, "b -> c -> b" in ring.stderr) == (7, True), ring
            itself = place.ctl("task", "update", "b", "-f", "-", stdin="{dependencies: [{task: b}]}")
            assert (itself.returncode, "b cannot wait for itself" in itself.stderr) == (7, True)
            unknown = place.ctl("task", "update", "b", "-f", "-", stdin="{dependencies: [{task: cc}]}")
            assert (unknown.returncode, "did you mean c?" in unknown.stderr) == (7, True)


class TestConditions:
    def test_what_does_not_hold_refuses_by_hand_with_the_figures(self, place: Scene) -> None:
        lock = place.directory / "lock"
        lock.touch()
        place.configure(
            tasks={
                "a": {
                    **QUICK,
                    "conditions": [
                        {"file": {"path": str(lock), "exists": False}},
                        {"memory_available": {"min": "900TiB"}},
                        {"command": {"command": ["sh", "-c", "echo not now; exit 3"]}},
                    ],
                }
            }
        )
        with place.serving() as caller:
            done = place.ctl("execute", "a")
            assert done.returncode == 5
            for words in (f"there is a {lock}", "900.0 TiB are required", "sh exited with 3, and said: not now"):
                assert words in done.stderr, done
            assert "memory are available" in place.ctl("why", "a").stdout
            assert caller.call("execution.list")["items"] == []

    def test_what_comes_by_its_schedule_waits_until_it_holds(self, place: Scene) -> None:
        here = place.directory / "here"
        place.configure(grants={"paths": [str(here)]})
        with place.serving() as caller:
            define(caller, "a", **QUICK, conditions=[{"file": {"path": str(here)}}])
            caller.call("event.subscribe")
            assert details(until_held(caller, "a")) == f"there is no {here}, it must exist"
            here.touch()
            assert place.ctl("why", "a").stdout.startswith("a waits now: ")


class TestRetries:
    def test_what_fails_is_tried_again_and_each_attempt_is_linked(self, place: Scene) -> None:
        count = place.directory / "count"
        script = f"echo x >> {count}; test $(wc -l < {count}) -ge 3"
        place.configure(grants={"commands": {"count": ["/bin/sh", "-c", script]}})
        with place.serving() as caller:
            retry = {"attempts": 5, "delay": "100ms", "factor": 1}
            define(caller, "a", **{**command("true", retry=retry), "config": {"command": "count"}})
            caller.call("event.subscribe")
            until(caller, "execution.ended", task_name="a", status="completed")
            found = list(reversed(place.json("execution", "list")["items"]))
            assert [(one["attempt"], one["trigger"], one["status"]) for one in found] == [
                (1, "schedule", "failed"),
                (2, "retry", "failed"),
                (3, "retry", "completed"),
            ]
            assert [one["retry_of"] for one in found] == [None, found[0]["id"], found[1]["id"]]
            said = place.ctl("execution", "show", found[2]["id"]).stdout
            assert f"attempt 3 after {found[1]['id'][:8]} had failed" in said

    def test_what_was_asked_for_by_hand_is_not(self, place: Scene) -> None:
        place.configure(tasks={"a": command("false", retry={"attempts": 3, "delay": "1ms"})})
        with place.serving():
            assert place.ctl("execute", "a").returncode == 1
            assert len(place.json("execution", "list")["items"]) == 1
            assert place.json("status")["queued_tasks"] == []

    def test_a_task_that_kills_the_daemon_is_tried_again_and_then_kept_from_running(self, place: Scene) -> None:
        retry = {"attempts": 9, "delay": "1ms", "factor": 1}
        held = place.held("a", retry=retry)
        place.configure(grants={"commands": {"stand": ["/bin/cat", *held["config"]["command"][1:]]}})
        for death in range(3):
            with place.serving() as caller:
                if not death:
                    define(caller, "a", **{**held, "config": {"command": "stand"}})
                caller.call("event.subscribe")
                running = place.json("status")["active_tasks"]
                if not running:
                    running = [until(caller, "execution.started", task_name="a")]
                assert running[0]["attempt"] == death + 1
                place.daemon.kill()
        with place.serving() as caller:
            status = place.json("status")
            assert status["active_tasks"] == []
            (alert,) = (one for one in status["alerts"] if one["kind"] == "task_quarantined")
            assert "a is in quarantine: the daemon died during each of its last runs" in alert["message"]
            refused = place.ctl("execute", "a")
            assert (refused.returncode, "has been quarantined since" in refused.stderr) == (5, True)
            assert "in quarantine" in place.ctl("task", "list").stdout
            assert place.ctl("task", "enable", "a").returncode == 0
            start(caller, "a")
            place.let_go("a")
            assert caller.call("execution.wait", execution="last")["status"] == "completed"


class TestPauses:
    def test_a_pause_skips_what_is_due_and_enabling_ends_it(self, place: Scene) -> None:
        place.configure(windows={"w": window(-60)}, tasks={"a": {**QUICK, "schedule": {"every": "1s"}}})
        with place.serving() as caller:
            caller.call("event.subscribe")
            assert place.ctl("task", "pause", "a", "--until", "+1h").returncode == 0
            skipped = until(caller, "execution.ended", task_name="a", status="cancelled")
            assert "a is paused until" in details(skipped)
            assert place.ctl("task", "enable", "a").returncode == 0
            until(caller, "execution.ended", task_name="a", status="completed")


class TestWhy:
    def test_of_the_past_it_tells_what_became_of_each_occurrence_with_the_reasons_of_then(self, place: Scene) -> None:
        place.configure(tasks={"backup": command("false"), "idle": QUICK})
        with place.serving() as caller:
            define(caller, "after", **QUICK, dependencies=[{"task": "backup", "on_failure": "skip"}])
            caller.call("event.subscribe")
            skipped = until(caller, "execution.ended", task_name="after")
            caller.run("backup")
            found = place.json("why", "after", "--at", "-8h")
            assert (found["past"], found["verdict"], found["nearest"]) == (True, "was_skipped", skipped["id"])
            assert found["guards"] == skipped["reasons"]
            said = place.ctl("why", "after", "--at", "-8h")
            assert said.returncode == 0
            assert said.stdout.startswith("after was skipped, the one of ")
            assert "backup has not run yet, so this is skipped" in said.stdout
            assert "what it was before is not known" in said.stdout
            assert place.ctl("why", "backup", "--at", "-2h").stdout.startswith("backup ran, the one of ")
            idle = place.ctl("why", "idle", "--at", "-8h").stdout
            assert idle.startswith("idle was not due within 12 h of ")
            assert "nothing of it was written down" in idle
            assert place.ctl("why", "nobody", "--at", "-8h").returncode == 4

    def test_of_what_is_to_come_it_tells_what_is_so_now(self, place: Scene) -> None:
        place.configure(
            windows={"w": window(-60, minutes=60)},
            tasks={
                "a": {**QUICK, "schedule": {"window": "w"}, "conditions": [{"disk_free": {"path": "/", "min": "1B"}}]}
            },
        )
        with place.serving():
            found = place.json("why", "a", "--at", "+3h")
            guards = {guard["guard"]: guard for guard in found["guards"]}
            assert guards["condition"]["of"] == "now"
            assert "of" not in guards["window"]
            assert guards["window"]["detail"] == "window w is closed"
            said = place.ctl("why", "a", "--at", "+3h").stdout
            assert "now: / has " in said
            assert "what stands after `now:` can change until then" in said
            assert "now:" not in place.ctl("why", "a").stdout
