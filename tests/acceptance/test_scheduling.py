"""What starts, what waits and why, what is skipped, and how it is stopped: with commands that wait at gates."""

import os
import select
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest

from command_line import Scene, scene, soon, until, window
from daemon_harness import Client
from socket_peers import ME

QUICK = {"type": "custom", "category": "system", "executor": "noop"}


@pytest.fixture
def place(database: str) -> Iterator[Scene]:
    with scene(database) as found:
        yield found


def start(caller: Client, *tasks: str, **params: Any) -> list[str]:
    return [caller.call("execution.start", task=task, **params)["execution_id"] for task in tasks]


def status_of(caller: Client, ident: str) -> str:
    found: str = caller.call("execution.get", execution=ident)["status"]
    return found


def reasons_of(execution: dict[str, Any]) -> list[tuple[str, str]]:
    return [(reason["guard"], reason["verdict"]) for reason in execution["reasons"]]


def _begun_until_ended(caller: Client, name: str) -> list[str]:
    """The tasks that have started by the time the end of `name` is told: its room is free a little before that."""
    begun: list[str] = []
    while True:
        pushed = caller.receive().event or {}
        task = (pushed.get("execution") or {}).get("task_name")
        if pushed.get("event") == "execution.started":
            begun.append(task)
        elif (pushed.get("event"), task) == ("execution.ended", name):
            return begun


class TestRoom:
    def test_a_window_s_limit_holds_across_its_tasks(self, place: Scene) -> None:
        """Of five that come due together two run, whatever the global limit; each end lets the next one start."""
        names = [f"t{number}" for number in range(5)]
        tasks = {name: place.held(name, schedule={"window": "w"}) for name in names}
        place.configure(scheduler={"max_concurrent_tasks": 10}, windows={"w": window(86400)}, tasks=tasks)
        with place.serving() as caller:
            caller.call("event.subscribe")
            opens = {"w": window(4, max_concurrent_tasks=2)}  # in a file at once, it could be open before we listen
            place.configure(scheduler={"max_concurrent_tasks": 10}, windows=opens, tasks=tasks)
            caller.call("daemon.reload")
            begun: list[str] = []
            for round_ in range(5):
                while len(begun) < min(2 + round_, 5):
                    begun.append(until(caller, "execution.started")["task_name"])
                status = place.json("status")
                assert len(status["active_tasks"]) == min(2, 5 - round_)
                assert status["current_window"]["running"] == min(2, 5 - round_)
                assert len(status["queued_tasks"]) == max(0, 3 - round_)
                for waiting in status["queued_tasks"]:
                    assert reasons_of(waiting) == [("window_concurrency", "wait")]
                    assert waiting["reasons"][0]["detail"] == "2 of 2 run in window w"
                place.let_go(begun[round_])
                begun += _begun_until_ended(caller, begun[round_])
            assert sorted(begun) == names

    def test_the_most_urgent_goes_first_when_there_is_room(self, place: Scene) -> None:
        priorities = ("low", "high", "medium", "critical")
        place.configure(
            scheduler={"max_concurrent_tasks": 1},
            tasks={"first": place.held("first"), **{name: {**QUICK, "priority": name} for name in priorities}},
        )
        with place.serving() as caller:
            start(caller, "first", *priorities)
            waiting = place.json("status")["queued_tasks"]
            assert [reasons_of(one) for one in waiting] == [[("concurrency", "wait")]] * 4
            caller.call("event.subscribe")
            place.let_go("first")
            order = [until(caller, "execution.started")["task_name"] for _ in priorities]
        assert order == ["critical", "high", "medium", "low"]

    def test_of_a_hundred_that_are_due_at_once_three_run_and_the_most_urgent_first(self, place: Scene) -> None:
        priorities = ("low", "medium", "high", "critical")
        tasks = {
            f"{priority}-{number:02}": {**QUICK, "priority": priority, "schedule": {"window": "w"}}
            for number in range(25)
            for priority in priorities
        }
        place.configure(scheduler={"max_concurrent_tasks": 3}, windows={"w": window(86400)}, tasks=tasks)
        with place.serving() as caller:
            caller.call("event.subscribe")
            opens = {"w": window(6, max_concurrent_tasks=100)}
            place.configure(scheduler={"max_concurrent_tasks": 3}, windows=opens, tasks=tasks)
            caller.call("daemon.reload")
            ended = [until(caller, "execution.ended") for _ in tasks]
        assert {one["status"] for one in ended} == {"completed"}
        # Room is free a little before the end is told, so the events overlap where the executions do not.
        moments = [(one["completed_at"], -1) for one in ended] + [(one["started_at"], 1) for one in ended]
        assert max(accumulate(change for _, change in sorted(moments))) <= 3
        ranks = [(one["started_at"], -priorities.index(one["task_name"].partition("-")[0])) for one in ended]
        begun, expected = [rank for _, rank in sorted(ranks)], sorted(rank for _, rank in ranks)
        # Three are begun at once, and which of them writes its start first is for the machine to say.
        assert [
            number for number, rank in enumerate(begun) if rank not in expected[max(number - 2, 0) : number + 3]
        ] == []

    def test_what_waits_for_its_window_holds_up_no_other(self, place: Scene) -> None:
        place.configure(
            windows={"narrow": window(-60, max_concurrent_tasks=1), "wide": window(-60)},
            tasks={"a": place.held("a"), "b": {**QUICK, "priority": "critical"}, "c": QUICK},
        )
        with place.serving() as caller:
            start(caller, "a", "b", window="narrow")
            assert place.ctl("execute", "c", "--window", "wide").returncode == 0
            assert len(place.json("status")["queued_tasks"]) == 1
            place.let_go("a")
            assert caller.call("execution.wait", execution="last")["status"] == "completed"

    def test_a_task_never_runs_twice_at_the_same_time(self, place: Scene) -> None:
        place.configure(tasks={"a": place.held("a")})
        with place.serving() as caller:
            start(caller, "a")
            done = place.ctl("execute", "a")
            assert (done.returncode, "a is already running" in done.stderr) == (5, True)
            place.let_go("a")


