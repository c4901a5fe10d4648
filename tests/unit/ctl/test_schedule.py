"""The screens of `schedule`, and openings as a calendar file."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from jamaint.ctl.output import icalendar
from jamaint.ctl.output.text import Look
from jamaint.ctl.output.times import epoch
from jamaint.ctl.verbs.schedule import schedule, schedule_calendar
from jamaint.errors import JamaintError

NOW = epoch("2027-03-01T00:00:00Z") or 0.0
LOOK = Look(NOW)


@pytest.fixture(autouse=True)
def in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def opening(day: str = "2027-03-02", **changes: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "window_name": "nightly",
        "starts_at": f"{day}T02:00:00.000Z",
        "ends_at": f"{day}T04:00:00.000Z",
        "starts_until": f"{day}T03:45:00.000Z",
        "timezone": "UTC",
        "max_concurrent_tasks": 1,
        "clock_change": None,
        "tasks": [],
        "tasks_in_all": 0,
    }
    return {**usual, **changes}


def inside(name: str, p50: int | None, p90: int = 0) -> dict[str, Any]:
    return {"task": name, "expected": None if p50 is None else {"p50": p50 * 60_000, "p90": p90 * 60_000, "runs": 9}}


@pytest.mark.parametrize(
    ("tasks", "bar"),
    [
        ([], "." * 32),
        ([inside("a", None)], "." * 32),
        ([inside("a", 60, 60)], "#" * 16 + "." * 16),
        ([inside("a", 30, 60), inside("b", 30, 45)], "#" * 16 + "+" * 12 + "." * 4),
        ([inside("a", 1, 1)], "#" + "." * 31),
        ([inside("a", 100, 121)], "#" * 27 + "+" * 5 + " over"),
        ([inside("a", 900, 901)], "#" * 32 + " over"),
    ],
)
def test_a_bar_is_the_work_beside_the_opening_s_time_and_room(tasks: list[dict[str, Any]], bar: str) -> None:
    assert schedule_calendar.bar(opening(tasks=tasks), 7200, Look(NOW, unicode=False)) == bar


def test_more_room_is_a_longer_bar() -> None:
    found = opening(tasks=[inside("a", 60, 60)], max_concurrent_tasks=2)
    assert schedule_calendar.bar(found, 7200, Look(NOW, unicode=False)) == "#" * 8 + "." * 24


@pytest.mark.parametrize("text", ["2027", "2027-00", "2027-13", "27-03", "x", "2027-3x", "9999-12"])
def test_a_month_that_is_none(text: str) -> None:
    with pytest.raises(JamaintError, match="must be as 2026-11"):
        schedule_calendar._month(text, NOW)


@pytest.mark.parametrize(("text", "days"), [("2027-02", 28), ("2028-02", 29), ("2026-12", 31), (None, 31)])
def test_a_month_has_its_days(text: str | None, days: int) -> None:
    start, end = schedule_calendar._month(text, NOW)
    assert len(schedule_calendar._days(start, end)) == days
    shown = schedule_calendar.draw({"openings": [], "items": []}, LOOK, start, end)
    assert len([line for line in shown if line[:3] in {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}]) == days


def test_a_day_that_is_shorter_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    start, end = schedule_calendar._month("2027-03", NOW)
    shown = schedule_calendar.draw({"openings": [], "items": []}, LOOK, start, end)
    assert [line for line in shown if "(" in line][1:] == ["Sun 28 (23 h)"]


def ran(name: str, day: str, status: str = "completed") -> dict[str, Any]:
    return {"task_name": name, "started_at": f"{day}T02:00:00.000Z", "status": status}


def test_past_days_show_what_ran_and_not_the_tasks_of_today() -> None:
    start, end = schedule_calendar._month("2027-03", NOW)
    now = start + 1.5 * 86400
    openings = [opening(f"2027-03-{day:02}", tasks=[inside("new", 5, 5)]) for day in range(1, 4)]
    alone = [{"task": "new-too", "at": f"2027-03-{day:02}T05:00:00.000Z", "window": None} for day in range(1, 4)]
    freezes = [{"name": "new-freeze", "from": "2027-03-01T00:00:00.000Z", "to": "2027-03-02T00:00:00.000Z"}]
    found = {"openings": openings, "items": alone, "freezes": freezes}
    past = {"items": [ran("old", "2027-03-01"), ran("old", "2027-03-01", "failed"), ran("once", "2027-03-02")]}
    shown = schedule_calendar.draw(found, Look(now, 80, unicode=False), start, end, past)
    days = [line for line in shown if line[:6] in {"Mon 01", "Tue 02", "Wed 03"} or line.startswith("        ")]
    assert days[:4] == [
        "Mon 01  2 ran, 1 failed                old (2 times)",
        "Tue 02  1 ran                          once",
        "Wed 03  02:00-04:00      #...........  nightly: new",
        "                                       no window: new-too",
    ]


def test_a_window_that_opens_often_takes_a_few_rows_of_a_day() -> None:
    often = [opening(starts_at=f"2027-03-02T{hour:02}:00:00.000Z", tasks=[]) for hour in range(4, 24)]
    start, end = schedule_calendar._month("2027-03", NOW)
    shown = schedule_calendar.draw({"openings": often, "items": []}, Look(start, 80), start, end)
    assert len([line for line in shown if "nightly" in line]) == 4
    assert any("17 more" in line and "openings of nightly" in line for line in shown)
    listed = schedule.draw({"openings": often, "items": [], "from": "", "to": ""}, Look(start, 80))
    assert len(listed) == 5
    assert listed[-1].split("  ")[-2:] == ["17 more openings", "the last at 23:00"]
    cut = {"openings": often, "items": [], "from": "", "to": "", "openings_cut": ["nightly"]}
    assert schedule.draw(cut, Look(start, 80))[-1].endswith("17 more openings or more")


def test_a_calendar_file_has_what_the_rfc_asks_for() -> None:
    found = {
        "now": "2027-03-01T00:00:00.000Z",
        "items": [
            {"current": None, "next": [opening(window_name="a-very-long-name-" + "x" * 60), opening("2027-03-03")]}
        ],
    }
    lines = icalendar.calendar(found)
    assert lines[:2] == ["BEGIN:VCALENDAR", "VERSION:2.0"]
    assert lines.count("BEGIN:VEVENT") == lines.count("END:VEVENT") == 2
    assert "DTSTART:20270303T020000Z" in lines
    assert "DTEND:20270303T040000Z" in lines
    assert all(len(line.encode()) <= 73 for line in lines)
    whole = "\n".join(lines).replace("\n ", "")
    assert len({line for line in whole.splitlines() if line.startswith("UID:")}) == 2


def test_text_of_a_calendar_file_is_escaped() -> None:
    assert icalendar._text("a,b;c\\d\ne") == "a\\,b\\;c\\\\d\\ne"


def test_what_is_too_full_and_never_runs_comes_first() -> None:
    found = {
        "runs": 1, "skipped": 2, "due": 3, "until": "2027-03-04T00:00:00.000Z", "most_at_once": 1,
        "never": [{"task": "big", "why": "it does not fit"}],
        "too_full": [{"window": "nightly", "why": "2 of 3 would be skipped in 1 openings"}],
        "windows": [], "tasks": [], "items": [],
    }  # fmt: skip
    lines = schedule.draw_simulation(found, LOOK)
    assert lines[0].startswith("1 run and 2 skips of 3 occurrences")
    assert lines.index("never run") < lines.index("too full")
    assert "  big  it does not fit" in lines


def test_nothing_due_says_so() -> None:
    found = {
        "from": "2027-03-01T00:00:00Z",
        "to": "2027-03-01T01:00:00Z",
        "items": [],
        "openings": [],
        "next_cursor": None,
    }
    assert schedule.draw(found, LOOK) == ["nothing is due between 00:00 UTC and 01:00 UTC"]
