"""Steering: any reason to pause holds, the timeout stands meanwhile, and the worker gets what is in force."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import trio
import trio.testing

from jamaint.daemon.execution.steering import Steering

BEGAN = datetime(2026, 11, 25, 2, tzinfo=UTC)


class Worker:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    async def steer(self, message: dict[str, Any]) -> None:
        await trio.lowlevel.checkpoint()
        self.told.append(message)


def steering(timeout: float | None = None, now: Callable[[], datetime] = lambda: BEGAN) -> Steering:
    return Steering(timeout, now)


async def test_it_goes_on_when_nobody_pauses_it_any_more() -> None:
    found = steering()
    assert found.pause("window", "window nightly", "it has ended")
    assert not found.pause("operator", "root", "a release")
    assert found.paused is not None
    assert (found.paused.by, found.paused.why) == ("window nightly", "it has ended")
    assert not found.resume("window")
    assert found.paused is not None
    assert found.paused.by == "root"
    assert not found.resume("window")
    assert found.resume("operator")
    assert found.paused is None


async def test_the_worker_gets_what_is_in_force_also_what_was_asked_before_there_was_one(
    autojump_clock: trio.testing.MockClock,
) -> None:
    found, worker = steering(), Worker()
    found.pause("operator", "root", "wait")
    found.throttle(2.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(found.serve, worker)
        await trio.testing.wait_all_tasks_blocked()
        assert worker.told == [{"do": "pause", "number": 1}, {"do": "throttle", "ratio": 2.0}]
        found.resume("operator")
        found.pause("operator", "root", "again")
        await trio.testing.wait_all_tasks_blocked()
        assert worker.told[2:] == [{"do": "pause", "number": 2}]
        found.note_held(1)  # of the pause before
        assert found.paused is not None
        assert not found.paused.reached
        found.note_held(2)
        assert found.paused is not None
        assert found.paused.reached
        await found.reached()
        found.resume("operator")
        found.throttle(0.0)
        await trio.testing.wait_all_tasks_blocked()
        assert worker.told[3:] == [{"do": "resume"}, {"do": "throttle", "ratio": 0.0}]
        nursery.cancel_scope.cancel()


async def test_the_timeout_stands_while_it_is_paused(autojump_clock: trio.testing.MockClock) -> None:
    found = steering(10.0, lambda: BEGAN + timedelta(seconds=trio.current_time()))
    began = trio.current_time()
    found.start_clock()

    async def hold() -> None:
        await trio.sleep(4)
        found.pause("operator", "root", "lunch")
        await trio.sleep(3600)
        found.resume("operator")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(hold)
        with found.timeout:
            await trio.sleep_forever()
    assert found.timeout.cancelled_caught
    assert trio.current_time() - began == 3610
    assert found.paused_seconds == 3600


async def test_one_that_is_paused_before_its_work_begins_has_its_whole_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    found = steering(10.0)
    found.pause("window", "window nightly", "it has ended")
    found.start_clock()
    await trio.sleep(100)
    found.resume("window")
    assert found.timeout.deadline == trio.current_time() + 10


async def test_the_time_of_a_pause_counts_from_its_first_reason_on() -> None:
    now = [BEGAN]
    found = steering(now=lambda: now[0])
    found.pause("window", "window nightly", "it has ended")
    now[0] += timedelta(minutes=20)
    found.pause("operator", "root", "a release")
    found.resume("window")
    now[0] += timedelta(minutes=10)
    assert found.resume("operator")
    assert found.paused_seconds == 30 * 60


async def test_a_pause_that_the_end_cuts_short_counts_too() -> None:
    now = [BEGAN]
    found = steering(now=lambda: now[0])
    found.pause("window", "window nightly", "it has ended")
    now[0] += timedelta(minutes=20)
    found.end()
    assert found.paused_seconds == 1200


async def test_the_end_of_the_next_opening_is_told_before_the_work_goes_on(
    autojump_clock: trio.testing.MockClock,
) -> None:
    found, worker = Steering(None, lambda: BEGAN, BEGAN), Worker()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(found.serve, worker)
        found.pause("window", "window nightly", "it has ended")
        await trio.testing.wait_all_tasks_blocked()
        found.move_end(BEGAN + timedelta(days=1))
        found.resume("window")
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert worker.told == [
        {"do": "pause", "number": 1},
        {"do": "move_end", "ends_at": "2026-11-26T02:00:00+00:00"},
        {"do": "resume"},
    ]
