"""Calendar files: whole days, wall times over a change of the clocks, what recurs, what is taken out, and what is no
calendar."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jamaint.core.calendar.periods import end_of
from jamaint.schema.icalendar import read_ics

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


def test_whole_day_that_ends_on_its_day_is_a_day(tmp_path: Path) -> None:
    found = read_ics(calendar(tmp_path, "DTSTART;VALUE=DATE:20261225 | DTEND;VALUE=DATE:20261225"), "UTC")
    assert found == [(at("2026-12-25"), at("2026-12-26"))]


WEEKLY = "DTSTART:20261206T020000Z | DTEND:20261206T040000Z | RRULE:FREQ=WEEKLY;COUNT=3"


def test_instance_cancelled_is_none(tmp_path: Path) -> None:
    gone = "RECURRENCE-ID:20261213T020000Z | DTSTART:20261213T020000Z | DTEND:20261213T040000Z | STATUS:CANCELLED"
    found = read_ics(calendar(tmp_path, WEEKLY, gone), "UTC")
    assert [start.day for start, _ in found] == [6, 20]


@pytest.mark.parametrize("instance", ["20261213T020000Z", "20261213T090000"])
def test_instance_moved_is_where_it_was_moved_to(tmp_path: Path, instance: str) -> None:
    name = f"RECURRENCE-ID{'' if instance.endswith('Z') else ';TZID=Asia/Jakarta'}:{instance}"
    moved = f"{name} | DTSTART:20261214T050000Z | DTEND:20261214T060000Z"
    found = sorted(read_ics(calendar(tmp_path, WEEKLY, moved), "UTC"))
    assert [start.isoformat()[5:13] for start, _ in found] == ["12-06T02", "12-14T05", "12-20T02"]
    assert found[1][1] == at("2026-12-14T06:00")


def test_instance_moved_twice_is_where_its_newest_version_is(tmp_path: Path) -> None:
    moved = [
        f"RECURRENCE-ID:20261213T020000Z | SEQUENCE:{number} | DTSTART:202612{day}T050000Z | DURATION:PT1H"
        for number, day in ((2, 15), (1, 14))
    ]
    found = sorted(read_ics(calendar(tmp_path, WEEKLY, *moved), "UTC"))
    assert [start.day for start, _ in found] == [6, 15, 20]


def test_periods_that_are_added_have_ends_of_their_own(tmp_path: Path) -> None:
    event = (
        "DTSTART:20261206T020000Z | DTEND:20261206T040000Z"
        " | RDATE;VALUE=PERIOD:20261210T010000Z/20261210T013000Z,20261211T010000Z/PT2H"
    )
    lengths = [(end - start).total_seconds() / 60 for start, end in sorted(read_ics(calendar(tmp_path, event), "UTC"))]
    assert lengths == [120, 30, 120]


def test_until_as_a_date_is_that_whole_day(tmp_path: Path) -> None:
    event = "DTSTART:20261208T020000Z | DURATION:PT1H | RRULE:FREQ=DAILY;UNTIL=20261210"
    assert [start.day for start, _ in read_ics(calendar(tmp_path, event), "UTC")] == [8, 9, 10]


@pytest.mark.parametrize(
    ("event", "why"),
    [
        ("DTSTART;TZID=Asia/Jakart:20261212T000000 | DURATION:PT1H", "the zone 'Asia/Jakart' is neither known"),
        ("DTSTART:20261212T000000Z | DTEND;TZID=Customized Time Zone:20261212T010000", "neither known nor declared"),
        (f"{WEEKLY} | EXDATE;TZID=Mars/Base:20261213T020000", "the zone 'Mars/Base'"),
        (f"{WEEKLY} | EXDATE;VALUE=DATE:20261213", "an EXDATE or RDATE is a day"),
        ("RECURRENCE-ID;RANGE=THISANDFUTURE:20261213T020000Z | DTSTART:20261213T020000Z", "RANGE=THISANDFUTURE"),
    ],
)
def test_event_that_cannot_be_understood_is_refused(tmp_path: Path, event: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_ics(calendar(tmp_path, event), "UTC")


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
