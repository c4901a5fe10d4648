"""Stretches of time: once, again and again, from a calendar; and what a freeze makes of them."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core_examples import HOUR, NOON, utc
from jamaint.core.calendar.freezes import Freeze, state_at
from jamaint.core.calendar.periods import Periods, Span, apart, end_of, start_after
from jamaint.core.recurrence import Schedule

NIGHTS = Periods(schedule=Schedule(cron="0 22 * * *"), duration_minutes=240)
ONCE = Periods(spans=((utc("2026-12-20T00:00"), utc("2027-01-04T00:00")),))


@pytest.mark.parametrize(
    ("periods", "moment", "end", "start"),
    [
        ([NIGHTS], "2026-11-24T21:59:59", None, "2026-11-24T22:00"),
        ([NIGHTS], "2026-11-24T22:00:00", "2026-11-25T02:00", "2026-11-25T22:00"),
        ([NIGHTS], "2026-11-25T01:59:59", "2026-11-25T02:00", "2026-11-25T22:00"),
        ([NIGHTS], "2026-11-25T02:00:00", None, "2026-11-25T22:00"),
        ([ONCE], "2026-12-19T23:59:59", None, "2026-12-20T00:00"),
        ([ONCE], "2026-12-20T00:00:00", "2027-01-04T00:00", None),
        ([ONCE], "2027-01-04T00:00:00", None, None),
        ([NIGHTS, ONCE], "2026-12-19T22:30:00", "2027-01-04T02:00", "2026-12-20T00:00"),
        ([], "2026-12-19T22:30:00", None, None),
    ],
)
def test_a_stretch_holds_from_its_start_up_to_its_end(
    periods: list[Periods], moment: str, end: str | None, start: str | None
) -> None:
    assert end_of(periods, utc(moment)) == (end and utc(end))
    assert start_after(periods, utc(moment)) == (start and utc(start))


def test_the_end_of_what_never_pauses_is_looked_for_so_far_and_no_farther() -> None:
    always = Periods(schedule=Schedule(cron="0 0 * * *"), duration_minutes=24 * 60)
    end = end_of([always], NOON)
    assert end is not None
    assert end > NOON + timedelta(days=365)
    assert end_of([always], NOON, NOON + HOUR) == NOON.replace(hour=0) + timedelta(days=1)


moments = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))
spans = st.lists(st.tuples(moments, st.integers(0, 100)).map(lambda one: (one[0], one[0] + one[1] * HOUR)), max_size=8)


@given(spans, moments)
@settings(derandomize=True, deadline=None)
def test_apart_holds_what_its_parts_held(given_: list[Span], moment: datetime) -> None:
    found = apart(given_)
    assert all(one[1] < other[0] for one, other in itertools.pairwise(found))
    inside = any(start <= moment < end for start, end in given_)
    assert (end_of([Periods(found)], moment) is not None) is inside
    after = start_after([Periods(found)], moment)
    assert after is None or (after > moment and after in {start for start, _ in given_})


@given(spans, moments, st.booleans())
@settings(derandomize=True, deadline=None)
def test_a_freeze_does_not_change_before_it_says(given_: list[Span], moment: datetime, closed: bool) -> None:
    freeze = Freeze("f", (Periods(apart(given_)),), closed_by_default=closed)
    state = state_at(freeze, moment)
    assert state.holds is (any(start <= moment < end for start, end in given_) is not closed)
    if state.changes_at is None:
        assert state_at(freeze, moment + timedelta(days=4000)).holds is state.holds
    else:
        assert state_at(freeze, state.changes_at).holds is not state.holds
        assert state_at(freeze, state.changes_at - timedelta(microseconds=1)).holds is state.holds


def test_a_freeze_that_is_off_never_holds() -> None:
    freeze = Freeze("f", (ONCE,), enabled=False, closed_by_default=True)
    assert not state_at(freeze, NOON).holds
