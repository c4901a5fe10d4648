"""`execute`, `rollback` and what follows an execution: live, detached, interrupted, across a restart of the daemon."""

import json
import os
import pty
import signal
import subprocess
import termios
import threading
from collections.abc import Callable
from typing import Any

import pytest

from jamaint.errors import UNAVAILABLE, JamaintError

SECONDS = 20
ID = "a1b2c3d4-0000-4000-8000-000000000001"


def execution(status: str, **more: Any) -> dict[str, Any]:
    base = {"id": ID, "task_name": "app-logs", "status": status, "steps": [], "metrics": {}, "reasons": []}
    return {**base, "error": None, "progress": None, "eta": None, "rollback_point": None, **more}


def step(name: str, status: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "status": status, "duration": None, "details": {}, "error": None, **more}


CLEANED = step(
    "cleanup",
    "completed",
    duration=12034,
    details={"files": 120, "bytes": 1258291, "freed_space": 4096, "freed_on_purge": 1254195, "skipped_count": 0},
)
DONE = execution(
    "completed",
    duration=12100,
    steps=[CLEANED],
    metrics={"freed_space": 4096, "freed_on_purge": 1254195},
    rollback_point={"id": "r", "status": "open", "expires_at": "2999-12-01T00:00:00Z", "bytes": 9, "problems": []},
)
PROGRESS = {"step": "cleanup", "done": 629145, "total": 1258291, "unit": "bytes", "fraction": 0.5}


def event(name: str, value: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"event": f"execution.{name}", "at": "2026-11-24T02:00:00Z", "execution": value, **more}


@pytest.fixture
def scripted(daemon: Any) -> Any:
    """A daemon on which app-logs waits, runs, says something, and completes."""
    waits = [{"guard": "window_concurrency", "verdict": "wait", "detail": "3 of 3 run in window nightly"}]
    daemon.answers["execution.start"] = {"execution_id": ID}
    daemon.answers["event.subscribe"] = {"subscribed": True, "execution": execution("scheduled", reasons=waits)}
    daemon.answers["execution.get"] = DONE
    daemon.events = [
        event("started", execution("running", steps=[step("cleanup", "planned")])),
        event("step", execution("running", steps=[step("cleanup", "running")])),
        event("progress", execution("running", steps=[step("cleanup", "running")], progress=PROGRESS)),
        event("progress", {"id": "another", "task_name": "other", "status": "failed"}),
        event("log", {"id": ID, "status": "running"}, level="warning", message="/a\x1b[2Jb is held open"),
        event("log", {"id": ID, "status": "running"}, level="info", message="not worth a line"),
        event("ended", execution("completed", steps=[CLEANED])),
    ]
    return daemon


def test_execute_tells_each_step_and_ends_with_what_to_type_next(scripted: Any, ctl: Any) -> None:
    done = ctl("execute", "app-logs")
    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        "app-logs a1b2c3d4: waits: 3 of 3 run in window nightly",
        "app-logs a1b2c3d4: running",
        "app-logs a1b2c3d4: cleanup started",
        "app-logs a1b2c3d4: warning: /a\\x1b[2Jb is held open",
        "app-logs a1b2c3d4: cleanup completed after 12 s",
    ]
    assert done.stdout.splitlines() == [
        "app-logs completed after 12 s  a1b2c3d4",
        "  cleanup  completed  12 s  120 files  1.2 MiB  freed 4.0 KiB, 1.2 MiB on purge",
        "  freed 4.0 KiB now, the purge on Sun 2999-12-01 07:00 WIB frees 1.2 MiB",
        "  to undo it:    jamaintctl rollback a1b2c3d4",
    ]
    assert scripted.params("event.subscribe") == {"execution": ID}


