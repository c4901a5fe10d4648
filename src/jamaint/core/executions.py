"""Executions: one run of a task, its states as a table, and the only way to move between them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from jamaint.errors import CONFLICT, JamaintError


class State(StrEnum):
    """One line each says what is true in it."""

    SCHEDULED = "scheduled"  # due or asked for; nothing has been touched
    RUNNING = "running"  # its start is written down; it may have touched something
    COMPLETED = "completed"  # all it set out to do is done and written down
    FAILED = "failed"  # it stopped before its end; what it had done stands
    CANCELLED = "cancelled"  # it never started (skipped, with reasons), or was stopped at a safe point
    ROLLED_BACK = "rolled_back"  # all it had done has been undone


TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.SCHEDULED: frozenset({State.RUNNING, State.CANCELLED}),
    State.RUNNING: frozenset({State.COMPLETED, State.FAILED, State.CANCELLED, State.ROLLED_BACK}),
    State.COMPLETED: frozenset({State.ROLLED_BACK}),
    State.FAILED: frozenset({State.ROLLED_BACK}),
    State.CANCELLED: frozenset({State.ROLLED_BACK}),
    State.ROLLED_BACK: frozenset(),
}

ENDED = frozenset({State.COMPLETED, State.FAILED, State.CANCELLED, State.ROLLED_BACK})


@dataclass(frozen=True, slots=True)
class StepRecord:
    """What an execution's record says of one step; `details` are its figures (files, bytes, freed space)."""

    name: str
    status: str = "planned"  # planned running completed failed cancelled undone
    started_at: datetime | None = None
    duration_ms: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the running step is; `fraction` is of the whole execution, 0..1, None while unknown.

    `waiting` is why it stands aside for others just now.
    """

    step: str
    done: int
    total: int | None
    unit: str  # items or bytes
    fraction: float | None
    waiting: str | None = None


@dataclass(frozen=True, slots=True)
class Paused:
    """Why a running execution stands still; `reached` once its worker has come to a safe point and waits there."""

    by: str
    why: str
    since: datetime
    reached: bool = False


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution, as it stands in the store and goes over the control protocol."""

    id: str
    task_id: str | None
    task_name: str
    status: State
    trigger: str  # schedule, request, retry, or missed: due while the daemon did not run, and given up
    scheduled_for: datetime
    window_id: str | None = None
    window_name: str | None = None
    deadline: datetime | None = None  # a scheduled one that has not started by then is cancelled, with reasons
    started_at: datetime | None = None
    completed_at: datetime | None = None
    steps: tuple[StepRecord, ...] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    rollback_point: str | None = None
    error: Mapping[str, Any] | None = None
    reasons: tuple[Mapping[str, Any], ...] = ()
    requested_by: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    attempt: int = 1
    retry_of: str | None = None  # the execution that failed and is tried again by this one
    progress: Progress | None = None
    eta: datetime | None = None
    paused: Paused | None = None
    throttle: float = 0.0  # seconds of rest for each second of work
    paused_ms: int = 0  # how long it has stood still, in milliseconds

    @property
    def duration_ms(self) -> int | None:
        """Return the time from start to end without pauses, in milliseconds; None until both are known.

        It is 0 where the clock was set back meanwhile.
        """
        if self.started_at is None or self.completed_at is None:
            return None
        return max(round((self.completed_at - self.started_at).total_seconds() * 1000) - self.paused_ms, 0)


def advance(execution: Execution, state: State, **changes: Any) -> Execution:
    """The execution in its next state. Raises JamaintError(CONFLICT) for a move that is not in TRANSITIONS."""
    if state not in TRANSITIONS[execution.status]:
        raise JamaintError(
            CONFLICT,
            f"execution {execution.id} is {execution.status.value} and cannot become {state.value}",
            {"status": execution.status.value},
        )
    return replace(execution, status=state, **changes)
