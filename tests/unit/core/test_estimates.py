"""How far an execution is, and when it will end, without guesses."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core_examples import HOUR, MINUTE, NOON
from jamaint.core.estimates import Part, ends_at, fraction_of, keeping_to, seconds_left, weights_of
from jamaint.core.rate_limits import Limits


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


@pytest.mark.parametrize(
    ("parts", "weights"),
    [
        ([Part(300, 3), Part(100, 9)], [300, 100]),
        ([Part(0, 3), Part(0, 9)], [3, 9]),
        ([Part(10**9, 5), Part(0, 400)], [5, 400]),
        ([Part(10**9, 0), Part(0, 400), Part(0, 0)], [1, 1, 0]),
        ([Part(10**9, 0, 2.0), Part(0, 400, 6.0)], [2, 6]),
        ([Part(10**9, 0, 2.0), Part(0, 400)], [1, 1]),
        ([Part(0, 0), Part(0, 0, 5.0)], [0, 5]),
    ],
)
def test_steps_weigh_what_they_took_of_late_or_what_all_of_them_have(parts: list[Part], weights: list[float]) -> None:
    assert weights_of(parts) == weights


@pytest.mark.parametrize(
    ("parts", "index", "elapsed", "done", "total", "left"),
    [
        ([Part(1, 1, 60.0)], 0, 20.0, 0, None, 40.0),  # a command: it tells nothing, and took a minute of late
        ([Part(1, 1, 60.0)], 0, 90.0, 0, None, 0.0),
        ([Part(0, 1)], 0, 20.0, 0, None, None),
        ([Part(100, 1)], 0, 20.0, 25, 100, 60.0),
        ([Part(100, 1), Part(9, 9)], 0, 20.0, 25, 100, None),
        ([Part(100, 1), Part(9, 9, 30.0)], 0, 20.0, 25, 100, 90.0),
        ([Part(100, 1), Part(0, 0), Part(9, 9, 30.0)], 2, 10.0, 9, 9, 0.0),
    ],
)
def test_the_time_left_is_that_of_this_step_and_of_those_after_it(
    parts: list[Part], index: int, elapsed: float, done: int, total: int | None, left: float | None
) -> None:
    assert seconds_left(parts, index, elapsed, done, total) == left
