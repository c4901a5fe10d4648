"""Tables at 80 columns: nothing wider, rows under their head, one line for a usual row."""

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jamaint.ctl.output.tables import table
from jamaint.ctl.output.text import Look, folded, wide
from jamaint.ctl.output.times import brief, second, zoned
from jamaint.ctl.verbs.executions import cleanup, executions
from jamaint.ctl.verbs.schedule import freezes, tasks, windows
from jamaint.ctl.verbs.schedule import next as next_verb
from jamaint.ctl.verbs.service import audit, usage

NOW = 1764554400.0  # 2025-12-01 02:00:00 UTC
LOOK = Look(NOW, 80)
SOON, LATER = "2025-12-03T02:00:00Z", "2025-12-20T00:00:00Z"


@pytest.fixture(autouse=True)
def utc() -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = "UTC"
    time.tzset()
    yield
    os.environ.pop("TZ") if before is None else os.environ.update(TZ=before)
    time.tzset()


def _task(name: str, schedule: dict[str, Any], **more: Any) -> dict[str, Any]:
    last = {"status": "completed", "completed_at": "2025-11-30T06:00:00Z"}
    task = {"name": name, "type": "optimization", "category": "performance", "priority": "medium", "enabled": True}
    return {**task, "schedule": schedule, "next_due": SOON, "last_execution": last, **more}


TASKS = [
    _task("app-logs", {"window": "nightly"}),
    _task("temp-uploads", {"cron": "30 3 * * *"}),
    _task("nightly-backup", {"every": "1h"}, last_execution=None),
]
FROZEN = _task(
    "rotate-nginx-access",
    {"cron": "30 3 * * *", "timezone": "Europe/Berlin"},
    frozen={"freeze": "year-end-freeze", "until": LATER, "effect": "deny"},
)
WINDOW = {
    "name": "sunday-long-window",
    "schedule": {"cron": "0 22 * * SUN"},
    "duration": 360,
    "timezone": "Asia/Jakarta",
    "allowed_tasks": ["cleanup", "custom", "optimization"],
    "current": None,
    "next": {"starts_at": SOON},
}
FREEZE = {
    "name": "year-end-freeze",
    "policy": True,
    "holds": True,
    "changes_at": LATER,
    "effect": "deny",
    "tasks_covered": 3,
    "tasks_in_all": 12,
    "description": "nothing moves while the shop sells most of its year",
}
RUN = {
    "id": "b75a75b5-0000-4000-8000-000000000000",
    "task_name": "nightly-backup",
    "status": "rolled_back",
    "started_at": "2025-11-30T02:00:00Z",
    "duration": 743,
    "metrics": {"freed_space": -5_977_000},
    "error": {"message": "command: nightly-backup exited with 1, and what it had made was taken back"},
}
CLEANED = {**RUN, "cleanup_type": "filesystem", "total_processed_items": 60_000, "freed_by_now": -5_977_000}
CLEANED |= {"status": "completed", "operations": [{"type": "temp_cleanup", "status": "completed"}]}
ENTRY = {
    "at": "2025-11-30T02:00:00Z",
    "user": "administrator",
    "uid": 1000,
    "pid": 123456,
    "role": "operator",
    "method": "execution.rollback",
    "object": "nightly-backup",
    "outcome": "refused",
    "detail": {"message": "cannot roll back adb99b27: it kept no undo data"},
}
SIZE = {"kind": "storage", "name": "/var/lib/postgresql/15/main", "bytes": 29_000_000_000, "share": 0.87}
SIZE |= {"growth_per_day": 123_456_789, "full_on": LATER, "free": 79_000_000_000, "inodes_share": 0.97}
ADVICE = {"light": "yellow", "kind": "storage", "name": "/var/lib/postgresql", "task": "cleanup run temp", "frees": 1}
ADVICE |= {"message": "87% is used and at the pace of the last days it is full on Sat 2025-12-20"}
OPENING = {"starts_at": SOON, "ends_at": "2025-12-03T04:00:00Z", "duration_minutes": 120}
SCREENS: dict[str, tuple[Any, Any]] = {
    "task list": (tasks.draw_list, {"items": [*TASKS, FROZEN]}),
    "window list": (windows.draw_list, {"items": [WINDOW, {**WINDOW, "current": {"ends_at": SOON}}]}),
    "freeze list": (freezes.draw_list, {"items": [FREEZE]}),
    "next": (next_verb.draw, {"items": [{"window": "nightly", "timezone": "Asia/Jakarta", "next": [OPENING] * 2}]}),
    "execution list": (executions.draw_list, {"items": [RUN]}),
    "cleanup history": (cleanup.draw_history, {"items": [CLEANED]}),
    "audit": (audit.draw, {"items": [ENTRY]}),
    "usage": (usage.draw, {"items": [SIZE]}),
}


@pytest.mark.parametrize("width", [60, 80, 100, 120])
@pytest.mark.parametrize("name", SCREENS)
def test_no_line_of_a_table_is_wider_than_the_screen(name: str, width: int) -> None:
    draw, found = SCREENS[name]
    lines = draw(found, Look(NOW, width))
    assert [line for line in lines if wide(line) > width] == []


