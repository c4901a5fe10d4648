"""Pace: work waits at its safe points while it is paused, throttled or limited, and no longer; time is ours."""

from collections.abc import Callable

import pytest

from jamaint.core.rate_limits import Limits
from jamaint.worker.pace import LOOK_SECONDS, Pace


class Time:
    """A clock that only waiting moves; `then` happens in the Nth wait."""

    def __init__(self) -> None:
        self.now = 100.0
        self.waits: list[float] = []
        self.then: dict[int, Callable[[], None]] = {}

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds
        self.then.get(len(self.waits), lambda: None)()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def pace(time: Time) -> Pace:
    return Pace(time, time.wait)


def keep(pace: Pace, stopping: Callable[[], bool] = lambda: False) -> list[int]:
    held: list[int] = []
    rested: list[bool] = []
    pace.keep(stopping, lambda: rested.append(True), held.append)
    assert len(rested) <= 1
    assert rested or not held
    return held


def test_what_nobody_holds_back_does_not_wait(pace: Pace, time: Time) -> None:
    assert keep(pace) == []
    assert time.waits == []


def test_a_pause_holds_until_it_is_resumed_and_is_told_once(pace: Pace, time: Time) -> None:
    pace.pause(1)
    time.then[50] = pace.resume
    assert keep(pace) == [1]
    assert time.waits == [LOOK_SECONDS] * 50
    assert keep(pace) == []


def test_a_pause_that_follows_at_once_is_told_too(pace: Pace, time: Time) -> None:
    pace.pause(1)

    def again() -> None:
        pace.resume()
        pace.pause(2)

    time.then[3], time.then[6] = again, pace.resume
    assert keep(pace) == [1, 2]


def test_what_is_to_stop_does_not_wait_in_a_pause(pace: Pace, time: Time) -> None:
    pace.pause(1)
    stopping: list[bool] = []
    time.then[2] = lambda: stopping.append(True)
    assert keep(pace, lambda: bool(stopping)) == [1]
    assert len(time.waits) == 2


def test_a_pause_is_no_work_that_has_to_be_rested_for(pace: Pace, time: Time) -> None:
    pace.throttle(2.0)
    keep(pace)
    pace.pause(1)
    time.then[10] = pace.resume
    keep(pace)
    waited = sum(time.waits)
    assert waited == pytest.approx(10 * LOOK_SECONDS)
    time.now += 1.0
    keep(pace)
    assert sum(time.waits) - waited == pytest.approx(2.0)


def test_a_throttle_that_comes_late_rests_for_what_was_done_since_the_last_safe_point_only(
    pace: Pace, time: Time
) -> None:
    time.now += 1000.0
    keep(pace)
    time.now += 1.0
    pace.throttle(3.0)
    keep(pace)
    assert sum(time.waits) == pytest.approx(3.0)


def test_a_throttle_that_is_lifted_ends_the_rest_at_once(pace: Pace, time: Time) -> None:
    pace.throttle(100.0)
    time.now += 10.0
    time.then[2] = lambda: pace.throttle(0.0)
    keep(pace)
    assert len(time.waits) == 2


def test_limits_hold_for_the_operation_they_were_set_for(pace: Pace, time: Time) -> None:
    pace.limit(Limits(operations_per_second=10))
    pace.note("items", 20)
    keep(pace)
    assert sum(time.waits) == pytest.approx(2.0)
    pace.limit(Limits())
    pace.note("items", 10**6)
    keep(pace)
    assert sum(time.waits) == pytest.approx(2.0)
