"""The main job, as an administrator sees it: logs expire in a window, free space, and come back byte for byte."""

import json
import os
import select
from collections.abc import Iterator
from typing import Any

import pytest

from command_line import Scene, scene, until, window
from daemon_harness import client
from tree_snapshot import differences, snapshot

AGES = (0, 0.5, 2, 5, 29, 31, 40, 400)
KEPT_BY_RETENTION = 5
COMPRESSED = 3


def logs_task(logs: Any, **more: Any) -> dict[str, Any]:
    return {
        "type": "cleanup",
        "category": "logs",
        "config": {
            "log_paths": [f"{logs}/*.log"],
            "retention_days": 30,
            "compress_logs": {"algorithm": "gzip", "older_than": "1d"},
        },
        "mass_deletion": {"share": "100%", "items": 1000},
        **more,
    }


@pytest.fixture
def place(database: str) -> Iterator[Scene]:
    with scene(database) as found:
        yield found


def test_it_runs_by_itself_in_its_window_and_is_undone_byte_for_byte(place: Scene) -> None:
    logs = place.logs(AGES)
    before = snapshot(logs)
    task = logs_task(logs, schedule={"window": "nightly"})
    place.configure(windows={"nightly": window(86400, allowed_tasks=["cleanup"])}, tasks={"app-logs": task})
    with place.serving() as caller:
        caller.call("event.subscribe")
        assert place.json("status")["next_window"]["window_name"] == "nightly"
        place.configure(windows={"nightly": window(4, allowed_tasks=["cleanup"])}, tasks={"app-logs": task})
        caller.call("daemon.reload")
        scheduled = until(caller, "execution.scheduled", task_name="app-logs")
        ended = until(caller, "execution.ended", id=scheduled["id"])
        assert (ended["status"], ended["trigger"], ended["window_name"]) == ("completed", "schedule", "nightly")
        assert (ended["requested_by"], ended["reasons"]) == (None, [])
        _frees_what_it_says(place, ended["id"], before, logs)
        _is_undone(place, ended["id"], before, logs)
        _is_refused_another_time(place, ended["id"])


def _frees_what_it_says(place: Scene, ident: str, before: Any, logs: Any) -> None:
    shown = place.json("execution", "show", ident)
    assert [step["name"] for step in shown["steps"]] == ["analysis", "cleanup", "compression"]
    assert {step["status"] for step in shown["steps"]} == {"completed"}
    left = sorted(name.decode() for name in snapshot(logs) if b".jamaint-trash" not in name and name != b".")
    assert sum(name.endswith(".gz") for name in left) == COMPRESSED
    assert len(left) == KEPT_BY_RETENTION
    point = shown["rollback_point"]
    assert point["status"] == "open"
    # What is kept for a rollback is not free: it is told apart, and counted as the file system counts.
    gone = sum(entry.size for name, entry in before.items() if name.endswith((b"0031.log", b"0040.log", b"0400.log")))
    assert shown["metrics"]["freed_on_purge"] >= gone
    assert shown["metrics"]["freed_space"] <= 0
    assert shown["metrics"]["processed_items"] == len(AGES) - 2
    assert place.json("status")["overall"] == "maintenance"


def _is_undone(place: Scene, ident: str, before: Any, logs: Any) -> None:
    cleaned = snapshot(logs)
    dry = place.json("rollback", ident[:8], "--dry-run")
    assert (dry["dry_run"], dry["restored"], dry["kept"]) == (True, 6, [])
    assert differences(cleaned, snapshot(logs)) == []
    done = place.ctl("rollback", "last")
    assert done.returncode == 0  # what takes its time says on stderr that it undoes
    assert "jamaintctl:" not in done.stderr
    assert "rolled back: 6 files put back, 3 files that it made removed" in done.stdout
    assert differences(before, snapshot(logs)) == []
    assert place.json("execution", "show", "last")["status"] == "rolled_back"


def _is_refused_another_time(place: Scene, ident: str) -> None:
    done = place.ctl("rollback", ident)
    assert done.returncode == 5
    assert done.stderr == f"jamaintctl: cannot roll back {ident[:8]}: it has already been rolled back\n"


