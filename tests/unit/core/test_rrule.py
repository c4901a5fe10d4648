"""rrule: the rules of RFC 5545 on wall times, from near the moment that is asked about."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from core_examples import utc
from jamaint.core.recurrence import Schedule, next_after
from jamaint.core.recurrence.rrule import check_rrule

ZONES = ("America/New_York", "Europe/Berlin", "Europe/Dublin", "Australia/Lord_Howe", "Pacific/Chatham", "Asia/Jakarta")


def times(rule: str, zone: str, after: str, count: int, **changes: object) -> list[str]:
    schedule = Schedule(rrule=rule, timezone=zone, **changes)  # type: ignore[arg-type]
    found, moment = [], next_after(schedule, utc(after))
    while moment is not None and len(found) < count:
        found.append(moment.astimezone(ZoneInfo(zone)).strftime("%a %Y-%m-%d %H:%M"))
        moment = next_after(schedule, moment)
    return found


@pytest.mark.parametrize(
    ("rule", "start", "shown"),
    [
        ("FREQ=MONTHLY;BYDAY=2TU;BYHOUR=3", None, ["Tue 2026-12-08 03:00", "Tue 2027-01-12 03:00"]),
        ("RRULE:FREQ=WEEKLY;BYDAY=SA,SU;BYHOUR=2;BYMINUTE=30", None, ["Sat 2026-11-28 02:30", "Sun 2026-11-29 02:30"]),
        ("freq=monthly;bymonthday=-1", None, ["Mon 2026-11-30 00:00", "Thu 2026-12-31 00:00"]),
        ("FREQ=DAILY;INTERVAL=2", "2026-11-24T04:15", ["Thu 2026-11-26 04:15", "Sat 2026-11-28 04:15"]),
        ("FREQ=WEEKLY;INTERVAL=2", "2025-01-07T04:15", ["Tue 2026-12-08 04:15", "Tue 2026-12-22 04:15"]),
        ("FREQ=MONTHLY", "2024-01-31T01:00", ["Thu 2026-12-31 01:00", "Sun 2027-01-31 01:00", "Wed 2027-03-31 01:00"]),
        ("FREQ=YEARLY", "2000-02-29T01:00", ["Tue 2028-02-29 01:00", "Sun 2032-02-29 01:00"]),
        ("FREQ=DAILY;COUNT=3", "2026-11-24T04:00", ["Wed 2026-11-25 04:00", "Thu 2026-11-26 04:00"]),
        ("FREQ=DAILY;UNTIL=20261127", "2026-11-24T04:00", ["Fri 2026-11-27 04:00"]),
        ("FREQ=MINUTELY;INTERVAL=20", "2001-01-01T00:00", ["Wed 2026-11-25 00:20", "Wed 2026-11-25 00:40"]),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO", None, ["Mon 2044-02-29 00:00", "Mon 2072-02-29 00:00"]),
    ],
)
def test_the_rules(rule: str, start: str | None, shown: list[str]) -> None:
    begins = None if start is None else utc(start)
    wall = None if begins is None else begins.replace(tzinfo=None)
    assert check_rrule(rule, wall, "UTC") is None
    found = times(
        rule, "UTC", "2026-11-25T00:10", 400 if "COUNT" in rule or "UNTIL" in rule else len(shown), start=begins
    )
    assert found[-len(shown) :] == shown


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "never comes"),
        ("FREQ=SECONDLY;BYMONTH=4;BYMONTHDAY=31", "never comes"),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "never comes"),
        ("FREQ=MONTHLY;BYMONTHDAY=32", "BYMONTHDAY must be from 1 to 31, and '32' is not"),
        ("FREQ=HOURLY;BYHOUR=24", "BYHOUR must be from 0 to 23, and '24' is not"),
        ("FREQ=DAILY;BYHOUR=1,2;BYSETPOS=3", "BYSETPOS needs FREQ=WEEKLY, MONTHLY or YEARLY"),
        ("FREQ=MONTHLY", "it does not say on which day: say BYDAY or BYMONTHDAY, or `from`"),
        ("FREQ=DAILY;COUNT=4", "it counts, and nothing says from when: say `from`"),
        ("FREQ=DAILY;INTERVAL=2", "it has INTERVAL=2, and nothing says from when: say `from`"),
        ("FREQ=DAILY;COUNT=4;UNTIL=20270101", "it has COUNT and UNTIL: one of them is enough"),
        ("BYDAY=MO", "it says no FREQ, such as FREQ=DAILY"),
        ("DTSTART=20260101;FREQ=DAILY", "its start is said by `from`, not by DTSTART"),
        ("FREQ=DAILY;FREQ=DAILY", "it says FREQ twice"),
    ],
)
def test_what_is_wrong_is_said(rule: str, says: str) -> None:
    assert check_rrule(rule, None, "UTC") == says


@pytest.mark.parametrize(
    "rule", ["", "x", "FREQ", "FREQ=", "FREQ=OFTEN", "FREQ=DAILY;BYDAY=XX", "FREQ=DAILY;BYSOME=1", "FREQ=DAILY;UNTIL=x",
             "FREQ=DAILY\nRRULE:FREQ=DAILY", "FREQ=WEEKLY;WKST=9;BYDAY=MO", "FREQ=DAILY;BYHOUR=1,,2"]
)  # fmt: skip
def test_what_cannot_be_understood_is_refused(rule: str) -> None:
    assert check_rrule(rule, None, "UTC")


@pytest.mark.parametrize(
    ("zone", "rule", "after", "changes", "shown"),
    [
        (
            "America/New_York",
            "FREQ=DAILY;BYHOUR=2;BYMINUTE=30",
            "2026-03-07T12:00",
            {},
            ["Sun 2026-03-08 03:00", "Mon 2026-03-09 02:30"],
        ),
        (
            "America/New_York",
            "FREQ=DAILY;BYHOUR=2;BYMINUTE=30",
            "2026-03-07T12:00",
            {"dst_gap": "skip"},
            ["Mon 2026-03-09 02:30"],
        ),
        (
            "Europe/Berlin",
            "FREQ=DAILY;BYHOUR=2",
            "2026-10-24T12:00",
            {},
            ["Sun 2026-10-25 02:00", "Mon 2026-10-26 02:00"],
        ),
        (
            "Europe/Berlin",
            "FREQ=HOURLY",
            "2026-10-24T23:30",
            {},
            ["Sun 2026-10-25 02:00"] * 2 + ["Sun 2026-10-25 03:00"],
        ),
        (
            "Pacific/Chatham",
            "FREQ=DAILY;BYHOUR=3",
            "2026-09-26T12:00",
            {},
            ["Sun 2026-09-27 03:45", "Mon 2026-09-28 03:00"],
        ),
        ("America/Sao_Paulo", "FREQ=DAILY", "2018-11-03T12:00", {}, ["Sun 2018-11-04 01:00", "Mon 2018-11-05 00:00"]),
        (
            "Pacific/Apia",
            "FREQ=DAILY;BYHOUR=2",
            "2011-12-29T12:30",
            {},
            ["Sat 2011-12-31 00:00", "Sat 2011-12-31 02:00"],
        ),
    ],
)
def test_a_change_of_the_clocks(zone: str, rule: str, after: str, changes: dict[str, object], shown: list[str]) -> None:
    assert times(rule, zone, after, len(shown), **changes) == shown


RULES = st.builds(
    lambda frequency, interval, rest: ";".join([f"FREQ={frequency}", f"INTERVAL={interval}", *rest]),
    st.sampled_from(["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY"]),
    st.integers(1, 7),
    st.lists(
        st.sampled_from(["BYDAY=MO,TH", "BYHOUR=2,14", "BYMONTH=1,6,10", "BYMINUTE=0,30", "WKST=SU"]),
        unique=True,
        max_size=3,
    ),
)


@given(RULES, st.datetimes(datetime(1999, 1, 1), datetime(2025, 1, 1)), st.integers(0, 4000))
@settings(derandomize=True, deadline=None, max_examples=150)
def test_what_is_found_from_near_is_what_is_found_from_the_start(rule: str, start: datetime, days: int) -> None:
    """As python-dateutil itself, which goes through all from the start."""
    start = start.replace(microsecond=0)
    if check_rrule(rule, start, "UTC") is not None:
        return
    after = start + timedelta(days=days, hours=5)
    wanted = rrulestr(rule, dtstart=start).after(after)
    found = next_after(Schedule(rrule=rule, start=start.replace(tzinfo=UTC)), after.replace(tzinfo=UTC))
    assert found == (None if wanted is None or wanted > after + timedelta(days=15000) else wanted.replace(tzinfo=UTC))


@given(RULES, st.sampled_from(ZONES), st.datetimes(datetime(2025, 6, 1), datetime(2027, 6, 1)))
@settings(derandomize=True, deadline=None, max_examples=100)
def test_the_next_time_is_later_and_is_reached_from_every_moment_before_it(
    rule: str, zone: str, moment: datetime
) -> None:
    start = utc("2020-02-29T01:30")
    if check_rrule(rule, start.astimezone(ZoneInfo(zone)).replace(tzinfo=None), zone) is not None:
        return
    schedule = Schedule(rrule=rule, timezone=zone, start=start)
    found = next_after(schedule, moment.replace(tzinfo=UTC))
    if found is not None:
        assert found > moment.replace(tzinfo=UTC)
        assert next_after(schedule, found - timedelta(microseconds=1)) == found
