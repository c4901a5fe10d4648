"""Counters of executions since the daemon started, as Prometheus counts: they only grow, and begin anew at a start."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime

from jamaint.core.executions import ENDED, Execution, State

BUCKETS_SECONDS = (1.0, 10.0, 60.0, 300.0, 900.0, 3600.0, 14400.0)
OTHER = "other"


class Histogram:
    """Durations by upper bounds, in seconds; `counts` has one more for what is above the last bound."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_SECONDS) + 1)
        self.sum_seconds = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        place = sum(seconds > bound for bound in BUCKETS_SECONDS)
        self.counts[place] += 1
        self.sum_seconds += seconds


class RunCounters:
    """By task: how executions ended, how long completed ones took, when one last completed; bytes freed by category."""

    def __init__(self, category_of: Callable[[str], str]) -> None:
        self._category_of = category_of
        self.ended: Counter[tuple[str, str]] = Counter()
        self.durations: dict[str, Histogram] = {}
        self.freed_bytes: Counter[str] = Counter()
        self._balance: Counter[str] = Counter()
        self.last_success: dict[str, datetime] = {}

    def note_freed(self, task: str, count: int) -> None:
        """Count bytes that a task's execution, or the purge of what it kept, has freed; negative where it took space.

        A counter never falls. So what was taken has to be freed again before the counter goes on.
        """
        kind = self._category_of(task) or OTHER
        self._balance[kind] += count
        self.freed_bytes[kind] = max(self.freed_bytes[kind], self._balance[kind])

    def note(self, execution: Execution) -> None:
        """Count an execution that has just come to an end state; what never started counts as skipped."""
        if execution.status not in ENDED:
            return
        task = execution.task_name
        skipped = execution.status is State.CANCELLED and execution.started_at is None
        self.ended[task, "skipped" if skipped else execution.status.value] += 1
        freed = execution.metrics.get("freed_space")
        if isinstance(freed, int):
            self.note_freed(task, freed)
        if execution.status is State.COMPLETED and execution.completed_at is not None:
            self.last_success[task] = execution.completed_at
            if execution.duration_ms is not None:
                self.durations.setdefault(task, Histogram()).add(execution.duration_ms / 1000)