def test_execute_json_is_the_ended_execution_alone(scripted: Any, ctl: Any) -> None:
    done = ctl("execute", "app-logs", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == DONE


def test_detach_prints_the_id_alone(scripted: Any, ctl: Any) -> None:
    assert ctl("execute", "app-logs", "--detach").stdout == ID + "\n"
    assert [method for method, _ in scripted.asked] == ["execution.start"]


@pytest.mark.parametrize(
    ("ended", "exit_code"),
    [
        (execution("failed", error={"message": "disk gone", "kind": "failed"}), 1),
        (execution("failed", error={"message": "would take 90% of /srv", "kind": "refused"}), 5),
        (execution("cancelled"), 1),
        (execution("rolled_back", error={"message": "disk gone", "kind": "failed"}), 1),
        (execution("completed"), 0),
    ],
)
def test_the_exit_code_is_how_it_ended(daemon: Any, ctl: Any, ended: dict[str, Any], exit_code: int) -> None:
    daemon.answers["execution.start"] = {"execution_id": ID}
    daemon.answers["event.subscribe"] = {"subscribed": True, "execution": ended}
    done = ctl("execute", "app-logs")
    assert done.returncode == exit_code
    assert ended["status"].replace("_", " ") in done.stdout
    assert (ended["error"] or {"message": ""})["message"] in done.stdout


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_an_interrupt_detaches(scripted: Any, ctl_process: Any, flags: list[str]) -> None:
    process = ctl_process("execute", "app-logs", *flags)
    scripted.events = [scripted.events[0], lambda: process.send_signal(signal.SIGINT)]
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    if flags:
        assert json.loads(out) == {"execution_id": ID}
        assert err == ""
    else:
        assert out == ""
        assert err.splitlines()[-3:] == [
            "detached: app-logs continues as a1b2c3d4",
            "  to see it:  jamaintctl execution show a1b2c3d4",
            "  to stop it: jamaintctl execution cancel a1b2c3d4",
        ]


def test_a_restart_of_the_daemon_does_not_lose_the_execution(scripted: Any, ctl: Any) -> None:
    waiting = scripted.answers["event.subscribe"]
    replies = [b"", JamaintError(UNAVAILABLE, "the database is starting"), waiting]
    scripted.answers["event.subscribe"] = lambda _params: replies.pop(0)
    done = ctl("execute", "app-logs")
    assert done.returncode == 0
    assert replies == []
    assert "waiting for the daemon to come back" in done.stderr
    assert "app-logs completed" in done.stdout


def test_a_reader_that_fell_behind_subscribes_again(scripted: Any, ctl: Any) -> None:
    scripted.events.insert(1, {"event": "daemon.cut_off", "message": "too far behind"})
    later = scripted.events[2:]

    def subscribe(_params: Any) -> Any:
        if [method for method, _ in scripted.asked].count("event.subscribe") == 2:
            scripted.events = later
        return {"subscribed": True, "execution": execution("running")}

    scripted.answers["event.subscribe"] = subscribe
    assert ctl("execute", "app-logs").returncode == 0


def on_a_terminal(process: Callable[..., "subprocess.Popen[str]"], *words: str, columns: int = 80, **more: str) -> str:
    """All that the client writes to a terminal."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    with open(ours, "rb", buffering=0) as terminal:
        child = process(*words, out=theirs, err=theirs, **more)
        os.close(theirs)
        seen = b""
        try:
            while chunk := terminal.read(65536):
                seen += chunk
        except OSError:  # the last one has closed it
            pass
        child.wait(SECONDS)
    return seen.decode()


@pytest.mark.parametrize("columns", [20, 0])
def test_a_line_is_no_wider_than_the_terminal(scripted: Any, ctl_process: Any, columns: int) -> None:
    seen = on_a_terminal(ctl_process, "execute", "app-logs", "--no-color", columns=columns)
    drawn = [line.split("\x1b[K")[0] for line in seen.split("\r") if "\x1b[K" in line]
    assert len(drawn) > 3
    assert max(map(len, drawn)) < (columns or 80)


def test_on_a_terminal_one_line_is_drawn_again_and_again(scripted: Any, ctl_process: Any) -> None:
    seen = on_a_terminal(ctl_process, "execute", "app-logs")
    assert "\rapp-logs  waits: 3 of 3 run in window nightly\x1b[K" in seen
    assert "50%  614.4 KiB of 1.2 MiB" in seen
    assert "█" in seen
    assert "/a\\x1b[2Jb is held open" in seen
    assert "\x1b[2J" not in seen
    assert "\x1b[38;5;28mcompleted\x1b[0m" in seen


@pytest.mark.parametrize(("flags", "more"), [(["--no-color"], {}), ([], {"NO_COLOR": "1"}), ([], {"TERM": "dumb"})])
def test_no_colours_where_none_are_wanted(scripted: Any, ctl_process: Any, flags: list[str], more: Any) -> None:
    seen = on_a_terminal(ctl_process, "execute", "app-logs", *flags, **more)
    assert "app-logs completed after 12 s  a1b2c3d4" in seen
    assert "\x1b[3" not in seen


UNDONE = {"execution": execution("rolled_back"), "restored": 204, "removed": 84, "kept": [], "problems": [],
          "dry_run": False}  # fmt: skip
KEPT = [{"path": "/var/log/a.1", "why": "another file stands there now"}]


@pytest.mark.parametrize(
    ("result", "exit_code"),
    [
        (UNDONE, 0),
        ({**UNDONE, "kept": KEPT}, 1),
        ({**UNDONE, "problems": KEPT}, 1),
        ({**UNDONE, "execution": execution("completed", rollback_point={"status": "incomplete"})}, 1),
    ],
)
def test_rollback_waits_and_says_what_is_left(daemon: Any, ctl: Any, result: dict[str, Any], exit_code: int) -> None:
    daemon.answers["execution.get"] = DONE
    daemon.answers["event.subscribe"] = {"subscribed": True, "execution": None}
    daemon.answers["execution.rollback"] = result
    done = ctl("rollback", "last")
    assert done.returncode == exit_code
    assert "204 files put back, 84 files that it made removed" in done.stdout
    for item in [*result["kept"], *result["problems"]]:
        assert f"{item['path']}  {item['why']}" in done.stdout
    assert daemon.params("execution.rollback") == {"execution": ID, "dry_run": False, "wait": True}
    assert json.loads(ctl("--json", "rollback", "last").stdout) == result


def test_a_rollback_goes_on_without_us(daemon: Any, ctl_process: Any) -> None:
    daemon.answers["execution.get"] = DONE
    daemon.answers["event.subscribe"] = {"subscribed": True, "execution": None}
    process = ctl_process("rollback", "last")
    asked = threading.Event()

    def never(_params: Any) -> bytes:
        process.send_signal(signal.SIGINT)
        asked.wait(SECONDS)
        return b""

    daemon.answers["execution.rollback"] = never
    _, err = process.communicate(timeout=SECONDS)
    asked.set()
    assert process.returncode == 130
    assert err.splitlines()[-1] == ("detached: the rollback goes on; to see it: jamaintctl execution show a1b2c3d4")


def test_a_log_is_followed_without_loss_or_repetition(daemon: Any, ctl: Any) -> None:
    written = [{"seq": 1, "at": "2026-11-24T02:00:01Z", "level": "info", "step": None, "message": "one"}]

    def more(seq: int, **fields: Any) -> Callable[[], None]:
        return lambda: written.append({**written[0], "seq": seq, **fields})

    daemon.answers["execution.logs"] = lambda params: {
        "items": [entry for entry in written if entry["seq"] > params["after_seq"]],
        "next_cursor": None,
    }
    daemon.answers["event.subscribe"] = {"subscribed": True, "execution": execution("running")}
    log = event("log", {"id": ID, "status": "running"}, level="info", message="ignored: the numbers count")
    daemon.events = [
        more(3, level="warning", step="cleanup", message="two\nlines"),
        log,
        log,
        more(7, level="error", message="three"),
        event("ended", execution("completed")),
    ]
    done = ctl("execution", "log", "last", "--follow")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "09:00:01 one",
        "09:00:01 warning: cleanup: two\\nlines",
        "09:00:01 error: three",
    ]
    del written[1:]
    followed = ctl("--json", "execution", "log", "last", "--follow").stdout.splitlines()
    assert [json.loads(line)["seq"] for line in followed] == [1, 3, 7]


def test_events_are_followed_until_nobody_reads(scripted: Any, ctl_process: Any) -> None:
    read, write = os.pipe()
    process = ctl_process("events", "--follow", out=write)
    os.close(write)
    with open(read, encoding="utf-8") as lines:
        first = lines.readline()
    assert "2026-11-24 09:00:00 WIB  execution.started" in first
    for _ in range(3):
        scripted.push({"event": "window.opened"})
    _, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, err) == (0, "")


def test_an_interrupt_ends_following(scripted: Any, ctl_process: Any) -> None:
    process = ctl_process("events", "--follow", "--json")
    assert json.loads(process.stdout.readline())["event"] == "execution.started"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, err) == (130, "")
