"""Run statistics: how long tasks took and when they completed, in memory for the decisions."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from jamaint.core.estimates import HISTORY, HISTORY_LEAST, quantile
from jamaint.core.executions import Execution, State
from jamaint.core.policies.policies import starts_within


class RunStatistics:
    """By task name: `durations` (milliseconds, the newest last), `completed` (when the newest ended), `starts` (as far
    back as the rates of policies look)."""

    def __init__(self) -> None:
        self.durations: dict[str, tuple[int, ...]] = {}
        self.completed: dict[str, datetime] = {}
        self._steps: dict[str, dict[str, float]] = {}
        self.starts: dict[str, list[datetime]] = {}

    def load(self, known: Mapping[str, Sequence[tuple[int, datetime]]]) -> None:
        """Takes over what the store knows."""
        self.durations = {task: tuple(duration for duration, _ in runs) for task, runs in known.items()}
        self.completed = {task: runs[-1][1] for task, runs in known.items() if runs}

    def load_starts(self, starts: Mapping[str, Sequence[datetime]]) -> None:
        """Takes over when executions have started."""
        self.starts = {task: list(moments) for task, moments in starts.items()}

    def note_start(self, task: str, now: datetime, reach_seconds: float) -> None:
        """One starts; what no rate looks back to any more is forgotten."""
        if reach_seconds:
            recent = starts_within(self.starts.get(task, ()), now, reach_seconds)
            self.starts[task] = [*recent, now]

    def steps_of(self, task: str) -> Mapping[str, float]:
        """Return how many seconds each step took in the task's newest completed execution.

        Where there is only one step, it is the median of the newest executions.
        """
        steps, durations = self._steps.get(task, {}), self.durations.get(task, ())
        if len(steps) == 1 and len(durations) >= HISTORY_LEAST:
            return dict.fromkeys(steps, quantile(durations, 0.5) / 1000)
        return steps

    def note_steps(self, execution: Execution) -> None:
        """Take in how long the steps of a completed execution took."""
        if execution.status is State.COMPLETED:
            self._steps[execution.task_name] = {
                step.name: step.duration_ms / 1000 for step in execution.steps if step.duration_ms is not None
            }

    def note(self, execution: Execution) -> None:
        """An execution has ended; what was not completed says nothing of how long it takes."""
        if execution.status is not State.COMPLETED or execution.duration_ms is None:
            return
        task = execution.task_name
        self.note_steps(execution)
        self.durations[task] = (*self.durations.get(task, ()), execution.duration_ms)[-HISTORY:]
        if execution.completed_at is not None:
            self.completed[task] = execution.completed_at