def test_task_list_has_one_line_a_task_at_80_columns() -> None:
    assert tasks.draw_list({"items": TASKS}, LOOK) == [
        "TASK            STATE    SCHEDULE         NEXT (UTC)  LAST",
        "app-logs        enabled  window nightly   Wed 02:00   completed 20 h ago",
        "temp-uploads    enabled  cron 30 3 * * *  Wed 02:00   completed 20 h ago",
        "nightly-backup  enabled  every 1h         Wed 02:00   -",
    ]


def test_long_words_of_one_row_wrap_in_their_own_column() -> None:
    lines = tasks.draw_list({"items": [*TASKS[:1], FROZEN]}, LOOK)
    assert lines[1].startswith("app-logs             enabled")
    frozen = next(at for at, line in enumerate(lines) if line.startswith("rotate-nginx-access  frozen"))
    assert frozen + 1 < len(lines) <= 7
    assert all("Wed 02:00" in line for line in lines if line.startswith(("app", "rotate")))
    assert all(line[:19].strip() == "" for line in lines[frozen + 1 :])


def test_window_list_has_one_line_a_window_at_80_columns() -> None:
    assert windows.draw_list({"items": [WINDOW]}, LOOK)[1:] == [
        "sunday-long-window  closed  cron 0 22 * * SUN  Asia/Jakarta  6 h  Wed 02:00"
    ]


def test_a_long_last_column_continues_below_its_row() -> None:
    assert executions.draw_list({"items": [RUN]}, LOOK) == [
        "EXECUTION  TASK            STATUS       STARTED (UTC)       TOOK         SPACE",
        "b75a75b5   nightly-backup  rolled back  2025-11-30 02:00  743 ms  took 5.7 MiB",
        "    command: nightly-backup exited with 1, and what it had made was taken back",
    ]


@pytest.mark.parametrize(
    ("zone", "lines"),
    [
        ("UTC", ["nightly  UTC, for 2 h", "  in 2 d  Wed 2025-12-03 02:00 UTC"]),
        ("Asia/Jakarta", ["nightly  Asia/Jakarta, for 2 h", "  in 2 d  Wed 2025-12-03 02:00 UTC  09:00 WIB"]),
        (
            "America/New_York",
            ["nightly  America/New_York, for 2 h", "  in 2 d  Wed 2025-12-03 02:00 UTC  Tue 21:00 EST"],
        ),
    ],
)
def test_next_says_a_moment_once_for_all_clocks_that_agree(zone: str, lines: list[str]) -> None:
    assert next_verb.draw({"items": [{"window": "nightly", "timezone": zone, "next": [OPENING]}]}, LOOK) == lines


def test_next_names_utc_where_the_local_clock_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Jakarta")
    time.tzset()
    found = {"items": [{"window": "nightly", "timezone": "Asia/Jakarta", "next": [OPENING]}]}
    assert next_verb.draw(found, LOOK)[1] == "  in 2 d  Wed 2025-12-03 09:00 WIB  02:00 UTC"


def test_times_of_a_column_are_as_short_as_its_head_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [brief(at, NOW) for at in ("2025-12-01T05:00:00Z", SOON, LATER, None)] == [
        "05:00",
        "Wed 02:00",
        "2025-12-20 00:00",
        "-",
    ]
    assert [second(at, NOW) for at in ("2025-12-01T01:00:07Z", "2025-11-30T01:00:07Z", None)] == [
        "01:00:07",
        "2025-11-30 01:00",
        "-",
    ]
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    assert zoned("NEXT", NOW) == "NEXT (CET)"
    assert brief("2026-07-01T01:00:00Z", NOW) == "2026-07-01 03:00 CEST"


CELLS = st.text(st.characters(min_codepoint=32, max_codepoint=0x9FFF), max_size=30)


@given(st.lists(st.tuples(CELLS, CELLS, CELLS, CELLS), min_size=1), st.integers(20, 100), st.booleans())
def test_a_table_of_any_words_fits_any_screen(rows: list[tuple[str, str, str, str]], width: int, below: bool) -> None:
    lines = table(("A", "B", "C", "D"), rows, Look(NOW, width), right=(1,), spare=("B",), below=below)
    assert all(wide(line) <= width for line in lines)


def test_a_line_too_long_for_the_screen_continues_between_words() -> None:
    line = "  nothing runs now: the policy year-end-freeze holds until the third of January"
    assert list(folded([line], Look(NOW, 50))) == [
        "  nothing runs now: the policy year-end-freeze",
        "  holds until the third of January",
    ]
    path = "  " + "/srv/" + "x" * 60
    assert list(folded([path], Look(NOW, 50))) == [path]
    assert list(folded([line], Look(NOW, 0))) == [line]
    red = Look(NOW, 80, colours=True).paint("red", "short")
    assert list(folded([red + "-" * 70], Look(NOW, 75))) == [red + "-" * 70]
