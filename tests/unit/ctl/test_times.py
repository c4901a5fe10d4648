"""Times as people write and read them; the machine is in Jakarta, or where a test says."""

import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given as over
from hypothesis import strategies as st

from jamaint.ctl.output import times

NOW = datetime(2026, 11, 24, 2, 0, 13, tzinfo=UTC).timestamp()
Zone = Callable[[str], None]


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Zone]:
    def set_zone(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    set_zone("Asia/Jakarta")
    yield set_zone
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", "2026-11-24T02:00:13.000Z"),
        ("-7d", "2026-11-17T02:00:13.000Z"),
        ("+3h", "2026-11-24T05:00:13.000Z"),
        ("+1h30m", "2026-11-24T03:30:13.000Z"),
        ("-2w", "2026-11-10T02:00:13.000Z"),
        ("2026-11-23 02:00", "2026-11-22T19:00:00.000Z"),
        ("2026-11-23T02:00:30", "2026-11-22T19:00:30.000Z"),
        ("2026-11-23", "2026-11-22T17:00:00.000Z"),
        ("2026-11-23T02:00:00Z", "2026-11-23T02:00:00.000Z"),
        ("2026-11-23 02:00:00.250+05:30", "2026-11-22T20:30:00.250Z"),
        ("2024-02-29", "2024-02-28T17:00:00.000Z"),
    ],
)
def test_what_a_person_writes_becomes_utc(text: str, expected: str) -> None:
    assert times.given(text, NOW) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is not a valid time"),
        ("soon", "is not a valid time"),
        ("7d", "did you mean -7d or +7d"),
        ("-7", "lacks a unit"),
        ("-", "is not a valid time"),
        ("+3x", "one of s, m, h, d, w"),
        ("+99999999999d", "one of s, m, h, d, w"),
        ("+999999999w", "too far away"),
        ("2026-02-29", "is not a valid time"),
        ("2026-13-01", "is not a valid time"),
        ("2026-11-23 25:00", "is not a valid time"),
        ("2026-11-23T25:00:00Z", "is not a valid time"),
        ("٢٠٢٦-11-23", "is not a valid time"),
    ],
)
def test_what_is_no_time_is_refused_with_a_hint(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        times.given(text, NOW)


def test_a_local_time_that_the_clocks_skip_is_refused(zone: Zone) -> None:
    zone("America/New_York")
    with pytest.raises(ValueError, match="does not exist here"):
        times.given("2026-03-08 02:30", NOW)
    assert times.given("2026-03-08 03:30", NOW) == "2026-03-08T07:30:00.000Z"


@over(st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)), st.integers(-14 * 60, 14 * 60))
def test_epoch_agrees_with_datetime(moment: datetime, minutes: int) -> None:
    aware = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    found = times.epoch(aware.isoformat(timespec="milliseconds"))
    assert found == pytest.approx((aware - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds(), abs=0.0011)


@over(st.integers(-62135596800, 253402300799))
def test_what_goes_on_the_wire_comes_back(seconds: int) -> None:
    assert times.epoch(times.to_wire(seconds)) == seconds


@pytest.mark.parametrize(
    "stamp", [None, 7, "", "2026-11-24", "2026-11-24 02:00:00Z", "2026-11-24T02:00:00", "2026-11-24T02:00:00.Z5Z", []]
)
def test_what_is_no_stamp_is_none_and_a_dash(stamp: object) -> None:
    assert times.epoch(stamp) is None
    assert times.stamp(stamp) == times.moment(stamp, NOW) == times.ago(stamp, NOW) == "-"


def test_moments_are_local_and_as_short_as_they_may_be() -> None:
    assert times.stamp("2026-11-24T02:00:13.000Z") == "2026-11-24 09:00:13 WIB"
    assert times.moment("2026-11-24T02:41:00Z", NOW) == "09:41 WIB"
    assert times.moment("2026-11-24T18:00:00Z", NOW) == "Wed 2026-11-25 01:00 WIB"
    assert times.utc("2026-11-24T18:00:00Z") == "2026-11-24 18:00 UTC"
    assert times.clock("2026-11-24T18:00:07Z") == "01:00:07"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-5, "0 ms"),
        (0.35, "350 ms"),
        (1.54, "1.5 s"),
        (3, "3 s"),
        (41.4, "41 s"),
        (59.97, "1 min"),
        (65, "1 min 5 s"),
        (3600, "1 h"),
        (4800, "1 h 20 min"),
        (86400, "1 d"),
        (273600, "3 d 4 h"),
    ],
)
def test_spans_are_in_their_two_largest_units(seconds: float, expected: str) -> None:
    assert times.span(seconds) == expected


def test_relations_to_now() -> None:
    assert times.ago("2026-11-24T01:48:00Z", NOW) == "12 min ago"
    assert times.ago("2026-11-24T02:00:13Z", NOW) == "just now"
    assert times.until("2026-11-24T03:20:20Z", NOW) == "in 1 h 20 min"
    assert times.until("2026-11-24T01:00:00Z", NOW) == "now"
    assert times.remaining("2026-11-24T02:00:54Z", NOW) == "41 s left"
    assert times.remaining(None, NOW) == ""
