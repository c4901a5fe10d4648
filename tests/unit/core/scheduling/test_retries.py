"""What is tried again, when, and until when; what counts as the daemon's death."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from core_examples import HOUR, MINUTE, NOON, execution, task
from jamaint.core.executions import Execution, State
from jamaint.core.scheduling.retries import failure_of, retry_id, retry_of, was_crash
from jamaint.core.tasks import Retry, Task

GRACE = timedelta(hours=1)


def failed(kind: str = "exit", status: State = State.FAILED, **changes: Any) -> Execution:
    return execution(status=status, completed_at=NOON, error={"kind": kind, "message": "x"}, **changes)


def tries(attempts: int = 3, on: tuple[str, ...] = ("failed", "timeout", "interrupted"), **changes: Any) -> Task:
    return task(retry=Retry(attempts, 300.0, 3.0, frozenset(on)), **changes)


@pytest.mark.parametrize(
    ("ended", "failure", "crash"),
    [
        (failed(), "failed", False),
        (failed("timeout"), "timeout", False),
        (failed("interrupted"), "interrupted", True),
        (failed("interrupted", State.ROLLED_BACK), "interrupted", True),
        (failed("interrupted", State.CANCELLED), "interrupted", False),
        (failed("lost", State.ROLLED_BACK), "failed", False),
        (failed("cancelled", State.CANCELLED), None, False),
        (failed("window_end", State.CANCELLED), None, False),
        (failed("condition", State.CANCELLED), None, False),
        (execution(status=State.COMPLETED), None, False),
        (execution(status=State.ROLLED_BACK), None, False),
    ],
)
def test_how_it_failed(ended: Execution, failure: str | None, crash: bool) -> None:
    assert (failure_of(ended), was_crash(ended)) == (failure, crash)
    assert (retry_of(ended, tries(), GRACE) is not None) == (failure is not None)


def test_the_next_attempt_is_linked_and_waits_longer_each_time() -> None:
    first = retry_of(failed(), tries(), GRACE)
    assert first is not None
    assert (first.trigger, first.attempt, first.retry_of, first.status) == ("retry", 2, "e1", State.SCHEDULED)
    assert (first.scheduled_for, first.deadline) == (NOON + 5 * MINUTE, NOON + 5 * MINUTE + GRACE)
    assert first.id == retry_id(failed())
    ended = replace(first, status=State.FAILED, completed_at=NOON + HOUR, error={"kind": "exit", "message": "x"})
    second = retry_of(ended, tries(), GRACE)
    assert second is not None
    assert (second.attempt, second.retry_of, second.scheduled_for) == (3, first.id, NOON + HOUR + 15 * MINUTE)
    third = replace(second, status=State.FAILED, completed_at=NOON + 2 * HOUR, error=ended.error)
    assert retry_of(third, tries(), GRACE) is None


def test_in_a_window_it_has_the_first_one_s_time() -> None:
    again = retry_of(failed(window_name="night", window_id="w", deadline=NOON + MINUTE), tries(), GRACE)
    assert again is not None
    assert (again.window_name, again.window_id, again.deadline) == ("night", "w", NOON + MINUTE)


@pytest.mark.parametrize(
    ("ended", "its_task"),
    [
        (failed(), task()),
        (failed(trigger="request"), tries()),
        (failed(), tries(on=("timeout", "interrupted"))),
        (failed("timeout"), tries(on=("failed",))),
        (failed(attempt=3), tries(3)),
    ],
    ids=["says nothing", "triggered by hand", "not after that", "not after a timeout", "all attempts are used"],
)
def test_what_is_not_tried_again(ended: Execution, its_task: Task) -> None:
    assert retry_of(ended, its_task, GRACE) is None