class TestSkipped:
    """Each due occurrence has its row, with the reasons."""

    def test_what_is_paused_and_what_is_disabled(self, place: Scene) -> None:
        place.configure(tasks={"paused": {**QUICK, "schedule": {"every": "1s"}}, "off": {**QUICK, "enabled": False}})
        with place.serving() as caller:
            caller.call("event.subscribe")
            assert place.json("task", "pause", "paused", "--until", "+1h")["paused_until"] is not None
            skipped = until(caller, "execution.ended", task_name="paused", status="cancelled")
            assert reasons_of(skipped) == [("task", "refuse")]
            assert "paused is paused until" in skipped["reasons"][0]["detail"]
            place.json("task", "enable", "paused")
            until(caller, "execution.ended", task_name="paused", status="completed")
            place.json("task", "disable", "paused")
            assert place.json("task", "show", "paused")["next_due"] is None
            assert place.ctl("execute", "off").returncode == 5
            assert place.json("execution", "list", "--task", "off")["items"] == []

    def test_one_that_is_disabled_while_it_waits_does_not_start(self, place: Scene) -> None:
        place.configure(scheduler={"max_concurrent_tasks": 1}, tasks={"a": place.held("a"), "b": QUICK, "c": QUICK})
        with place.serving() as caller:
            start(caller, "a")
            (waiting,) = start(caller, "b")
            caller.call("task.disable", task="b")
            place.let_go("a")
            ended = caller.call("execution.wait", execution=waiting)
            assert (ended["status"], reasons_of(ended)) == ("cancelled", [("task", "refuse")])

    def test_one_that_could_not_start_in_time_is_told_of_with_what_stood_against_it(self, place: Scene) -> None:
        """Missed while the daemon was draining; after the grace it is skipped, and says so."""
        place.configure(scheduler={"misfire_grace": "2s"}, tasks={"a": QUICK})
        with place.serving() as caller:
            caller.call("event.subscribe")
            assert place.json("drain") == {"state": "draining", "running": 0}
            caller.call("task.create", task={"name": "late", **QUICK, "schedule": {"at": soon(2)}})
            skipped = until(caller, "execution.ended", task_name="late")
            assert skipped["status"] == "cancelled"
            assert reasons_of(skipped) == [("scheduler", "wait"), ("misfire", "refuse")]
            done = place.ctl("execute", "a")
            assert (done.returncode, "the daemon is draining" in done.stderr) == (5, True)
            assert skipped["reasons"][0]["held_seconds"] >= 1
            assert place.json("why", "late", "--at", "-2m")["guards"] == skipped["reasons"]
            why = place.json("why", "late")
            assert (why["last"]["id"], why["verdict"]) == (skipped["id"], "does_not_run")

    def test_a_closing_window_s_leftovers_are_told_of(self, place: Scene) -> None:
        """A window of a minute whose cutoff has come: what asks for it is refused, with the moment."""
        place.configure(windows={"w": window(-90, minutes=2, cutoff=1)}, tasks={"a": QUICK})
        with place.serving():
            done = place.ctl("execute", "a", "--window", "w")
            assert done.returncode == 5
            assert "window w starts nothing after" in done.stderr


