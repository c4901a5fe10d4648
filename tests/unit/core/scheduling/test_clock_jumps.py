"""A wall clock that leaps forward holds what would be lost for good; one that is set back lets it go."""

from datetime import timedelta

import pytest

from core_examples import HOUR, MINUTE, NOON
from jamaint.core.scheduling.clock_jumps import HOLD, LEAP, held_until

YEAR = timedelta(days=365)


@pytest.mark.parametrize("elapsed", [timedelta(0), MINUTE, YEAR])
def test_time_that_passes_holds_nothing(elapsed: timedelta) -> None:
    assert held_until(None, NOON, elapsed, NOON + elapsed) is None


def test_a_leap_forward_holds_for_a_while() -> None:
    after = NOON + YEAR
    held = held_until(None, NOON, MINUTE, after)
    assert held == after + HOLD
    assert held_until(held, after, HOLD / 2, after + HOLD / 2) == held
    assert held_until(held, after, HOLD, after + HOLD) is None


def test_what_is_no_more_than_a_correction_changes_nothing() -> None:
    assert held_until(None, NOON, MINUTE, NOON + MINUTE + LEAP) is None


def test_set_right_again_the_hold_ends() -> None:
    assert held_until(NOON + YEAR + HOLD, NOON + YEAR, MINUTE, NOON + 2 * MINUTE) is None


def test_a_second_leap_holds_anew() -> None:
    assert held_until(NOON + HOLD, NOON, MINUTE, NOON + YEAR) == NOON + YEAR + HOLD


def test_a_small_step_back_keeps_the_hold() -> None:
    assert held_until(NOON + HOUR, NOON, MINUTE, NOON) == NOON + HOUR
