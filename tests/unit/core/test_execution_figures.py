"""Figures of executions: rates, durations, changes and spans, each beside a second way to reckon it."""

import statistics
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jamaint.core.figures import (
    Counts,
    Trend,
    change,
    durations,
    quantile,
    rate_trend,
    success_rate,
    total,
    union,
    wilson,
)

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
SPANS = st.lists(st.tuples(st.integers(-50, 150), st.integers(0, 60)), max_size=12)


def test_success_rate_counts_what_ran_to_its_end() -> None:
    assert success_rate(Counts(completed=3, failed=1, rolled_back=0, cancelled=5, skipped=9)) == 0.75
    assert success_rate(Counts(cancelled=2, skipped=1)) is None
    assert total([Counts(1, 2, 3, 4, 5), Counts(1, 1, 1, 1, 1)]) == Counts(2, 3, 4, 5, 6)


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=40))
@settings(max_examples=50, deadline=None)
def test_durations_are_those_of_the_statistics_module(found: list[float]) -> None:
    told = durations(found)
    assert told.n == len(found)
    assert told.mean_seconds == pytest.approx(statistics.fmean(found))
    assert told.median_seconds == pytest.approx(statistics.median(found))
    deciles = statistics.quantiles(found, n=10, method="inclusive")
    assert told.p90_seconds == pytest.approx(deciles[-1])
    assert quantile(sorted(found), 1.0) == max(found)


def test_durations_of_nothing_are_not_zero() -> None:
    assert durations([]) == (0, None, None, None)


@pytest.mark.parametrize(
    ("now", "before", "ratio"),
    [(3.0, 2.0, 0.5), (1.0, 2.0, -0.5), (5.0, 0.0, None), (5.0, None, None), (None, 5.0, None)],
)
def test_change_from_nothing_has_no_ratio(now: float | None, before: float | None, ratio: float | None) -> None:
    assert change(now, before).ratio == ratio


def test_wilson_and_newcombe_are_those_of_the_paper() -> None:
    """Newcombe 1998, table II, comparison a: 56/70 against 48/80, method 10: 0.0524 to 0.3339, so it is no chance."""
    low_now, high_now = wilson(56, 70)
    low_before, high_before = wilson(48, 80)
    difference = 56 / 70 - 48 / 80
    assert difference - ((56 / 70 - low_now) ** 2 + (high_before - 48 / 80) ** 2) ** 0.5 == pytest.approx(
        0.0524, abs=5e-5
    )
    assert difference + ((high_now - 56 / 70) ** 2 + (48 / 80 - low_before) ** 2) ** 0.5 == pytest.approx(
        0.3339, abs=5e-5
    )
    assert rate_trend(Counts(completed=56, failed=14), Counts(completed=48, failed=32)) == "up"


@pytest.mark.parametrize(
    ("now", "before", "trend"),
    [
        (Counts(48, 32), Counts(56, 14), "down"),
        (Counts(19, 1), Counts(20, 0), "within chance"),
        (Counts(4, 1), Counts(100, 0), "too few"),
        (Counts(100, 0), Counts(), "too few"),
    ],
)
def test_a_rate_has_changed_where_it_is_more_than_chance(now: Counts, before: Counts, trend: Trend) -> None:
    assert rate_trend(now, before) == trend


@given(SPANS)
@settings(max_examples=50, deadline=None)
def test_union_is_the_minutes_that_any_span_covers(spans: list[tuple[int, int]]) -> None:
    def at(minute: int) -> datetime:
        return NOON + timedelta(minutes=minute)

    found = union([(at(start), at(start + length)) for start, length in spans], (at(0), at(100)))
    covered = {minute for start, length in spans for minute in range(max(start, 0), min(start + length, 100))}
    assert found == timedelta(minutes=len(covered))
