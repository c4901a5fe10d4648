"""The screens, line by line, as somebody reads them at three in the morning; 2026-11-24 09:00:13 in Jakarta."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from jamaint.ctl.output import execution_text
from jamaint.ctl.output.progress import line, merge
from jamaint.ctl.output.text import Look, wide
from jamaint.ctl.verbs.executions import execute, executions, plans, rollback
from jamaint.ctl.verbs.schedule import next, policies, tasks, why, windows
from jamaint.ctl.verbs.service import audit, events, service, status

NOW = datetime(2026, 11, 24, 2, 0, 13, tzinfo=UTC).timestamp()
LOOK = Look(NOW)
GIB = 1 << 30


@pytest.fixture(autouse=True)
def jakarta(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Jakarta")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def execution(status: str, **more: Any) -> dict[str, Any]:
    base = {"id": "a1b2c3d4-0000", "task_name": "app-logs", "window_name": "nightly", "status": status, "steps": []}
    return {**base, "metrics": {}, "reasons": [], "error": None, "rollback_point": None, "progress": None, **more}


def opening(starts_at: str, ends_at: str, starts_until: str) -> dict[str, Any]:
    times = {"starts_at": starts_at, "ends_at": ends_at, "starts_until": starts_until}
    sizes = {"duration_minutes": 120, "max_concurrent_tasks": 3, "running": 1}
    return {"window_id": "w", "window_name": "nightly", "timezone": "Asia/Jakarta", **times, **sizes}


OPEN = opening("2026-11-24T01:00:00Z", "2026-11-24T03:00:00Z", "2026-11-24T02:45:00Z")
COMING = opening("2026-11-25T01:00:00Z", "2026-11-25T03:00:00Z", "2026-11-25T02:45:00Z")
BUSY = [{"guard": "window_concurrency", "verdict": "wait", "detail": "3 of 3 run in window nightly"}]
RUNNING = execution(
    "running",
    started_at="2026-11-24T01:59:32Z",
    progress={
        "step": "compression",
        "done": int(1.2 * GIB),
        "total": int(2.8 * GIB),
        "unit": "bytes",
        "fraction": 0.42,
    },
    eta="2026-11-24T02:00:54Z",
)
COMPLETED = execution(
    "completed",
    started_at="2026-11-24T01:47:00Z",
    completed_at="2026-11-24T01:48:00Z",
    scheduled_for="2026-11-24T01:47:00Z",
    duration=60000,
    metrics={"freed_space": GIB, "freed_on_purge": 2 * GIB},
    steps=[
        {
            "name": "cleanup",
            "status": "completed",
            "duration": 12034,
            "details": {
                "files": 120,
                "bytes": 3 * GIB,
                "freed_space": GIB,
                "freed_on_purge": 2 * GIB,
                "skipped": [{"path": "/var/log/a", "why": "is a symbolic link"}],
                "skipped_count": 101,
                "archive": "/var/backups/logs/x.tar",
            },
            "error": None,
        }
    ],
    rollback_point={
        "id": "r",
        "status": "open",
        "expires_at": "2026-12-01T02:00:13Z",
        "bytes": 2 * GIB,
        "problems": [],
    },
    requested_by="root",
)
FAILED = execution(
    "failed",
    completed_at="2026-11-24T00:00:00Z",
    duration=1500,
    error={"message": "the disk is gone", "kind": "failed"},
)
STATUS: dict[str, Any] = {
    "overall": "issues",
    "daemon": {
        "version": "0.1.0",
        "pid": 812,
        "started_at": "2026-11-21T01:00:00Z",
        "database": {"state": "ok", "detail": None},
        "config": {"path": "/etc/jamaint/jamaintd.yaml", "loaded_at": "2026-11-21T01:00:00Z", "problem": None},
    },
    "scheduler": {
        "state": "active",
        "wake_at": "2026-11-24T02:20:00Z",
        "next_due": "2026-11-24T02:41:00Z",
        "tasks": 12,
        "windows": 1,
        "max_concurrent_tasks": 4,
    },
    "active_tasks": [RUNNING],
    "queued_tasks": [execution("scheduled", id="c3d4e5f6-0", task_name="db", reasons=BUSY)],
    "current_window": OPEN,
    "current_windows": [OPEN],
    "next_window": COMING,
    "recent_executions": [COMPLETED, {**FAILED, "id": "d00000001", "task_name": "uploads"}],
    "metrics": {"last_24h": {"completed": 31, "failed": 1, "cancelled": 0, "rolled_back": 0, "freed_space": 12 * GIB}},
    "alerts": [{"kind": "execution_failed", "severity": "warning", "message": "uploads failed"}],
}


def test_status_is_all_at_a_glance() -> None:
    assert status.draw(STATUS, LOOK) == [
        "jamaint    issues",
        "daemon     0.1.0, pid 812, started 3 d ago",
        "scheduler  active, next due 09:41 WIB (in 40 min); 12 tasks, 1 window, at most 4 at once",
        "last 24 h  31 completed, 1 failed, freed 12.0 GiB",
        "",
        "RUNNING",
        "  a1b2c3d4  app-logs  █████░░░░░░░  42%  compression  1.2 of 2.8 GiB  41 s left",
        "",
        "QUEUED",
        "  c3d4e5f6  db  waits: 3 of 3 run in window nightly",
        "",
        "WINDOWS",
        "  nightly  open  until 10:00 WIB (59 min 47 s left), starts until 09:45 WIB, 1 of 3 running",
        "  nightly  next  opens Wed 2026-11-25 08:00 WIB (in 22 h 59 min) for 2 h",
        "",
        "RECENT",
        "  a1b2c3d4  app-logs  completed  12 min ago  1 min  freed 1.0 GiB  and 2.0 GiB on purge",
        "  d0000000  uploads   failed        2 h ago  1.5 s                 the disk is gone",
        "",
        "ALERTS",
        "  warning  uploads failed",
    ]


def test_status_of_a_daemon_in_trouble_says_so_at_the_top() -> None:
    daemon = {**STATUS["daemon"], "database": {"state": "degraded", "detail": "connection refused"}}
    daemon["config"] = {"path": "/c.yaml", "problem": "2 mistakes"}
    found = {**STATUS, "daemon": daemon, "metrics": {"last_24h": {}}}
    shown = status.draw({**found, "scheduler": {**STATUS["scheduler"], "state": "draining", "next_due": None}}, LOOK)
    assert shown[2:6] == [
        "scheduler  draining; 12 tasks, 1 window, at most 4 at once",
        "database   degraded: connection refused",
        "config     /c.yaml: 2 mistakes",
        "last 24 h  unknown",
    ]


def test_an_idle_status_has_no_empty_headings() -> None:
    nothing = {"active_tasks": [], "queued_tasks": [], "current_windows": [], "recent_executions": [], "alerts": []}
    assert len(status.draw({**STATUS, **nothing, "next_window": None}, LOOK)) == 4


def test_status_stays_on_a_screen_however_much_there_is() -> None:
    many = {key: STATUS[key] * 50 for key in ("active_tasks", "queued_tasks", "current_windows", "recent_executions")}
    shown = status.draw({**STATUS, **many, "queued": 1234}, Look(NOW, 80, colours=True))
    assert len(shown) < 50
    assert not [line for line in shown if line.endswith("…")]
    assert [line for line in shown if "more" in line] == [
        f"  … and {count} more" for count in ("43", "1,227", "48", "97")
    ]


def test_an_ending_says_what_was_done_and_what_to_type_next() -> None:
    assert execution_text.ending(COMPLETED, LOOK) == [
        "app-logs completed after 1 min  a1b2c3d4",
        "  cleanup  completed  12 s  120 files  3.0 GiB  freed 1.0 GiB, 2.0 GiB on purge, 101 skipped",
        "  skipped  /var/log/a  is a symbolic link",
        "  … and 100 more skipped; --json names the first hundred of a step",
        "  freed 1.0 GiB now, the purge on Tue 2026-12-01 09:00 WIB frees 2.0 GiB",
        "  to undo it:    jamaintctl rollback a1b2c3d4",
    ]
    assert execution_text.ending(FAILED, LOOK) == [
        "app-logs failed after 1.5 s  a1b2c3d4",
        "  the disk is gone",
        "  full log:      jamaintctl execution log a1b2c3d4",
    ]
    skipped = execution("cancelled", reasons=BUSY)
    assert execution_text.ending(skipped, LOOK)[1:] == ["  because: 3 of 3 run in window nightly"]


def test_what_takes_more_space_for_now_does_not_say_that_it_freed_less_than_nothing() -> None:
    shown = execution_text.ending({**COMPLETED, "metrics": {"freed_space": -GIB, "freed_on_purge": 2 * GIB}}, LOOK)
    assert "  took 1.0 GiB now, the purge on Tue 2026-12-01 09:00 WIB frees 2.0 GiB" in shown
    assert not any("took" in text or "freed" in text for text in execution_text.ending({**FAILED, "metrics": {}}, LOOK))


def test_an_error_is_told_once() -> None:
    step = {"name": "command", "status": "failed", "duration": 1000, "error": "it exited with 3", "details": {}}
    failed = {**FAILED, "steps": [step], "error": {"message": "command: it exited with 3", "kind": "exit"}}
    assert sum("it exited with 3" in text for text in execution_text.ending(failed, LOOK)) == 1
    other = {**step, "error": "something else"}
    assert "  command  failed  1 s  something else" in execution_text.ending({**failed, "steps": [other]}, LOOK)


@pytest.mark.parametrize("point", [None, {"id": "r", "status": "undone"}, {"id": "r", "status": "purged"}])
def test_no_way_back_is_promised_where_there_is_none(point: Any) -> None:
    assert not any("rollback" in text for text in execution_text.ending({**COMPLETED, "rollback_point": point}, LOOK))


def test_details_of_an_execution() -> None:
    assert execution_text.details(COMPLETED, LOOK) == [
        "execution     a1b2c3d4-0000",
        "task          app-logs",
        "status        completed",
        "triggered by  root",
        "window        nightly",
        "due           2026-11-24 08:47:00 WIB",
        "started       2026-11-24 08:47:00 WIB",
        "ended         2026-11-24 08:48:00 WIB",
        "took          1 min",
        "space         freed 1.0 GiB now, the purge on Tue 2026-12-01 09:00 WIB frees 2.0 GiB",
        "rollback      open, 2.0 GiB kept, until Tue 2026-12-01 09:00 WIB (in 7 d)",
        "",
        "STEPS",
        "  cleanup  completed  12 s  120 files  3.0 GiB  freed 1.0 GiB, 2.0 GiB on purge, 101 skipped",
        "  skipped  /var/log/a  is a symbolic link",
        "  … and 100 more skipped; --json names the first hundred of a step",
        "  cleanup: archive /var/backups/logs/x.tar",
        "",
        "  to undo it:    jamaintctl rollback a1b2c3d4",
    ]
    shown = execution_text.details(RUNNING, LOOK)
    assert "progress      compression 42%, 1.2 of 2.8 GiB, 41 s left" in shown
    assert shown[-1] == "  to stop it:    jamaintctl execution cancel a1b2c3d4"


def test_the_live_line() -> None:
    assert line(execution("scheduled", reasons=BUSY), Look(NOW, 80)) == "app-logs  waits: 3 of 3 run in window nightly"
    drawn = "app-logs  compression  ████████░░░░░░░░░░░░  42%  1.2 of 2.8 GiB  41 s left"
    assert line(RUNNING, Look(NOW, 80)) == drawn
    unknown = {**RUNNING, "eta": None, "progress": {"step": "analysis", "done": 1204, "total": None, "unit": "items"}}
    assert line(unknown, Look(NOW, 80)) == "app-logs  analysis  1,204 items  41 s elapsed"
    waits = {**RUNNING, "eta": None, "progress": {**RUNNING["progress"], "waiting": "autovacuum is at work"}}
    assert line(waits, Look(NOW, 200)).endswith("42%  1.2 of 2.8 GiB  waits: autovacuum is at work")
    assert "waits         autovacuum is at work" in execution_text.details(waits, LOOK)
    silent = execution("running", started_at="2026-11-24T02:00:10Z", steps=[{"name": "command", "status": "running"}])
    assert line(silent, Look(NOW, 80)) == "app-logs  command  3 s elapsed"
    assert line(RUNNING, Look(NOW, 80, unicode=False)).count("#") == 8
    for width in range(2, 90):
        assert wide(line(RUNNING, Look(NOW, width))) < width


def test_progress_mixes_no_units() -> None:
    amounts = [(1000, 3 * GIB, "bytes"), (GIB, 3 * GIB, "bytes"), (5, None, "bytes"), (1204, 5000, "items")]
    shown = [execution_text.amount({"done": done, "total": total, "unit": unit}) for done, total, unit in amounts]
    assert shown == ["1000 B of 3.0 GiB", "1.0 of 3.0 GiB", "5 B", "1,204 of 5,000 items"]


def test_an_event_may_carry_the_execution_whole_or_in_part_or_a_step() -> None:
    start = execution("running", steps=[{"name": "a", "status": "planned"}])
    after = merge(start, {"event": "execution.step", "step": {"name": "a", "status": "running"}})
    after = merge(after, {"event": "execution.step", "step": {"name": "b", "status": "running"}})
    after = merge(after, {"execution": {"id": "a1b2c3d4-0000", "eta": "soon"}})
    assert [(step["name"], step["status"]) for step in after["steps"]] == [("a", "running"), ("b", "running")]
    assert (after["eta"], after["task_name"]) == ("soon", "app-logs")
    assert merge(after, {"execution": {"steps": []}, "step": {"name": "a"}})["steps"] == []


def test_a_dry_run_shows_what_would_be_done_and_what_is_in_the_way() -> None:
    sample = [{"path": "/var/log/a.3", "bytes": 12345678}]
    steps = [
        {"name": "analysis", "says": "all is looked at", "items": 900, "bytes": 0, "undo": False},
        {"name": "cleanup", "says": "old files go", "items": 120, "bytes": GIB, "undo": True, "sample": sample},
        {"name": "reindex", "says": "indexes are rebuilt", "items": 3, "bytes": 0, "undo": False, "sample": []},
    ]
    guards = [{"guard": "task", "verdict": "pass", "detail": ""}, *BUSY]
    plan = {"steps": steps, "warnings": ["/var/log/x is a symbolic link"]}
    assert execute.draw_plan({"task": "app-logs", "guards": guards, "plan": plan}, LOOK) == [
        "app-logs: this is a dry run, nothing has been changed",
        "it would not start now:",
        "  waits  window_concurrency  3 of 3 run in window nightly",
        "",
        "  analysis  900 items      0 B  changes nothing",
        "    all is looked at",
        "  cleanup   120 items  1.0 GiB  can be undone",
        "    old files go",
        "      11.8 MiB  /var/log/a.3",
        "      … and 119 more",
        "  reindex     3 items      0 B  cannot be undone",
        "    indexes are rebuilt",
        "",
        "  warning  /var/log/x is a symbolic link",
    ]
    empty = {"task": "a", "guards": [], "plan": {"steps": []}}
    assert execute.draw_plan(empty, LOOK)[1:] == ["  there is nothing to do"]


def test_a_rollback_names_what_it_left() -> None:
    kept = [{"path": f"/var/log/{number}", "why": "another file stands there"} for number in range(12)]
    result = {"execution": COMPLETED, "restored": 1, "removed": 0, "kept": kept, "problems": [], "dry_run": False}
    shown = rollback.draw(result, LOOK)
    assert shown[:2] == [
        "app-logs a1b2c3d4 rolled back in part: 1 file put back, 0 files that it made removed",
        "  kept  /var/log/0  another file stands there",
    ]
    assert shown[-2] == "  … and 2 more; --json shows all"
    assert shown[-1].endswith("jamaintctl rollback a1b2c3d4")
    assert rollback.draw({**result, "dry_run": True}, LOOK)[1:3] == [
        "  1 file would be put back, 0 files that it made would be removed",
        "  would stay  /var/log/0  another file stands there",
    ]


def test_rollback_of_a_command_tells_that_its_rollback_command_has_run() -> None:
    result = {"execution": COMPLETED, "restored": 1, "removed": 0, "kept": [], "problems": [], "unit": "command"}
    assert rollback.draw(result, LOOK) == ["app-logs a1b2c3d4 rolled back: its rollback_command has run"]
    dry = rollback.draw({**result, "dry_run": True}, LOOK)
    assert dry[1] == "  its rollback_command would run"
    problems = [{"path": "/bin/false", "why": "it exited with 1"}]
    failed = rollback.draw({**result, "restored": 0, "problems": problems}, LOOK)
    assert failed[0] == "app-logs a1b2c3d4 rolled back in part: its rollback_command has not succeeded"
    assert failed[-1] == "  once the cause is fixed: jamaintctl rollback a1b2c3d4"


GUARDS = [
    {"guard": "task", "verdict": "pass", "detail": "app-logs is enabled"},
    {"guard": "window", "verdict": "wait", "detail": "window nightly is closed"},
    {"guard": "condition", "verdict": "refuse", "detail": "the load is 9.1, above 8"},
]


def test_why_gives_the_verdict_first_then_every_guard() -> None:
    found = {"task": "app-logs", "at": "2026-11-24T02:00:13Z", "verdict": "does_not_run", "guards": GUARDS}
    found |= {"next_due": "2026-11-24T02:41:00Z", "last": FAILED}
    assert why.draw(found, LOOK) == [
        "app-logs does not run now: window nightly is closed; the load is 9.1, above 8",
        "  ok       task       app-logs is enabled",
        "  waits    window     window nightly is closed",
        "  refuses  condition  the load is 9.1, above 8",
        "next due 09:41 WIB (in 40 min)",
        "last time failed 2 h ago: the disk is gone  a1b2c3d4",
    ]


@pytest.mark.parametrize(
    ("verdict", "guards", "first"),
    [
        ("runs", [], "app-logs is running at 2026-11-24 12:00:00 WIB"),
        ("would_run", GUARDS[:1], "app-logs would run at 2026-11-24 12:00:00 WIB"),
        ("waits", GUARDS[:2], "app-logs waits at 2026-11-24 12:00:00 WIB: window nightly is closed"),
        ("does_not_run", [], "app-logs does not run at 2026-11-24 12:00:00 WIB: nothing schedules it"),
    ],
)
def test_verdicts_at_another_moment(verdict: str, guards: list[Any], first: str) -> None:
    found = {"task": "app-logs", "at": "2026-11-24T05:00:00Z", "verdict": verdict, "guards": guards, "last": None}
    shown = why.draw({**found, "next_due": None}, LOOK)
    assert (shown[0], shown[-1]) == (first, "it has not run yet")


def test_next_says_local_time_the_windows_own_and_utc() -> None:
    items = [
        {"window": "nightly", "timezone": "America/New_York", "current": OPEN, "next": [COMING]},
        {"window": "never", "timezone": "No/Where", "current": None, "next": []},
    ]
    assert next.draw({"items": items, "next_transition": "2026-11-24T03:00:00Z"}, LOOK) == [
        "nightly  America/New_York, for 2 h",
        "  open, 59 min 47 s left  08:00 WIB                 Mon 20:00 EST  01:00 UTC",
        "  in 22 h 59 min          Wed 2026-11-25 08:00 WIB  Tue 20:00 EST  01:00 UTC",
        "never  No/Where",
        "  never opens again",
        "",
        "next change 10:00 WIB (in 59 min)",
    ]
    assert next.zone_time(NOW, "No/Where") == next.zone_time(NOW, "../../etc/passwd") == "?"


TASK = {
    "id": "t1",
    "name": "app-logs",
    "type": "cleanup",
    "category": "logs",
    "executor": "logs.cleanup",
    "priority": "medium",
    "schedule": {"cron": "0 3 * * *", "timezone": None},
    "enabled": True,
    "timeout": 1800000,
    "config": {"log_paths": ["/var/log/a/*.log"]},
    "origin": "file",
    "next_due": "2026-11-24T02:41:00Z",
    "last_execution": COMPLETED,
}


def test_tasks() -> None:
    unknown = {**TASK, "last_execution": None}
    assert tasks.draw_list({"items": [unknown]}, LOOK)[0].split()[-1] == "NEXT"
    paused = {**TASK, "name": "b", "paused_until": "2026-11-24T05:00:00Z", "last_execution": None, "next_due": None}
    assert tasks.draw_list({"items": [TASK, paused, {**TASK, "enabled": False}]}, LOOK) == [
        "TASK      TYPE          PRIORITY  STATE                   SCHEDULE        NEXT       LAST",
        "app-logs  cleanup/logs  medium    enabled                 cron 0 3 * * *  09:41 WIB  completed 12 min ago",
        "b         cleanup/logs  medium    paused until 12:00 WIB  cron 0 3 * * *  -          -",
        "app-logs  cleanup/logs  medium    disabled                cron 0 3 * * *  09:41 WIB  completed 12 min ago",
    ]
    assert tasks.draw(TASK, LOOK) == [
        "task        app-logs",
        "id          t1",
        "state       enabled",
        "type        cleanup/logs, by logs.cleanup",
        "priority    medium",
        "schedule    cron 0 3 * * *",
        "next        09:41 WIB (in 40 min)",
        "last        completed 12 min ago",
        "timeout     30 min",
        "defined in  the configuration",
        "",
        "CONFIG",
        "  log_paths:",
        "    - /var/log/a/*.log",
    ]


def test_windows() -> None:
    window = {"id": "w", "name": "nightly", "schedule": {"cron": "0 8 * * *"}, "duration": 120, "cutoff": 15}
    window |= {"timezone": "Asia/Jakarta", "allowed_tasks": [], "current": OPEN, "next": COMING, "origin": "api"}
    assert windows.draw_list({"items": [window, {**window, "current": None, "next": None}]}, LOOK)[1:] == [
        "nightly  open until 10:00 WIB  cron 0 8 * * *  Asia/Jakarta  2 h  every type  "
        "Wed 2026-11-25 08:00 WIB (in 22 h 59 min)",
        "nightly  closed                cron 0 8 * * *  Asia/Jakarta  2 h  every type  never",
    ]
    shown = windows.draw(window, LOOK)
    assert "last start  15 min before the end" in shown
    assert "zone        Asia/Jakarta, where it is Tue 2026-11-24 09:00" in shown
    assert shown[-1].startswith("  in 22 h 59 min")


def test_lists_of_executions_policies_and_calls() -> None:
    skipped = execution("cancelled", started_at=None, reasons=BUSY)
    assert executions.draw_list({"items": [COMPLETED, skipped], "next_cursor": "x"}, LOOK)[1:] == [
        "a1b2c3d4   app-logs  completed  2026-11-24 08:47:00 WIB  1 min  freed 1.0 GiB",
        "a1b2c3d4   app-logs  cancelled  -                                              3 of 3 run in window nightly",
        "… there are more: --limit N, --since -7d",
    ]
    policy = {"name": "freeze", "priority": 10, "scope": {"types": ["update"]}, "actions": ["deny"]}
    assert policies.draw_list({"items": [policy]}, LOOK)[1] == "freeze        10  on     -      deny  types update"
    entry = {"at": "2026-11-24T02:00:00Z", "uid": 1000, "pid": 9, "user": None, "role": None, "method": "task.delete"}
    entry |= {"object": "a", "outcome": "refused", "detail": {"code": 1, "message": "needs the role admin"}}
    assert audit.draw({"items": [entry], "next_cursor": None}, LOOK)[1] == (
        "2026-11-24 09:00:00 WIB  1000 (pid 9)  none  task.delete  a       refused  needs the role admin"
    )


def test_no_time_is_left_when_all_that_is_counted_is_done() -> None:
    done = {**RUNNING, "progress": {**RUNNING["progress"], "fraction": 1.0}}
    assert "left" not in line(done, Look(NOW, 80))
    assert "100%" in line(done, Look(NOW, 80))


def test_past_events_come_in_the_order_of_time() -> None:
    found = events.past([FAILED, COMPLETED, execution("scheduled")])
    assert events.draw({"items": found}, LOOK) == [
        "2026-11-24 07:00:00 WIB  execution.ended       app-logs a1b2c3d4  failed: the disk is gone",
        "2026-11-24 08:47:00 WIB  execution.started     app-logs a1b2c3d4",
        "2026-11-24 08:48:00 WIB  execution.ended       app-logs a1b2c3d4  completed: freed 1.0 GiB",
    ]


def test_the_daemon_itself() -> None:
    changes = {"tasks": {"added": ["a"], "changed": [], "removed": ["b"]}, "windows": {"added": []}}
    assert service.draw_reload({"changes": changes, "warnings": ["old key"]}, LOOK) == [
        "reloaded: 2 changes",
        "  task a added",
        "  task b removed",
        "  warning  old key",
    ]
    assert service.draw_reload({"changes": {}, "warnings": []}, LOOK) == ["reloaded: nothing has changed"]
    assert service.draw_drain({"state": "draining", "running": 2}, LOOK) == [
        "draining: no task starts until `jamaintctl drain --off` or a restart of jamaintd",
        "  2 executions still running (jamaintctl status)",
    ]
    assert service.draw_drain({"state": "draining", "running": 0}, LOOK)[1:] == [
        "  nothing runs: jamaintd can be stopped"
    ]
    assert service.draw_drain({"state": "active", "running": 1}, LOOK) == [
        "no longer draining: the scheduler is active, tasks start again"
    ]
    assert service.draw_drain({"state": "disabled", "running": 0}, LOOK) == [
        "no longer draining: the scheduler is disabled, tasks start only on request"
    ]


def test_what_an_operation_of_a_system_cleanup_left_alone_is_told() -> None:
    held = {"path": "/tmp/app/d06", "why": "it was put back by an undo, and is held"}
    inner = {"cleanup": {"files": 0, "skipped": [held] * 12, "skipped_count": 58}}
    step = {"name": "temp_cleanup", "status": "completed", "duration": 11}
    step["details"] = {"files": 0, "bytes": 0, "directories": 2, "steps": inner}
    shown = execution_text.ending(execution("completed", steps=[step]), LOOK)
    assert "  temp_cleanup  completed  11 ms  0 files  0 B  2 directories, 58 skipped" in shown
    assert "  skipped  /tmp/app/d06  it was put back by an undo, and is held" in shown
    assert "  … and 48 more skipped; --json names the first hundred of a step" in shown


def test_a_reason_stands_once() -> None:
    reasons = [{"guard": "request", "verdict": "refuse", "detail": "cancelled by root"}]
    shown = execution_text.ending(execution("cancelled", reasons=reasons, error={"message": "cancelled by root"}), LOOK)
    assert sum("cancelled by root" in line for line in shown) == 1


def test_an_approved_plan_does_not_say_that_it_would_not_start() -> None:
    refusal = {"guard": "mass_deletion", "verdict": "refuse", "detail": "90% would go"}
    plan = {"task": "a", "hash": "0" * 64, "created_at": "2026-11-24T02:00:00Z", "created_by": "root", "count": 1,
            "expires_at": "2026-12-01T02:00:00Z", "refusals": [refusal], "plan": {"steps": []}}  # fmt: skip
    assert "it would not start now:" in plans.draw_head(plan, LOOK)
    approved = plans.draw_head({**plan, "approved_by": "root", "approved_at": "2026-11-24T02:00:00Z"}, LOOK)
    assert "it would not start now:" not in approved
