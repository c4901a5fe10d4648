"""Pacing: rests that keep a ratio to work, and averages that keep limits, reckoned on moments that are given."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jamaint.core.rate_limits import LEAST_SECONDS, Limits, Pacing


def work(pacing: Pacing, now: float, seconds: float) -> float:
    """Works so long and rests as it must; the moment after that."""
    pacing.work_ends(now + seconds)
    now += seconds
    while rest := pacing.rest(now):
        now += rest
    pacing.work_begins(now)
    return now


@given(st.floats(0.1, 20), st.lists(st.floats(0.0, 3.0), min_size=1, max_size=30))
def test_the_rest_is_the_ratio_times_the_work(ratio: float, pieces: list[float]) -> None:
    pacing, now = Pacing(Limits(), 0.0, ratio), 0.0
    for piece in pieces:
        now = work(pacing, now, piece)
    assert now == pytest.approx(sum(pieces) * (1 + ratio), abs=LEAST_SECONDS + 1e-6)


@given(st.integers(1, 1000), st.lists(st.integers(0, 5000), min_size=1, max_size=30))
def test_no_more_is_done_a_second_than_the_limit(rate: int, pieces: list[int]) -> None:
    pacing, now, done = Pacing(Limits(operations_per_second=rate), 0.0), 0.0, 0
    for piece in pieces:
        done += piece
        pacing.note("items", done, now)
        now = work(pacing, now, 0.0)
    assert done / rate == pytest.approx(now, abs=LEAST_SECONDS + 1e-6)


def test_a_slow_time_is_not_made_up_for() -> None:
    pacing = Pacing(Limits(bytes_per_second=100), 0.0)
    pacing.note("bytes", 100, 0.0)
    assert work(pacing, 0.0, 60.0) == 60.0
    pacing.note("bytes", 300, 60.0)
    assert work(pacing, 60.0, 0.0) == 62.0


def test_units_are_limited_apart_and_a_new_step_counts_from_nothing() -> None:
    pacing = Pacing(Limits(operations_per_second=10, bytes_per_second=1000), 0.0)
    pacing.note("items", 10, 0.0)
    pacing.note("bytes", 3000, 0.0)
    assert pacing.rest(0.0) == 3.0
    pacing.note("items", 50, 3.0)
    assert pacing.rest(3.0) == 4.0
    pacing.note("items", 5, 7.0)  # less than before
    assert pacing.rest(7.0) == 0.5


def test_a_lifted_throttle_ends_the_rest() -> None:
    pacing = Pacing(Limits(), 0.0, 10.0)
    pacing.work_ends(2.0)
    assert pacing.rest(2.0) == 20.0
    pacing.ratio = 0.0
    assert pacing.rest(2.5) == 0.0


def test_what_is_not_limited_never_rests() -> None:
    pacing = Pacing(Limits(), 0.0)
    pacing.note("items", 10**9, 0.0)
    pacing.note("bytes", 10**15, 0.0)
    assert pacing.rest(0.0) == 0.0


@pytest.mark.parametrize(
    ("limits", "portion"),
    [(Limits(), 512), (Limits(bytes_per_second=1), 512), (Limits(20.9), 20), (Limits(0.01), 1), (Limits(9000), 512)],
)
def test_what_goes_at_once_is_no_more_than_a_second_allows(limits: Limits, portion: int) -> None:
    assert limits.portion(512) == portion
