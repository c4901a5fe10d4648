"""When a window is open: from its start on, up to its end, for as many real minutes as it says."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jamaint.core.calendar.windows
from core_examples import NOON, SECOND, utc, window
from jamaint.core.calendar.periods import Periods, end_of
from jamaint.core.calendar.windows import (
    Opening,
    Window,
    all_joined,
    joined,
    longest_minutes,
    next_opening,
    next_scheduled,
    opening_at,
)
from jamaint.core.recurrence import Schedule, next_after

MICROSECOND = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("moment", "start"),
    [
        ("2026-11-24T01:59:59.999999", None),
        ("2026-11-24T02:00:00", "2026-11-24T02:00:00"),
        ("2026-11-24T02:00:00.000001", "2026-11-24T02:00:00"),
        ("2026-11-24T05:59:59.999999", "2026-11-24T02:00:00"),
        ("2026-11-24T06:00:00", None),
        ("2026-11-24T12:00:00", None),
    ],
)
def test_a_window_is_open_from_its_start_up_to_but_not_at_its_end(moment: str, start: str | None) -> None:
    opening = opening_at(window(), utc(moment))
    assert (opening and opening.start) == (start and utc(start))


@pytest.mark.parametrize("moment", ["2026-11-23T23:00:00", "2026-11-24T00:00:00", "2026-11-24T01:59:59"])
def test_a_window_across_midnight_is_the_one_of_the_day_before(moment: str) -> None:
    mondays = window(schedule=Schedule(cron="0 23 * * MON"), duration_minutes=180)
    opening = opening_at(mondays, utc(moment))
    assert opening == Opening(mondays, utc("2026-11-23T23:00"), utc("2026-11-24T02:00"))
    assert opening_at(mondays, utc("2026-11-24T23:30")) is None


@pytest.mark.parametrize(
    ("cron", "day", "minutes", "shown"),
    [
        ("30 0 * * *", "2026-03-08", 240, "00:30 -0500 to 05:30 -0400"),
        ("30 2 * * *", "2026-03-08", 60, "03:00 -0400 to 04:00 -0400"),
        ("30 0 * * *", "2026-11-01", 240, "00:30 -0400 to 03:30 -0500"),
        ("30 1 * * *", "2026-11-01", 60, "01:30 -0400 to 01:30 -0500"),
    ],
)
def test_a_change_of_the_clocks_makes_a_window_no_longer_and_no_shorter(
    cron: str, day: str, minutes: int, shown: str
) -> None:
    zone = ZoneInfo("America/New_York")
    night = window(schedule=Schedule(cron=cron, timezone=zone.key), duration_minutes=minutes, timezone=zone.key)
    opening = next_opening(night, datetime.fromisoformat(day).replace(tzinfo=zone).astimezone(UTC))
    assert opening is not None
    assert opening.end - opening.start == timedelta(minutes=minutes)
    assert " to ".join(f"{end.astimezone(zone):%H:%M %z}" for end in (opening.start, opening.end)) == shown


def test_with_a_cutoff_nothing_starts_in_the_last_minutes() -> None:
    opening = opening_at(window(cutoff_minutes=45), utc("2026-11-24T03:00"))
    assert opening is not None
    assert opening.starts_until == utc("2026-11-24T05:15")
    assert opening.end == utc("2026-11-24T06:00")


def test_a_disabled_window_never_opens() -> None:
    assert opening_at(window(enabled=False), utc("2026-11-24T03:00")) is None
    assert next_opening(window(enabled=False), utc("2026-11-24T03:00")) is None


def test_a_window_that_opens_once_does_not_open_again() -> None:
    once = window(schedule=Schedule(at=utc("2026-11-24T02:00")))
    assert next_opening(once, utc("2026-11-24T01:00")) == opening_at(once, utc("2026-11-24T02:00"))
    assert opening_at(once, utc("2026-11-24T06:00")) is None
    assert next_opening(once, utc("2026-11-24T02:00")) is None


def test_of_openings_that_overlap_the_latest_begun_counts() -> None:
    hourly = window(schedule=Schedule(cron="0 * * * *"), duration_minutes=150)
    opening = opening_at(hourly, utc("2026-11-24T03:10"))
    assert opening == Opening(hourly, utc("2026-11-24T03:00"), utc("2026-11-24T05:30"))


def test_the_next_opening_starts_later_than_now_also_while_the_window_is_open() -> None:
    following = next_opening(window(), utc("2026-11-24T02:00"))
    assert following is not None
    assert following.start == utc("2026-11-25T02:00")


@st.composite
def windows(draw: st.DrawFn) -> Window:
    zone = draw(st.sampled_from(["UTC", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo"]))
    cron = draw(st.sampled_from(["0 2 * * *", "30 2 * * SUN", "0 */6 * * *", "*/40 * * * *", "0 0 L * *"]))
    minutes = draw(st.integers(1, 3000))
    return window(schedule=Schedule(cron=cron, timezone=zone), timezone=zone, duration_minutes=minutes)


moments = st.datetimes(datetime(2018, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC))


@given(windows(), moments)
@settings(derandomize=True, deadline=None, max_examples=200)
def test_an_opening_is_found_by_its_start_and_gone_at_its_end(night: Window, moment: datetime) -> None:
    opening = next_opening(night, moment)
    assert opening is not None
    assert opening.start > moment
    assert opening_at(night, opening.start) == opening
    for inside in (opening.start + MICROSECOND, opening.start + (opening.end - opening.start) / 2):
        found = opening_at(night, inside)
        assert found is not None
        assert opening.start <= found.start <= inside < found.end
    at_end = opening_at(night, opening.end)
    assert at_end is None or opening.start < at_end.start <= opening.end


@given(windows(), moments)
@settings(derandomize=True, deadline=None, max_examples=200)
def test_a_window_is_open_if_and_only_if_it_started_less_than_its_length_ago(night: Window, moment: datetime) -> None:
    length = timedelta(minutes=night.duration_minutes)
    starts, start = [], next_after(night.schedule, moment - length - SECOND)
    while start is not None and start <= moment:
        starts.append(start)
        start = next_after(night.schedule, start)
    newest = max((start for start in starts if start + length > moment), default=None)
    opening = opening_at(night, moment)
    assert (opening and opening.start) == newest


NOON_TO_ONE = Periods(schedule=Schedule(cron="0 3 * * *"), duration_minutes=60)


@pytest.mark.parametrize(
    ("moment", "piece"),
    [
        ("2026-11-24T02:30", ("02:00", "03:00")),
        ("2026-11-24T03:00", None),
        ("2026-11-24T03:59:59", None),
        ("2026-11-24T04:00", ("04:00", "06:00")),
    ],
)
def test_an_exclusion_cuts_its_time_out_of_an_opening(moment: str, piece: tuple[str, str] | None) -> None:
    opening = opening_at(window(exclusions=(NOON_TO_ONE,)), utc(moment))
    wanted = piece and tuple(utc(f"2026-11-24T{time}") for time in piece)
    assert (opening and (opening.start, opening.end)) == wanted


def test_the_next_opening_is_the_next_piece_that_is_left() -> None:
    night = window(exclusions=(NOON_TO_ONE,))
    starts, opening = [], next_opening(night, utc("2026-11-24T01:00"))
    for _ in range(3):
        assert opening is not None
        starts.append(opening.start)
        opening = next_opening(night, opening.start)
    assert starts == [utc("2026-11-24T02:00"), utc("2026-11-24T04:00"), utc("2026-11-25T02:00")]


def test_a_skipped_opening_does_not_happen_and_the_one_after_it_does() -> None:
    night = window(skipped={utc("2026-11-25T02:00"): "ana"})
    following = next_opening(night, NOON)
    assert following is not None
    assert following.start == utc("2026-11-26T02:00")
    assert opening_at(night, utc("2026-11-25T03:00")) is None
    scheduled = next_scheduled(night, NOON)
    assert scheduled is not None
    assert scheduled.start == utc("2026-11-25T02:00")


def test_a_window_that_is_excluded_for_good_has_no_next_opening() -> None:
    always = Periods(spans=((utc("2020-01-01T00:00"), utc("9000-01-01T00:00")),))
    assert next_opening(window(exclusions=(always,)), NOON) is None
    assert longest_minutes(window(exclusions=(always,)), (), NOON) is None


def test_next_opening_after_an_exclusion_is_the_one_that_is_open_then() -> None:
    """Openings that overlap begin anew together where an exclusion ends."""
    shut, begins = NOON + timedelta(hours=1), NOON + timedelta(hours=1, minutes=10)
    crowded = window(
        schedule=Schedule(cron="30 */6 * * *"), duration_minutes=480, exclusions=(Periods(((shut, begins),), None, 0),)
    )
    told = next_opening(crowded, NOON + timedelta(minutes=45))
    assert told == opening_at(crowded, begins)
    assert told is not None
    assert told.start == begins


def test_the_longest_opening_is_what_the_exclusions_leave() -> None:
    night = window(exclusions=(NOON_TO_ONE,))
    assert longest_minutes(night, [night], NOON) == 120


@given(windows(), moments, st.integers(1, 239))
@settings(derandomize=True, deadline=None, max_examples=100)
def test_pieces_are_open_and_never_in_an_exclusion(night: Window, moment: datetime, minutes: int) -> None:
    exclusion = Periods(schedule=Schedule(cron="15 */5 * * *"), duration_minutes=minutes)
    cut = replace(night, exclusions=(exclusion,))
    opening = next_opening(cut, moment)
    if opening is None:  # then the next times that it should open are all within exclusions
        scheduled = next_scheduled(night, moment)
        assert scheduled is not None
        assert opening_at(cut, scheduled.start) is None
        return
    assert opening.start > moment
    assert end_of([exclusion], opening.start) is None
    assert end_of([exclusion], opening.end - MICROSECOND) is None
    assert opening_at(cut, opening.start) is not None
    assert opening_at(night, opening.start) is not None


LIMIT = timedelta(days=3)


@given(st.lists(windows(), min_size=1, max_size=4), moments, st.sets(st.integers(0, 3)))
@settings(derandomize=True, deadline=None, max_examples=40)
def test_openings_are_joined_as_by_looking_at_each_end_who_is_open_then(
    some: list[Window], moment: datetime, apart: set[int]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jamaint.core.calendar.windows, "JOINED_LIMIT", LIMIT)  # a month of short windows takes its time
        compare(some, moment, apart)


def compare(some: list[Window], moment: datetime, apart: set[int]) -> None:
    every = [
        replace(one, name=f"w{number}", allowed_tasks=("backup",) if number in apart else ())
        for number, one in enumerate(some)
    ]
    now_open = [opening for one in every if (opening := opening_at(one, moment)) is not None]
    for opening, together in zip(now_open, all_joined(now_open, every), strict=True):
        end = opening.end
        while end - opening.start < LIMIT:
            later = [
                found.end
                for one in every
                if one.allowed_tasks == opening.window.allowed_tasks and (found := opening_at(one, end)) is not None
            ]
            if not later:
                break
            end = max(later)
        whole = joined(opening, every).runs_until
        if end - opening.start < LIMIT:
            assert whole == end == together.runs_until
        else:
            assert min(whole, together.runs_until) - opening.start >= LIMIT - max(
                timedelta(minutes=one.duration_minutes) for one in every
            )
