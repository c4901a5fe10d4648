"""Retries: whether what failed is tried again, and when; and when a task is not let near the machine any more."""

import uuid
from datetime import timedelta

from jamaint.core.executions import Execution, State
from jamaint.core.tasks import Task

NAMESPACE = uuid.UUID("5b0b8a3e-6a0e-4d53-9d0e-8a1c4c1d8f10")
INTERRUPTIONS = 3
"""A task that was cut short by the daemon's death so many times in a row, is the likely cause of it."""


def failure_of(execution: Execution) -> str | None:
    """How it failed: failed, timeout or interrupted; None where it did not, or was stopped by somebody."""
    if execution.error is None:
        return None
    kind = str(execution.error.get("kind"))
    if kind == "interrupted":  # also when it reached a safe point before the daemon went down
        return kind
    if execution.status not in (State.FAILED, State.ROLLED_BACK):
        return None
    return "timeout" if kind == "timeout" else "failed"


def was_crash(execution: Execution) -> bool:
    """Whether the daemon died while it ran; one that was stopped in good order was not."""
    return failure_of(execution) == "interrupted" and execution.status in (State.FAILED, State.ROLLED_BACK)


def retry_id(execution: Execution) -> str:
    """The id that the retry of this execution always has: it is made once, whoever asks how often."""
    return str(uuid.uuid5(NAMESPACE, execution.id))


def retry_of(execution: Execution, task: Task, grace: timedelta) -> Execution | None:
    """The next attempt, as it waits for its time; None if there is to be none.

    Only what came by its schedule is tried again. In a window it may start until the window's cutoff, as the first
    attempt; else until `grace` after its time.
    """
    rule, failure, ended = task.retry, failure_of(execution), execution.completed_at
    tried = execution.trigger in ("schedule", "retry") and execution.attempt < rule.attempts
    if failure not in rule.on or not tried or ended is None:
        return None
    due = ended + timedelta(seconds=rule.delay_seconds * rule.factor ** (execution.attempt - 1))
    return Execution(
        id=retry_id(execution),
        task_id=task.id,
        task_name=task.name,
        status=State.SCHEDULED,
        trigger="retry",
        scheduled_for=due,
        window_id=execution.window_id,
        window_name=execution.window_name,
        deadline=execution.deadline if execution.window_name is not None else due + grace,
        attempt=execution.attempt + 1,
        retry_of=execution.id,
    )