class TestStopped:
    def test_cancel_of_one_that_waits_and_of_one_that_runs(self, place: Scene) -> None:
        place.configure(scheduler={"max_concurrent_tasks": 1}, tasks={"a": place.held("a"), "b": QUICK})
        with place.serving() as caller:
            running, waiting = start(caller, "a", "b")
            assert place.json("execution", "cancel", waiting)["status"] == "cancelled"
            ended = caller.call("execution.get", execution=waiting)
            assert (ended["started_at"], reasons_of(ended)[0]) == (None, ("cancelled", "refuse"))
            with place.reached("a"):
                place.json("execution", "cancel", running[:8])
                ended = caller.call("execution.wait", execution=running)
            assert (ended["status"], ended["error"]["kind"]) == ("cancelled", "cancelled")
            assert ended["reasons"][0]["detail"] == f"cancelled by {ME}"
            assert ended["steps"][0]["status"] == "cancelled"
            assert place.ctl("execution", "cancel", running).returncode == 5

    def test_a_timeout_ends_all_that_was_started(self, place: Scene) -> None:
        """Also what has left the process group, which is known by a mark in its environment."""
        pids = place.gate("pids")
        script = (
            f"(setsid sh -c 'trap \"\" TERM HUP; echo $$ > {pids}; while :; do sleep 1; done' &) ; "
            f"trap '' TERM; while :; do sleep 1; done"
        )
        place.configure(
            tasks={
                "stuck": {
                    "type": "custom", "category": "system", "timeout": "5s",
                    "config": {"command": ["sh", "-c", script]},
                }
            }
        )  # fmt: skip
        with place.serving() as caller:
            (ident,) = start(caller, "stuck")
            runaway = os.pidfd_open(int(pids.read_text()))
            ended = caller.call("execution.wait", execution=ident)
            assert (ended["status"], ended["error"]["kind"]) == ("failed", "timeout")
            assert "5 s" in ended["error"]["message"]
            assert select.select([runaway], [], [], 0)[0] == [runaway], "a process has outlived its execution"
            os.close(runaway)
            assert caller.call("daemon.version")["protocol"] == 1

    def test_drain_lets_what_runs_go_on(self, place: Scene) -> None:
        place.configure(tasks={"a": place.held("a"), "b": QUICK})
        with place.serving() as caller:
            (ident,) = start(caller, "a")
            with place.reached("a"):
                assert place.json("drain") == {"state": "draining", "running": 1}
                assert place.json("status")["scheduler"]["state"] == "draining"
            assert caller.call("execution.wait", execution=ident)["status"] == "completed"

    def test_drain_is_shown_in_status_and_taken_back_by_its_command(self, place: Scene) -> None:
        place.configure(tasks={"a": QUICK})
        with place.serving() as caller:
            said = place.ctl("drain").stdout
            assert "jamaintctl drain --off" in said
            shown = place.json("status")
            (alert,) = shown["alerts"]
            assert (shown["overall"], alert["kind"]) == ("issues", "draining")
            assert "jamaintctl drain --off" in place.ctl("status").stdout
            refused = place.ctl("execute", "a")
            assert (refused.returncode, "jamaintctl drain --off" in refused.stderr) == (5, True)
            assert "jamaintctl drain --off" in place.ctl("why", "a").stdout
            assert place.json("drain", "--off") == {"state": "active", "running": 0}
            shown = place.json("status")
            assert (shown["overall"], shown["alerts"]) == ("healthy", [])
            assert place.ctl("execute", "a").returncode == 0
            waiting = {"name": "late", **QUICK, "schedule": {"at": soon(2)}}
            place.json("drain")
            caller.call("event.subscribe")
            caller.call("task.create", task=waiting)
            place.json("drain", "--off")
            assert until(caller, "execution.ended", task_name="late")["status"] == "completed"

    def test_a_reload_leaves_what_runs_as_it_was_begun(self, place: Scene) -> None:
        place.configure(tasks={"a": place.held("a"), "b": QUICK})
        with place.serving() as caller:
            (ident,) = start(caller, "a")
            place.configure(tasks={"b": QUICK})
            with place.reached("a"):
                assert place.json("reload")["changes"]["tasks"]["removed"] == ["a"]
            ended = caller.call("execution.wait", execution=ident)
            assert (ended["status"], ended["task_name"]) == ("completed", "a")
            assert place.json("execution", "list", "--task", "a")["items"][0]["id"] == ident


def test_a_scheduled_command_has_nothing_of_the_daemon_s_own(place: Scene, tmp_path: Path) -> None:
    """Neither its environment nor its descriptors: NOTIFY_SOCKET, the database and the socket stay with the daemon."""
    script = "env; ls -l /proc/self/fd"
    place.configure(tasks={"a": {"type": "custom", "category": "system", "config": {"command": ["sh", "-c", script]}}})
    with place.serving():
        ended = place.json("execute", "a")
        lines = [line["message"] for line in place.json("execution", "log", ended["id"])["items"]]
    names = {line.split("=")[0] for line in lines if "=" in line and "->" not in line}
    assert names <= {"PATH", "LANG", "HOME", "USER", "LOGNAME", "SHELL", "PWD", "SHLVL", "_", "OLDPWD", "TMPDIR", "TZ",
                     "JAMAINT_EXECUTION", "JAMAINT_TASK", "XDG_RUNTIME_DIR"}  # fmt: skip
    assert f"JAMAINT_EXECUTION={ended['id']}" in lines
    assert sum("->" in line for line in lines) <= 5
