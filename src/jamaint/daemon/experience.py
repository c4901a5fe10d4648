"""Experience: how long tasks took and when they completed, kept in memory for what decides; the store has it all."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from jamaint.core.estimates import HISTORY
from jamaint.core.executions import Execution, State


class Experience:
    """By task name: `durations` (milliseconds, the newest last) and `completed` (when the newest ended)."""

    def __init__(self) -> None:
        self.durations: dict[str, tuple[int, ...]] = {}
        self.completed: dict[str, datetime] = {}

    def load(self, known: Mapping[str, Sequence[tuple[int, datetime]]]) -> None:
        """Takes over what the store knows."""
        self.durations = {task: tuple(duration for duration, _ in runs) for task, runs in known.items()}
        self.completed = {task: runs[-1][1] for task, runs in known.items() if runs}

    def note(self, execution: Execution) -> None:
        """An execution has ended; what was not completed says nothing of how long it takes."""
        if execution.status is not State.COMPLETED or execution.duration_ms is None:
            return
        task = execution.task_name
        self.durations[task] = (*self.durations.get(task, ()), execution.duration_ms)[-HISTORY:]
        if execution.completed_at is not None:
            self.completed[task] = execution.completed_at
