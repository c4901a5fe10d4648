"""`jamaintctl cleanup`: one execution of several kinds, its history, and what a rollback makes of that."""

import os
import time
from collections.abc import Iterator

import pytest

from command_line import Scene, scene
from tree_snapshot import differences, snapshot

NO_CACHE = {"redis": {"url": "unix:///nonexistent/redis.sock", "pattern": "*", "idle_for": "1h"}}


@pytest.fixture
def place(database: str) -> Iterator[Scene]:
    with scene(database) as found:
        logs = found.logs((0, 2, 40, 41))
        logs_cleanup = {"log_paths": [f"{logs}/*.log"], "retention_days": 30}
        found.configure(cleanup={"logs": logs_cleanup, "cache": NO_CACHE})
        yield found


def test_one_that_fails_does_not_stop_the_others_and_all_is_on_record(place: Scene) -> None:
    logs = place.directory / "logs" / "app"
    before = snapshot(logs)
    with place.serving():
        done = place.ctl("cleanup", "run")
        assert done.returncode == 1
        assert len(list(logs.glob("*.log"))) == 2
        (kept,) = place.json("cleanup", "history")["items"]
        assert [(one["type"], one["success"]) for one in kept["operations"]] == [
            ("log_cleanup", True),
            ("cache_cleanup", False),
        ]
        assert (kept["cleanup_type"], kept["status"], kept["success"]) == ("system", "failed", False)
        assert kept["total_processed_items"] == 2
        assert {"freed_space", "processed_items", "duration", "details"} <= set(kept["operations"][0])
        assert "cannot be reached" in kept["error_message"]
        assert place.ctl("rollback", "last").returncode == 0
        assert differences(before, snapshot(logs)) == []
        (kept,) = place.json("cleanup", "history")["items"]
        assert kept["status"] == "rolled_back"


def test_only_what_is_named_and_only_a_plan(place: Scene) -> None:
    with place.serving():
        plan = place.json("cleanup", "run", "--dry-run")["plan"]
        assert [step["name"] for step in plan["steps"]] == ["log_cleanup", "cache_cleanup"]
        ended = place.json("cleanup", "run", "logs")
        assert (ended["status"], [step["name"] for step in ended["steps"]]) == ("completed", ["log_cleanup"])
        assert "database is not configured" in place.ctl("cleanup", "run", "database").stderr
        assert place.ctl("cleanup", "run", "everything").returncode == 2


def test_a_stored_plan_of_it_is_carried_out_item_by_item(place: Scene) -> None:
    logs = place.directory / "logs" / "app"
    config = {"log_paths": [f"{logs}/*.log"], "retention_days": 30}
    place.configure(cleanup={"logs": config})
    with place.serving():
        plan = place.json("plan", "cleanup")
        assert {item["step"] for item in plan["items"]} == {"log_cleanup/cleanup"}
        late = logs / "late.log"
        late.write_text("old by now, and in no plan")
        os.utime(late, (time.time() - 60 * 86400,) * 2)
        before = snapshot(logs)
        done = place.ctl("execute", "cleanup", "--plan", plan["hash"][:12])
        assert done.returncode == 0, done.stderr
        assert len(list(logs.glob("*.log"))) == 3
        assert late.exists()
        assert place.ctl("rollback", "last").returncode == 0
        assert differences(before, snapshot(logs)) == []


def test_without_the_section_there_is_nothing_to_run(database: str) -> None:
    with scene(database) as place:
        place.configure()
        with place.serving():
            done = place.ctl("cleanup", "run")
            assert (done.returncode, "the configuration has none" in done.stderr) == (4, True)
            assert place.ctl("cleanup", "history").stdout == "no cleanups in that time\n"


def test_a_task_of_one_kind_is_in_the_history_too(place: Scene) -> None:
    logs = place.directory / "logs" / "app"
    os.utime(logs / next(iter(os.listdir(logs))), (time.time(),) * 2)
    config = {"log_paths": [f"{logs}/*.log"], "retention_days": 30}
    place.configure(tasks={"app-logs": {"type": "cleanup", "category": "logs", "config": config}})
    with place.serving():
        assert place.ctl("execute", "app-logs").returncode == 0
        (kept,) = place.json("cleanup", "history")["items"]
        assert (kept["cleanup_type"], kept["task_name"]) == ("logs", "app-logs")
