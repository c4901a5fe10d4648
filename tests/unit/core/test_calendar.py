"""calendar: systemd's OnCalendar, as systemd itself reads it, and with our rule where the clocks change."""

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import systemd_calendar
from core_examples import utc
from jamaint.core.recurrence import Schedule, next_after
from jamaint.core.recurrence.oncalendar import ALIASES, check_calendar

BASE = datetime(2026, 4, 7, 13, 30, 17, tzinfo=UTC)
LAST = datetime(2026, 9, 1, tzinfo=UTC)
"""Between the two no zone below changes its clocks, so that the two rules agree."""
ZONES = ("UTC", "Asia/Jakarta", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Chatham")
COUNT = 4
BATCH = 12

needs_systemd = pytest.mark.skipif(systemd_calendar.PROGRAM is None, reason="systemd-analyze is not on this machine")


def times(expression: str, zone: str, after: str, count: int, **changes: object) -> list[str]:
    schedule = Schedule(calendar=expression, timezone=zone, **changes)  # type: ignore[arg-type]
    found, moment = [], next_after(schedule, utc(after))
    while moment is not None and len(found) < count:
        found.append(moment.astimezone(ZoneInfo(zone)).strftime("%a %Y-%m-%d %H:%M:%S"))
        moment = next_after(schedule, moment)
    return found


@pytest.mark.parametrize(
    ("expression", "shown"),
    [
        ("Mon..Fri *-*-* 02:00", ["Wed 2026-11-25 02:00:00", "Thu 2026-11-26 02:00:00", "Fri 2026-11-27 02:00:00"]),
        ("Mon *-05~07/1", ["Mon 2027-05-31 00:00:00", "Mon 2028-05-29 00:00:00", "Mon 2029-05-28 00:00:00"]),
        ("*-02~03", ["Fri 2027-02-26 00:00:00", "Sun 2028-02-27 00:00:00", "Mon 2029-02-26 00:00:00"]),
        ("*-*~1..5/2", ["Thu 2026-11-26 00:00:00", "Sat 2026-11-28 00:00:00", "Mon 2026-11-30 00:00:00"]),
        ("*~1", ["Mon 2026-11-30 00:00:00", "Thu 2026-12-31 00:00:00", "Sun 2027-01-31 00:00:00"]),
        ("*-02-29 Sun", []),
        ("*-02-29", ["Tue 2028-02-29 00:00:00", "Sun 2032-02-29 00:00:00", "Fri 2036-02-29 00:00:00"]),
        ("08..20/3,22:00", ["Wed 2026-11-25 08:00:00", "Wed 2026-11-25 11:00:00", "Wed 2026-11-25 14:00:00"]),
        ("2027..2028-1-1 0:0:30", ["Fri 2027-01-01 00:00:30", "Sat 2028-01-01 00:00:30"]),
        ("27-1-1", ["Fri 2027-01-01 00:00:00"]),
        ("quarterly", ["Fri 2027-01-01 00:00:00", "Thu 2027-04-01 00:00:00", "Thu 2027-07-01 00:00:00"]),
        ("Weekly", ["Mon 2026-11-30 00:00:00", "Mon 2026-12-07 00:00:00"]),
        ("minutely", ["Wed 2026-11-25 00:01:00", "Wed 2026-11-25 00:02:00"]),
        ("*:0/25", ["Wed 2026-11-25 00:25:00", "Wed 2026-11-25 00:50:00", "Wed 2026-11-25 01:00:00"]),
        ("monday-wednesday,Sat", ["Sat 2026-11-28 00:00:00", "Mon 2026-11-30 00:00:00", "Tue 2026-12-01 00:00:00"]),
    ],
)
def test_the_ways_to_write_it(expression: str, shown: list[str]) -> None:
    assert (check_calendar(expression) is None) == bool(shown)
    if shown:
        assert times(expression, "UTC", "2026-11-25T00:00:30", len(shown)) == shown


@pytest.mark.parametrize(
    "expression",
    ["*-02-30", "2019-02-29", "*-*-* 24:00", "25:00", "*-13-01", "*-*-32", "*-*~29", "*-*-31..2", "Fri..Mon", "10",
     "Mo", "*-*-* *", "02:00 Mon", "Mon Tue", "1:2:3:4", "*:*:0/0.5", "*/2-*-*", "*-*-*/2", "*:*/15", "*-*-1/0", "",
     " ", "~1", "*-~1", "2200-01-01", "2026-01-01 2026-01-01", "@daily", "a", "-", ":", "*-*-", "*-*-01,15~02",
     "1..2..3:00"],
)  # fmt: skip
def test_what_is_wrong_or_never_comes_is_refused(expression: str) -> None:
    assert check_calendar(expression)


@pytest.mark.parametrize(
    ("zone", "expression", "after", "changes", "shown"),
    [
        ("America/New_York", "02:30", "2026-03-07T12:00", {}, ["Sun 2026-03-08 03:00:00", "Mon 2026-03-09 02:30:00"]),
        ("America/New_York", "02:30", "2026-03-07T12:00", {"dst_gap": "skip"}, ["Mon 2026-03-09 02:30:00"]),
        ("Europe/Berlin", "02:30", "2026-10-24T12:00", {}, ["Sun 2026-10-25 02:30:00", "Mon 2026-10-26 02:30:00"]),
        (
            "Australia/Lord_Howe",
            "02:15",
            "2026-10-03T12:00",
            {},
            ["Sun 2026-10-04 02:30:00", "Mon 2026-10-05 02:15:00"],
        ),
        ("America/Sao_Paulo", "daily", "2018-11-03T12:00", {}, ["Sun 2018-11-04 01:00:00", "Mon 2018-11-05 00:00:00"]),
        ("Pacific/Apia", "daily", "2011-12-29T12:00", {}, ["Sat 2011-12-31 00:00:00", "Sun 2012-01-01 00:00:00"]),
        ("America/New_York", "*:30", "2026-11-01T05:00", {}, ["Sun 2026-11-01 01:30:00"] * 2),
        ("America/New_York", "*:30", "2026-03-08T06:00", {}, ["Sun 2026-03-08 01:30:00", "Sun 2026-03-08 03:30:00"]),
    ],
)
def test_a_change_of_the_clocks(
    zone: str, expression: str, after: str, changes: dict[str, object], shown: list[str]
) -> None:
    assert times(expression, zone, after, len(shown), **changes) == shown


def spans(least: int, most: int, back: int = 0) -> st.SearchStrategy[str]:
    """A component: numbers, ranges, steps, lists of them."""
    low, high, step = st.integers(least, most // 2), st.integers(most // 2 + 4, most), st.integers(1, 4)
    one = st.one_of(
        st.integers(least, most).map(str),
        # systemd refuses a step that leads out of the component, where we take it as coming once.
        st.tuples(low, step).map(lambda found: f"{found[0] + back}/{found[1]}"),
        st.tuples(low, high).map(lambda found: f"{found[0]}..{found[1]}"),
        st.tuples(low, high, step).map(lambda found: f"{found[0]}..{found[1]}/{found[2]}"),
    )
    return st.just("*") | st.lists(one, min_size=1, max_size=3).map(",".join)


WEEKDAYS = st.lists(
    st.sampled_from(["Mon", "tuesday", "Wed..Fri", "Sat", "Sun", "Mon..Tue"]), min_size=1, max_size=2
).map(",".join)
# In a list of days from a month's end, systemd's own bound of 28 falls by 3 with each entry.
DATES = st.one_of(
    st.just("*-*-*"),
    st.tuples(st.sampled_from(["*", "2026", "2026..2030", "2026/2"]), spans(1, 12), spans(1, 31)).map("-".join),
    st.tuples(spans(1, 12), spans(1, 22, back=4).filter(lambda text: text != "*")).map(
        lambda found: f"*-{found[0]}~{found[1]}"
    ),
)
CLOCKS = st.tuples(spans(0, 23), spans(0, 59), spans(0, 59)).map(":".join) | st.just("02:30:00")
EXPRESSIONS = st.one_of(
    st.sampled_from(sorted(ALIASES)),
    st.tuples(WEEKDAYS, DATES, CLOCKS).map(" ".join),
    st.tuples(DATES, CLOCKS).map(" ".join),
)


@needs_systemd
@given(st.lists(st.tuples(EXPRESSIONS, st.sampled_from(ZONES)), min_size=BATCH, max_size=BATCH))
@settings(derandomize=True, deadline=None, max_examples=40, phases=[Phase.generate])
def test_it_agrees_with_systemd_where_no_clock_changes(found: list[tuple[str, str]]) -> None:
    """The cases are the same in each run, and no smaller ones are sought: that would be a process for each."""
    coming = [(expression, zone) for expression, zone in found if check_calendar(expression) is None]
    theirs = systemd_calendar.elapses([f"{expression} {zone}" for expression, zone in coming], BASE, COUNT)
    for (expression, zone), wanted in zip(coming, theirs, strict=True):
        ours, moment = [], BASE
        schedule = Schedule(calendar=expression, timezone=zone)
        while len(ours) < COUNT and (following := next_after(schedule, moment)) is not None:
            ours.append(following)
            moment = following
        assert [one for one in ours if one < LAST] == [one for one in wanted if one < LAST], (expression, zone)


@needs_systemd
@pytest.mark.parametrize(
    "expression", ["*-*~29", "Fri..Mon", "*-*-*/2", "*-*-* 24:00", "*-*-31..2", "10", "~1", "02:00 Mon"]
)
def test_what_systemd_refuses_is_refused(expression: str) -> None:
    assert not systemd_calendar.accepts(expression)
    assert check_calendar(expression)


@given(st.text("0123456789*/,.~-: MonTueSatily", max_size=24))
@settings(derandomize=True, deadline=None, max_examples=500)
def test_whatever_it_is_given_it_answers_and_what_it_passes_can_be_reckoned(expression: str) -> None:
    if check_calendar(expression) is None:
        assert next_after(Schedule(calendar=expression, timezone="Europe/Berlin"), utc("1969-12-30T00:00")) is not None


@given(EXPRESSIONS, st.sampled_from(ZONES), st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)))
@settings(derandomize=True, deadline=None, max_examples=150)
def test_going_on_from_one_leaves_none_out(expression: str, zone: str, moment: datetime) -> None:
    if check_calendar(expression) is not None:
        return
    schedule = Schedule(calendar=expression, timezone=zone)
    found = next_after(schedule, moment.replace(tzinfo=UTC))
    if found is not None:
        assert found > moment.replace(tzinfo=UTC)
        assert next_after(schedule, found - timedelta(microseconds=1)) == found
        assert next_after(schedule, moment.replace(tzinfo=UTC) + (found - moment.replace(tzinfo=UTC)) / 2) == found


def test_few_days_are_looked_at_however_late_in_the_day_it_is() -> None:
    schedule = Schedule(calendar="*:*:*", timezone="Asia/Jakarta")
    moment = utc("2026-11-25T16:59:58")  # two seconds before midnight there
    found = list(islice(iter(lambda: next_after(schedule, moment), None), 3))
    assert found == [utc("2026-11-25T16:59:59")] * 3
