"""Calendar files: whole days, wall times over a change of the clocks, what recurs, what is taken out, and what is no
calendar."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jamaint.config.ics import read_ics
from jamaint.core.periods import end_of

pytest.importorskip("icalendar", reason="needs the extra `ics`")

HEAD = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//y//EN\r\n"


def calendar(tmp_path: Path, *events: str) -> str:
    path = tmp_path / "c.ics"
    bodies = "".join(
        "BEGIN:VEVENT\r\nUID:1\r\nDTSTAMP:20260101T000000Z\r\n"
        + "".join(f"{line}\r\n" for line in event.split(" | "))
        + "END:VEVENT\r\n"
        for event in events
    )
    path.write_text(f"{HEAD}{bodies}END:VCALENDAR\r\n", newline="")
    return str(path)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("event", "start", "end"),
    [
        ("DTSTART;VALUE=DATE:20261224 | DTEND;VALUE=DATE:20261227", "2026-12-23T17:00", "2026-12-26T17:00"),
        ("DTSTART;VALUE=DATE:20261224", "2026-12-23T17:00", "2026-12-24T17:00"),
        ("DTSTART:20261224T010000Z | DTEND:20261224T020000Z", "2026-12-24T01:00", "2026-12-24T02:00"),
        ("DTSTART:20261224T010000 | DURATION:PT90M", "2026-12-23T18:00", "2026-12-23T19:30"),
        (
            "DTSTART;TZID=America/New_York:20260701T010000 | DTEND;TZID=America/New_York:20260701T020000",
            "2026-07-01T05:00",
            "2026-07-01T06:00",
        ),
    ],
)
def test_an_event_is_a_stretch_of_time(tmp_path: Path, event: str, start: str, end: str) -> None:
    assert read_ics(calendar(tmp_path, event), "Asia/Jakarta") == [(at(start), at(end))]


def test_what_recurs_keeps_its_wall_time_over_a_change_of_the_clocks(tmp_path: Path) -> None:
    event = (
        "DTSTART;TZID=Europe/Berlin:20261023T020000 | DTEND;TZID=Europe/Berlin:20261023T030000"
        " | RRULE:FREQ=DAILY;UNTIL=20261027T010000Z | EXDATE;TZID=Europe/Berlin:20261024T020000"
    )
    found = read_ics(calendar(tmp_path, event), "UTC")
    assert [start.strftime("%d %H:%M") for start, _ in found] == ["23 00:00", "25 00:00", "26 01:00", "27 01:00"]
    assert {end - start for start, end in found} == {timedelta(hours=1)}


def test_whole_days_recur_as_days(tmp_path: Path) -> None:
    found = read_ics(calendar(tmp_path, "DTSTART;VALUE=DATE:20261024 | RRULE:FREQ=DAILY;COUNT=3"), "Europe/Berlin")
    assert [(end - start).total_seconds() / 3600 for start, end in found] == [24, 25, 24]


def test_what_is_cancelled_does_not_count(tmp_path: Path) -> None:
    assert read_ics(calendar(tmp_path, "DTSTART;VALUE=DATE:20261224 | STATUS:CANCELLED"), "UTC") == []


def test_what_recurs_for_ever_is_written_out_for_years(tmp_path: Path) -> None:
    found = read_ics(calendar(tmp_path, "DTSTART;VALUE=DATE:20200101 | RRULE:FREQ=YEARLY"), "UTC")
    assert found
    assert all(start.month == 1 and start.day == 1 for start, _ in found)
    assert found[-1][0] > datetime.now(UTC) + timedelta(days=4 * 365)


@pytest.mark.parametrize("content", ["", "hello", "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"])
def test_what_is_no_whole_calendar_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "c.ics"
    path.write_text(content)
    with pytest.raises(ValueError, match="calendar that can be read"):
        read_ics(str(path), "UTC")


def test_a_freeze_of_a_calendar(loading: Any, tmp_path: Path) -> None:
    path = calendar(tmp_path, "DTSTART;VALUE=DATE:20261224", "DTSTART;VALUE=DATE:20261225")
    freeze = loading(f"freezes: {{ f: {{ ics: {path}, timezone: Asia/Jakarta }} }}").freezes["f"]
    assert end_of(freeze.periods, at("2026-12-23T17:00")) == at("2026-12-25T17:00")
