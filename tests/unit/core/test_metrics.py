"""Metrics: samples gathered, and how much of a window's open time something ran."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from core_examples import window
from jamaint.core.calendar.windows import Opening
from jamaint.core.metrics import Sampled, efficiency, gathered, midnight, openings_between, period_of

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def at(minute: int) -> datetime:
    return NOON + timedelta(minutes=minute)


def test_samples_are_told_with_their_number_and_bounds() -> None:
    samples = {("system", "load1", ""): [1.0, 3.0, 2.0], ("system", "gone", ""): []}
    assert gathered(samples) == [Sampled("system", "load1", "", 3, 1.0, 2.0, 3.0)]


def test_periods_begin_at_whole_five_minutes_and_days_in_utc() -> None:
    moment = datetime.fromisoformat("2026-11-24T07:04:59+07:00")
    assert period_of(moment) == datetime(2026, 11, 24, 0, 0, tzinfo=UTC)
    assert midnight(moment) == datetime(2026, 11, 24, tzinfo=UTC)
    assert midnight(datetime.fromisoformat("2026-11-24T06:59:00+07:00")) == datetime(2026, 11, 23, tzinfo=UTC)


def test_openings_are_those_that_overlap_the_period() -> None:
    nightly = window()
    found = openings_between(nightly, NOON - timedelta(days=30), NOON, 30)
    assert found is not None
    assert len(found) == 30
    assert openings_between(nightly, NOON - timedelta(days=30), NOON, 29) is None
    assert openings_between(window(enabled=False), NOON - timedelta(days=30), NOON, 30) == []


@given(
    st.lists(st.tuples(st.integers(-50, 150), st.integers(1, 60)), max_size=6),
    st.lists(st.tuples(st.integers(-50, 150), st.integers(0, 60)), max_size=8),
)
@settings(max_examples=50, deadline=None)
def test_efficiency_is_the_share_of_open_minutes_in_which_anything_ran(
    opened: list[tuple[int, int]], ran: list[tuple[int, int]]
) -> None:
    night = window()
    openings = [Opening(night, at(start), at(start + length)) for start, length in opened]
    openings = [one for one in openings if one.start < at(100) and one.end > at(0)]
    found = efficiency(openings, [(at(start), at(start + length)) for start, length in ran], at(0), at(100))
    inside = range(100)
    is_open = {minute for minute in inside for one in openings if one.start <= at(minute) < one.end}
    runs = {minute for minute in is_open for start, length in ran if start <= minute < start + length}
    assert (found.open_seconds, found.busy_seconds) == (60 * len(is_open), 60 * len(runs))
    assert found.share == (len(runs) / len(is_open) if is_open else None)
