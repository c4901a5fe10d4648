"""How far an execution is, and when it will end, without guesses."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.examples import HOUR, MINUTE, NOON
from jamaint.core.estimates import ends_at, fraction_of, keeping_to
from jamaint.core.pacing import Limits


@pytest.mark.parametrize(
    ("weights", "step", "done", "total", "fraction"),
    [
        ([100], 0, 0, 10, 0.0),
        ([100], 0, 5, 10, 0.5),
        ([100], 0, 10, 10, 1.0),
        ([100], 0, 11, 10, 1.0),  # a log that grew while it was packed
        ([100, 300], 0, 1, 2, 0.125),
        ([100, 300], 1, 0, 2, 0.25),
        ([100, 300], 1, 1, 2, 0.625),
        ([100, 0, 100], 1, 1, 2, 0.5),
        ([100], 0, 5, None, None),
        ([100], 0, 5, 0, None),
        ([0, 0], 0, 5, 10, None),
        ([], 0, 5, 10, None),
    ],
)
def test_how_far_an_execution_is(
    weights: Sequence[int], step: int, done: int, total: int | None, fraction: float | None
) -> None:
    assert fraction_of(weights, step, done, total) == fraction


@given(st.lists(st.integers(0, 10**15), min_size=1, max_size=6), st.data())
@settings(derandomize=True, deadline=None)
def test_it_never_goes_back_and_never_past_its_end(weights: list[int], data: st.DataObject) -> None:
    total = data.draw(st.integers(1, 10**9))
    done = sorted(data.draw(st.lists(st.integers(0, total), min_size=1, max_size=4)))
    found = [fraction_of(weights, step, some, total) for step in range(len(weights)) for some in done]
    if any(weights):
        told = [fraction for fraction in found if fraction is not None]
        assert told == sorted(told) == found
        assert all(0 <= fraction <= 1 for fraction in told)
    else:
        assert set(found) == {None}


@pytest.mark.parametrize(
    ("fraction", "left"),
    [(None, None), (0.0, None), (0.0099, None), (0.01, 99 * HOUR), (0.25, 3 * HOUR), (0.5, HOUR), (1.0, 0 * HOUR)],
)
def test_when_it_will_end_is_told_from_one_percent_on(fraction: float | None, left: object) -> None:
    found = ends_at(NOON - HOUR, fraction, NOON)
    assert (found and found - NOON) == left


def test_a_clock_that_was_set_back_does_not_move_the_end_into_the_past() -> None:
    assert ends_at(NOON + MINUTE, 0.5, NOON) == NOON


@pytest.mark.parametrize(
    ("limits", "unit", "seconds"),
    [
        (Limits(), "items", None),
        (Limits(operations_per_second=20), "bytes", None),
        (Limits(operations_per_second=20), "items", 100),
        (Limits(20, 1), "bytes", 2000),
        (Limits(bytes_per_second=20), "items", None),
    ],
)
def test_what_is_held_to_a_rate_ends_no_sooner_than_the_rate_allows(
    limits: Limits, unit: str, seconds: int | None
) -> None:
    found = keeping_to(limits, unit, 500, 2500, NOON)
    assert (found and (found - NOON).total_seconds()) == seconds
    assert keeping_to(limits, unit, 0, None, NOON) is None
    assert keeping_to(Limits(operations_per_second=20), "items", 30, 20, NOON) == NOON  # it grew meanwhile
