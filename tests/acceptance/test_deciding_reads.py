"""Each read of the store that decides something: without its answer nothing is done, and that is said."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from command_line import Scene, scene
from daemon_harness import Client, Daemon, client, refusal
from jamaint.errors import UNAVAILABLE

ROUNDS = 600


@pytest.fixture
def place(database: str) -> Iterator[Scene]:
    with scene(database) as found:
        directory = found.logs((*range(100, 160), 1, 2, 3))
        task = {
            "type": "cleanup",
            "category": "logs",
            "config": {"log_paths": [f"{directory}/*.log"], "retention_days": 30},
        }
        held = found.held("held")
        found.configure(tasks={"app-logs": task, "held": held}, scheduler={"max_concurrent_tasks": 1})
        yield found


@contextmanager
def silenced(place: Scene, read: str) -> Iterator[tuple[Client, Path]]:
    """A daemon whose read of that name gets no answer while the file exists; each try is a line in the file."""
    flag = place.directory / "silent"
    running = place.daemon = Daemon(place.config, knife=f"store:{read}:{flag}")
    try:
        assert running.wait_ready(), place.config.with_suffix(".log").read_text()
        with client(place.socket) as caller:
            yield caller, flag
    finally:
        flag.unlink(missing_ok=True)
        running.stop()


def asked(flag: Path, times: int) -> None:
    """Returns when the read has been tried that often."""
    for _ in range(ROUNDS):
        if flag.read_text().count("asked") >= times:
            return
        time.sleep(0.05)  # the other process writes it
    raise AssertionError("it was never asked")


def names(place: Scene) -> list[str]:
    return sorted(path.name for path in (place.directory / "logs" / "app").glob("*.log"))


def approved_plan(caller: Client) -> str:
    plan: str = caller.call("task.plan", task="app-logs")["hash"]
    caller.call("plan.approve", plan=plan)
    return plan


def add_old(place: Scene) -> str:
    path = place.directory / "logs" / "app" / "unapproved.log"
    path.write_text("old, and in no plan")
    os.utime(path, (10**9, 10**9))
    return path.name


def test_approved_plan_unanswered_read_waits_and_no_fresh_plan_is_made(place: Scene) -> None:
    with silenced(place, "plans.by_prefix") as (caller, flag):
        begun = begin_silently(place, caller, flag, "")
        asked(flag, 2)
        assert len(names(place)) == 64
        assert caller.call("execution.get", execution=begun)["progress"]["waiting"].startswith("the database is away")
        flag.unlink()
        ended = caller.call("execution.wait", execution=begun)
        assert (ended["status"], ended["metrics"]["processed_items"]) == ("completed", 60)
        assert "unapproved.log" in names(place)
        log = [line["message"] for line in caller.call("execution.logs", execution=begun)["items"]]
        assert log[0] == "waits, nothing has been changed: the database is away: a test holds its answer back"


def test_approved_plan_read_that_fails_once_is_still_that_plan(place: Scene) -> None:
    with silenced(place, "plans.by_prefix") as (caller, flag):
        begun = begin_silently(place, caller, flag, "once")
        ended = caller.call("execution.wait", execution=begun)
        assert (ended["status"], ended["metrics"]["processed_items"]) == ("completed", 60)
        assert "unapproved.log" in names(place)


def test_waiting_for_the_store_can_be_cancelled(place: Scene) -> None:
    with silenced(place, "plans.by_prefix") as (caller, flag):
        begun = begin_silently(place, caller, flag, "")
        asked(flag, 1)
        caller.call("execution.cancel", execution=begun)
        assert caller.call("execution.wait", execution=begun)["status"] == "cancelled"
        assert len(names(place)) == 64


def test_what_undos_have_put_back_unanswered_read_waits(place: Scene) -> None:
    with silenced(place, "rollback_points.held") as (caller, flag):
        begun = begin_silently(place, caller, flag, "")
        asked(flag, 2)
        assert len(names(place)) == 64
        flag.unlink()
        assert caller.call("execution.wait", execution=begun)["status"] == "completed"


def begin_silently(place: Scene, caller: Client, flag: Path, silence: str) -> str:
    """Start an approved plan, with an old file that is not in it, just as the store falls silent."""
    held = caller.call("execution.start", task="held")["execution_id"]
    plan = approved_plan(caller)
    add_old(place)
    ident: str = caller.call("execution.start", task="app-logs", plan=plan)["execution_id"]
    assert caller.call("execution.get", execution=ident)["status"] == "scheduled"
    flag.write_text(silence)
    place.let_go("held")
    if not silence:
        assert caller.call("execution.wait", execution=held)["status"] == "completed"
    return ident


def test_rollback_unanswered_read_is_refused_and_nothing_is_claimed(place: Scene) -> None:
    with silenced(place, "rollback_points.of_execution") as (caller, flag):
        plan = approved_plan(caller)
        ident = caller.call("execution.start", task="app-logs", plan=plan)["execution_id"]
        assert caller.call("execution.wait", execution=ident)["status"] == "completed"
        flag.touch()
        problem = refusal(caller, "execution.rollback", execution=ident)
        assert (problem.code, problem.data["retry_after"]) == (UNAVAILABLE, 5)
        assert len(names(place)) == 3
        flag.unlink()
        assert caller.call("execution.rollback", execution=ident)["restored"] == 60
