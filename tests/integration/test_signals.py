"""Signals to a real daemon: SIGTERM drains, a second one hurries, SIGHUP reloads, SIGUSR1 has it write what it does."""

import json
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from command_line import Scene, scene, window
from daemon_harness import SECONDS, Client, client

NOTHING = {"type": "custom", "category": "system", "executor": "noop"}


@pytest.fixture
def place(database: str) -> Iterator[Scene]:
    with scene(database) as found:
        yield found


def stubborn(place: Scene) -> dict[str, Any]:
    """A command that heeds no SIGTERM, and says its number at a gate."""
    script = f"trap '' TERM INT HUP; echo $$ > {place.gate('number')}; while :; do sleep 1; done"
    return {"type": "custom", "category": "system", "config": {"command": ["sh", "-c", script]}}


def log_of(place: Scene) -> str:
    return place.config.with_suffix(".log").read_text()


def until_log(place: Scene, caller: Client, *words: str) -> str:
    """The line of the log that has these words; each look is a call of the daemon's."""
    for _ in range(20_000):
        for line in log_of(place).splitlines():
            if all(word in line for word in words):
                return line
        caller.call("daemon.version")
    raise AssertionError(f"{words} are not in {log_of(place)}")


def test_sigterm_lets_what_runs_come_to_a_safe_point_and_tells_whoever_waits(place: Scene) -> None:
    place.configure(tasks={"a": place.held("a"), "b": NOTHING})
    with place.serving() as caller, client(place.socket) as other:
        running = caller.call("execution.start", task="a")["execution_id"]
        with place.reached("a"):
            caller.begin("execution.wait", execution=running)
            place.daemon.process.send_signal(signal.SIGTERM)
            assert "STOPPING=1" in place.daemon.wait_told("STOPPING=1")
            ended = caller.receive().result
            assert (ended["status"], ended["error"]["kind"]) == ("cancelled", "interrupted"), ended
            assert "the daemon was stopped" in ended["error"]["message"]
            with pytest.raises((EOFError, ConnectionError)):  # whoever waits for nothing is hung up on
                other.receive()
            assert place.daemon.wait() == 0
    assert "stopping" in log_of(place)
    assert "Traceback" not in log_of(place)
    assert not place.socket.exists()
    with place.serving() as caller:
        assert caller.call("execution.get", execution=running)["error"]["kind"] == "interrupted"
        assert caller.run("b")["status"] == "completed"


def test_a_second_sigterm_hurries_and_the_next_start_settles(place: Scene) -> None:
    place.configure(tasks={"stubborn": stubborn(place), "b": NOTHING})
    with place.serving() as caller:
        running = caller.call("execution.start", task="stubborn")["execution_id"]
        process = os.pidfd_open(int(place.gate("number").read_text()))
        place.daemon.process.send_signal(signal.SIGTERM)
        place.daemon.wait_told("STOPPING=1")
        place.daemon.process.send_signal(signal.SIGTERM)
        assert place.daemon.wait() == 0
    assert "Traceback" not in log_of(place)
    with place.serving() as caller:
        assert select.select([process], [], [], SECONDS)[0], "the command has outlived its execution"
        os.close(process)
        ended = caller.call("execution.get", execution=running)
        assert (ended["status"], ended["error"]["kind"]) == ("cancelled", "interrupted")
        assert caller.run("b")["status"] == "completed"


def test_sigint_is_as_sigterm(place: Scene) -> None:
    place.configure(tasks={"b": NOTHING})
    with place.serving():
        place.daemon.process.send_signal(signal.SIGINT)
        assert place.daemon.wait() == 0
    assert "Traceback" not in log_of(place)


def test_sighup_applies_a_good_file_and_refuses_a_bad_one(place: Scene) -> None:
    place.configure(tasks={"a": place.held("a")})
    with place.serving() as caller:
        running = caller.call("execution.start", task="a")["execution_id"]
        with place.reached("a"):
            place.configure(tasks={"b": NOTHING})
            place.daemon.process.send_signal(signal.SIGHUP)
            assert "RELOADING=1" in place.daemon.wait_told("RELOADING=1")
            place.daemon.wait_told("READY=1")
            assert [task["name"] for task in caller.call("task.list")["items"]] == ["b"]
            assert place.config.read_text()
            place.config.write_text(place.config.read_text()[:-20])  # an editor's half-written file
            place.daemon.process.send_signal(signal.SIGHUP)
            place.daemon.wait_told("the new configuration was refused")
            until_log(place, caller, "configuration refused; the previous one stays in force", str(place.config))
            assert [alert["kind"] for alert in caller.call("status")["alerts"]] == ["configuration_refused"]
            assert caller.run("b")["status"] == "completed"
            place.configure(tasks={"c": NOTHING})
            place.daemon.process.send_signal(signal.SIGHUP)
            place.daemon.wait_told("STATUS=1 task, 0 windows")
            assert caller.run("c")["status"] == "completed"
        assert caller.call("execution.wait", execution=running)["status"] == "completed"


def test_a_storm_of_signals_is_one_after_the_other(place: Scene) -> None:
    place.configure(tasks={"b": NOTHING})
    with place.serving() as caller:
        for _ in range(50):
            for number in (signal.SIGHUP, signal.SIGUSR1):
                place.daemon.process.send_signal(number)
            assert caller.call("daemon.version")["protocol"] == 1
        assert caller.run("b")["status"] == "completed"
    assert "Traceback" not in log_of(place)


def test_sigusr1_writes_what_it_is_doing(place: Scene) -> None:
    place.configure(
        windows={"nightly": window(-60)}, tasks={"a": place.held("a"), "b": NOTHING}, log={"format": "json"}
    )
    with place.serving() as caller:
        running = caller.call("execution.start", task="a")["execution_id"]
        with place.reached("a"):
            place.daemon.process.send_signal(signal.SIGUSR1)
            whole = json.loads(until_log(place, caller, "what it does now"))
            assert (whole["scheduler"], whole["running"], whole["waiting"], whole["database"]) == (
                "active",
                1,
                0,
                "ok",
            )
            one = json.loads(until_log(place, caller, "runs now: a"))
            assert (one["execution"], one["step"]) == (running, "command")
            assert one["since"]


def test_sigusr1_before_it_is_up_tells_what_it_waits_for(place: Scene) -> None:
    nowhere = Path(place.directory, "nowhere")
    place.configure(tasks={"b": NOTHING}, database={"dsn": f"postgresql:///x?host={nowhere}"})
    with place.serving() as caller:
        place.daemon.process.send_signal(signal.SIGUSR1)
        until_log(place, caller, "what it does now", "waiting for the database: no PostgreSQL listens there")
