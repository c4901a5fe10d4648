"""The states of an execution: every move that is in the table works, and no other."""

from datetime import timedelta
from itertools import product

import pytest

from core_examples import NOON, execution
from jamaint.core.executions import ENDED, TRANSITIONS, State, advance
from jamaint.errors import CONFLICT, JamaintError

MOVES = {(before, after) for before, some in TRANSITIONS.items() for after in some}


def test_the_moves_are_these() -> None:
    assert {f"{before} -> {after}" for before, after in MOVES} == {
        "scheduled -> running",
        "scheduled -> cancelled",
        "running -> completed",
        "running -> failed",
        "running -> cancelled",
        "running -> rolled_back",
        "completed -> rolled_back",
        "failed -> rolled_back",
        "cancelled -> rolled_back",
    }


@pytest.mark.parametrize(("before", "after"), sorted(MOVES))
def test_a_move_in_the_table_works_and_carries_what_changes_with_it(before: State, after: State) -> None:
    first = execution(status=before)
    moved = advance(first, after, started_at=NOON, error={"message": "no space left", "kind": "failed"})
    assert moved == execution(status=after, started_at=NOON, error={"message": "no space left", "kind": "failed"})
    assert first == execution(status=before)


@pytest.mark.parametrize(("before", "after"), sorted(set(product(State, State)) - MOVES))
def test_any_other_move_is_refused(before: State, after: State) -> None:
    with pytest.raises(JamaintError, match=rf"^execution e1 is {before} and cannot become {after}$") as refused:
        advance(execution(status=before), after)
    assert refused.value.code == CONFLICT
    assert refused.value.data == {"status": str(before)}


@pytest.mark.parametrize("state", State)
def test_from_every_state_an_end_is_reached_and_from_an_end_only_the_way_back_is_left(state: State) -> None:
    reached, new = {state}, {state}
    while new:
        new = {after for before in new for after in TRANSITIONS[before]} - reached
        reached |= new
    assert reached & ENDED
    if state in ENDED:
        assert reached <= {state, State.ROLLED_BACK}


@pytest.mark.parametrize(
    ("started", "completed", "duration"),
    [
        (NOON, NOON + timedelta(milliseconds=1234.5678), 1235),
        (NOON, NOON, 0),
        (NOON, None, None),
        (None, NOON, None),
        (NOON, NOON - timedelta(hours=1), 0),
    ],
    ids=["ended", "at once", "running", "skipped", "the clock was set back"],
)
def test_how_long_it_took_in_milliseconds(started: object, completed: object, duration: int | None) -> None:
    assert execution(started_at=started, completed_at=completed).duration_ms == duration


def test_how_long_it_stood_still_is_no_duration() -> None:
    day = NOON + timedelta(days=1)
    assert execution(started_at=NOON, completed_at=day, paused_ms=23 * 3_600_000).duration_ms == 3_600_000
