"""What runs is held back by an operator: it stands still and says so, goes on, is stopped or left behind, all clean."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_line import Scene, scene, until
from daemon_harness import Client, Daemon, refusal
from socket_peers import ME
from tree_snapshot import differences, snapshot

OLD = tuple(range(100, 140))


@pytest.fixture
def place(database: str) -> Iterator[Scene]:
    with scene(database) as found:
        found.configure(tasks={"held": found.held("held"), "slow": slow(found)})
        yield found


def slow(place: Scene) -> dict[str, object]:
    """Deletes its logs at one a minute: it rests after the first few, for as long as a test may take."""
    return {
        "type": "cleanup",
        "category": "logs",
        "config": {"log_paths": [f"{place.logs(OLD)}/*.log"], "retention_days": 30},
        "mass_deletion": {"share": "100%", "items": 1000},
        "limits": {"operations_per_second": 0.01},
        "rollback": {"enabled": True, "auto_rollback": True},
    }


def begun(caller: Client, task: str) -> str:
    """Starts a task and returns its id once a step of it runs."""
    caller.call("event.subscribe")
    ident: str = caller.call("execution.start", task=task)["execution_id"]
    until(caller, "execution.step", id=ident)
    return ident


def test_a_step_event_names_its_step(place: Scene) -> None:
    with place.serving() as caller:
        caller.call("event.subscribe")
        ident = caller.call("execution.start", task="held")["execution_id"]
        pushed = None
        while pushed is None or pushed["event"] != "execution.step":
            pushed = caller.receive().event
        first = pushed["execution"]["steps"][0]
        assert (pushed["step"]["name"], pushed["step"]["status"]) == (first["name"], "running")
        place.ctl("execution", "cancel", ident[:8])


def test_an_execution_stands_still_and_goes_on(place: Scene) -> None:
    with place.serving() as caller:
        ident = begun(caller, "held")
        said = place.ctl("execution", "pause", ident[:8], "--reason", "a release")
        assert said.returncode == 0
        assert f"held {ident[:8]} paused by {ME}" in said.stdout
        assert "a release" in said.stdout
        shown = place.json("execution", "show", ident)
        assert shown["status"] == "running"
        assert {key: shown["paused"][key] for key in ("by", "why", "reached")} == {
            "by": ME,
            "why": "a release",
            "reached": True,
        }
        assert f"paused by {ME}" in place.ctl("status").stdout
        assert f"paused by {ME}" in place.ctl("execution", "show", ident).stdout
        assert place.ctl("execution", "resume", ident[:8]).stdout == f"held {ident[:8]} goes on\n"
        assert place.json("execution", "show", ident)["paused"] is None
        again = place.ctl("execution", "resume", ident[:8])
        assert (again.returncode, again.stderr) == (5, f"jamaintctl: cannot resume {ident[:8]}: it is not paused\n")
        place.let_go("held")
        assert until(caller, "execution.ended", id=ident)["status"] == "completed"
        log = [line["message"] for line in place.json("execution", "log", ident)["items"]]
        assert f"paused by {ME}: a release" in log
        assert f"resumed by {ME}" in log
        audited = [entry["method"] for entry in place.json("audit")["items"] if entry["outcome"] == "done"]
        assert {"execution.pause", "execution.resume"} <= set(audited)


def test_a_paused_execution_is_cancelled(place: Scene) -> None:
    with place.serving() as caller:
        ident = begun(caller, "held")
        place.json("execution", "pause", ident)
        place.json("execution", "cancel", ident)
        ended = until(caller, "execution.ended", id=ident)
        assert (ended["status"], ended["paused"]) == ("cancelled", None)
        for method in ("execution.pause", "execution.resume"):
            assert "it does not run" in refusal(caller, method, execution=ident).message


def test_limits_hold_it_up_and_a_throttle_is_shown(place: Scene) -> None:
    with place.serving() as caller:
        ident = begun(caller, "slow")
        until(caller, "execution.progress", id=ident)
        words = place.ctl("execution", "throttle", ident[:8], "2.5")
        assert words.stdout == f"slow {ident[:8]} rests 2.5 s for each second of work\n"
        assert place.json("execution", "show", ident)["throttle"] == 2.5
        assert "throttled (2.5)" in place.ctl("status").stdout
        assert place.ctl("execution", "throttle", ident, "0").stdout == f"slow {ident[:8]} works without rests\n"
        for ratio in ("-1", "nan", "inf", "1001"):
            assert place.ctl("execution", "throttle", ident, ratio).returncode == 2, ratio
        assert place.ctl("execution", "throttle", ident, "slow").returncode == 2
        place.json("execution", "cancel", ident)
        assert until(caller, "execution.ended", id=ident)["status"] == "cancelled"


def test_a_command_cannot_be_throttled_and_says_so(place: Scene) -> None:
    with place.serving() as caller:
        ident = begun(caller, "held")
        said = place.ctl("execution", "throttle", ident, "2")
        assert said.returncode == 5
        assert "pause it instead" in said.stderr
        place.let_go("held")


def test_a_worker_that_is_killed_while_it_is_paused_is_a_failure_that_is_undone(place: Scene) -> None:
    before = snapshot(place.directory / "logs")
    with place.serving() as caller:
        ident = begun(caller, "slow")
        until(caller, "execution.progress", id=ident)
        assert place.json("execution", "pause", ident)["paused"]["reached"]
        for pid in _workers(ident):
            os.kill(pid, signal.SIGKILL)
        ended = until(caller, "execution.ended", id=ident)
        assert (ended["status"], ended["error"]["kind"]) == ("rolled_back", "lost")
    assert differences(before, snapshot(place.directory / "logs")) == []


def test_a_daemon_that_is_killed_while_an_execution_is_paused_leaves_no_process_and_is_settled(place: Scene) -> None:
    before = snapshot(place.directory / "logs")
    killed = Daemon(place.config)
    assert killed.wait_ready()
    place.daemon = killed
    caller = Client(place.socket)
    ident = begun(caller, "slow")
    until(caller, "execution.progress", id=ident)
    assert place.json("execution", "pause", ident)["paused"]["reached"]
    killed.kill()
    caller.close()
    with place.serving() as caller:
        assert caller.call("execution.get", execution=ident)["status"] == "rolled_back"
        assert _workers(ident) == []
    assert differences(before, snapshot(place.directory / "logs")) == []


def _workers(execution: str) -> list[int]:
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"JAMAINT_EXECUTION={execution}".encode() in environ.read_bytes().split(b"\0"):
                found.append(int(environ.parent.name))
        except OSError:
            continue
    return found


def test_a_command_that_has_run_before_has_a_time_left(place: Scene) -> None:
    """It tells nothing of itself; that it took some seconds is known once it has completed, also over a restart."""
    with place.serving() as caller:
        ident = begun(caller, "held")
        assert caller.call("execution.get", execution=ident)["eta"] is None
        place.let_go("held")
        assert caller.call("execution.wait", execution=ident)["status"] == "completed"
    with place.serving() as caller:
        ident = begun(caller, "held")
        shown = caller.call("execution.get", execution=ident)
        assert shown["eta"] >= shown["steps"][0]["started_at"]
        place.let_go("held")
        assert caller.call("execution.wait", execution=ident)["eta"] is None