def test_a_file_that_has_appeared_in_the_place_is_not_overwritten(place: Scene) -> None:
    logs = place.logs(AGES)
    before = snapshot(logs)
    place.configure(tasks={"app-logs": logs_task(logs)})
    with place.serving():
        assert place.ctl("execute", "app-logs").returncode == 0
        intruder = logs / "web-0400.log"
        assert not intruder.exists()
        intruder.write_text("somebody's new file\n")
        done = place.ctl("rollback", "last")
        assert done.returncode == 1
        assert "rolled back in part: 5 files put back" in done.stdout
        assert str(intruder) in done.stdout
        assert intruder.read_text() == "somebody's new file\n"
        result = place.json("rollback", "last", "--dry-run", code=0)
        assert [kept["path"] for kept in result["kept"]] == [str(intruder)]
        shown = place.json("execution", "show", "last")
        assert (shown["status"], shown["rollback_point"]["status"]) == ("completed", "incomplete")
        intruder.rename(logs / "elsewhere.log")
        again = place.json("rollback", "last")
        assert (again["kept"], again["problems"]) == ([], [])
        (logs / "elsewhere.log").unlink()
        os.utime(logs, ns=(before[b"."].mtime_ns,) * 2)  # of our own moving about
        assert differences(before, snapshot(logs)) == []


def test_a_failure_is_undone_by_itself(place: Scene) -> None:
    """Two steps of one task: the second fails, and what the first has done is put back."""
    state = place.directory / "made"
    place.configure(
        tasks={
            "makes": {
                "type": "custom",
                "category": "system",
                "config": {
                    "command": ["sh", "-c", f"touch {state}; echo made; exit 3"],
                    "rollback_command": ["rm", str(state)],
                },
                "rollback": {"enabled": True, "auto_rollback": True},
            }
        }
    )
    with place.serving():
        done = place.ctl("execute", "makes")
        assert done.returncode == 1
        shown = place.json("execution", "show", "last")
        assert (shown["status"], shown["rollback_point"]["status"]) == ("rolled_back", "undone")
        assert shown["error"].pop("at") <= shown["completed_at"]
        assert shown["error"] == {"message": "command: makes exited with 3; last line: made", "kind": "exit"}
        assert not state.exists()
        assert [line["message"] for line in place.json("execution", "log", "last")["items"]] == ["made"]


class TestSeenWhileItRuns:
    @pytest.fixture
    def slow(self, place: Scene) -> Iterator[Scene]:
        quick = {"type": "custom", "category": "system", "executor": "noop"}
        place.configure(tasks={"slow": place.held("slow", description="waits at a gate"), "quick": quick})
        with place.serving():
            yield place

    def test_status(self, slow: Scene) -> None:
        ident = slow.json("execute", "slow", "--detach")["execution_id"]
        found = slow.json("status")
        assert found["overall"] == "running"
        assert [(one["id"], one["status"]) for one in found["active_tasks"]] == [(ident, "running")]
        assert found["queued_tasks"] == []
        text = slow.ctl("status").stdout
        assert "slow" in text
        assert ident[:8] in text
        slow.let_go("slow")

    def test_execute_shows_it_and_its_end(self, slow: Scene) -> None:
        with slow.typing("execute", "slow") as process, client(slow.socket) as caller:
            slow.let_go("slow")
            said, shown = process.communicate(timeout=60)
            assert process.returncode == 0
            assert "slow completed" in said
            assert "slow" in shown
            assert caller.call("execution.get", execution="last")["status"] == "completed"

    def test_the_log_is_followed_line_by_line(self, slow: Scene) -> None:
        ident = slow.json("execute", "slow", "--detach")["execution_id"]
        with slow.typing("execution", "log", ident, "--follow") as process:
            slow.let_go("slow")
            said, _ = process.communicate(timeout=60)
        assert "go on" in said
        assert process.returncode == 0

    def test_events_are_followed(self, slow: Scene) -> None:
        with slow.typing("--json", "events", "--follow") as process, client(slow.socket) as caller:
            assert process.stdout is not None
            while not select.select([process.stdout], [], [], 0)[0]:  # until it has subscribed
                caller.run("quick")
            ident = caller.call("execution.start", task="slow")["execution_id"]
            slow.let_go("slow")
            seen: list[str] = []
            while seen[-1:] != ["execution.ended"]:
                event = json.loads(process.stdout.readline())
                if event["execution"]["id"] == ident:
                    seen.append(event["event"])
        assert "execution.started" in seen
        assert "execution.log" in seen
