"""What held an execution is remembered with how long it did, and the decisive one is told first."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core_examples import HOUR, MINUTE, NOON, SECOND
from jamaint.core.guards.guard import Verdict
from jamaint.core.scheduling.hold_history import Hold, Holds, restored

FULL = Verdict("window_concurrency", "wait", "1 of 1 run in window narrow")
SHUT = Verdict("window", "wait", "window narrow is closed")
LATE = Verdict("misfire", "refuse", "it could start until 12:50, and had not")
LONG = Verdict("fit", "wait", "it takes 40 min, and window narrow closes in 30 min")


def guards(reasons: tuple[dict[str, object], ...]) -> list[tuple[object, object]]:
    return [(one["guard"], one.get("held_seconds")) for one in reasons]


def test_the_guard_that_held_until_the_window_closed_is_the_first_reason() -> None:
    holds = Holds()
    holds.note([FULL], NOON)
    holds.note([FULL, LONG], NOON + 40 * MINUTE)
    assert guards(holds.of_skipped([LATE, SHUT], NOON + 50 * MINUTE)) == [
        ("window_concurrency", 3000.0), ("fit", 600.0), ("misfire", None), ("window", None)
    ]  # fmt: skip


def test_a_refusal_decides_whatever_held_before() -> None:
    holds = Holds()
    holds.note([FULL], NOON)
    refusal = Verdict("cancelled", "refuse", "cancelled by ana")
    assert guards(holds.of_skipped([refusal], NOON + HOUR)) == [("cancelled", None), ("window_concurrency", 3600.0)]


def test_what_never_held_is_too_late_and_nothing_else() -> None:
    assert Holds().of_skipped([LATE], NOON) == (LATE.to_json(),)


def test_what_held_again_is_summed_up_and_a_blink_is_left_out() -> None:
    holds = Holds()
    for start in (NOON, NOON + HOUR):
        holds.note([FULL], start)
        holds.note([], start + 10 * MINUTE)
    holds.note([LONG], NOON + 2 * HOUR)
    holds.note([], NOON + 2 * HOUR + SECOND / 10)
    assert guards(holds.of_started(NOON + 3 * HOUR)) == [("window_concurrency", 1200.0)]


def test_a_clock_that_is_set_back_takes_nothing_away() -> None:
    holds = Holds(by_guard={"fit": Hold("", 60.0, NOON)})
    assert guards(holds.of_started(NOON - HOUR)) == [("fit", 60.0)]


def test_a_restart_takes_nothing_away() -> None:
    holds = Holds()
    holds.note([FULL], NOON)
    stands_for = {"guard": "misfire", "verdict": "wait", "detail": "3 earlier ones were missed"}
    again = restored((*holds.of_started(NOON + MINUTE), stands_for))
    again.note([FULL], NOON + HOUR)
    told = again.of_skipped([Verdict("misfire", "refuse", "late")], NOON + HOUR + MINUTE)
    assert guards(told) == [("window_concurrency", 120.0), ("misfire", None), ("misfire", None)]
    assert told[-1] == stands_for


@given(st.lists(st.tuples(st.sets(st.sampled_from([FULL, SHUT, LONG])), st.integers(1, 10_000)), max_size=12))
@settings(derandomize=True, deadline=None)
def test_each_guard_has_held_for_the_sum_of_the_stretches_in_which_it_did(
    stretches: list[tuple[set[Verdict], int]],
) -> None:
    holds, now = Holds(), NOON
    for against, seconds in stretches:
        holds.note(against, now)
        now += seconds * SECOND
    found = {one["guard"]: one["held_seconds"] for one in holds.of_started(now)}
    wanted = {one.guard: sum(seconds for against, seconds in stretches if one in against) for one in (FULL, SHUT, LONG)}
    assert found == {guard: pytest.approx(seconds) for guard, seconds in wanted.items() if seconds}
