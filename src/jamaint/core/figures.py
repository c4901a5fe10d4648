"""Figures about many executions: how they ended, how long they took, and how much time they cover together.

A figure that was not measured is None, never 0.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple


class Counts(NamedTuple):
    """How executions ended. `skipped` never started; `cancelled` were stopped by an operator or their window's end."""

    completed: int = 0
    failed: int = 0
    rolled_back: int = 0
    cancelled: int = 0
    skipped: int = 0

    @property
    def judged(self) -> int:
        """Return the number of executions that the success rate is of: skipped and cancelled ones are not in it."""
        return self.completed + self.failed + self.rolled_back


class Durations(NamedTuple):
    """Durations of completed executions, in seconds; None where there is none."""

    n: int
    mean_seconds: float | None = None
    median_seconds: float | None = None
    p90_seconds: float | None = None


def success_rate(counts: Counts) -> float | None:
    """Return completed / (completed + failed + rolled back), 0..1; None without any."""
    return counts.completed / counts.judged if counts.judged else None


def union(spans: Iterable[tuple[datetime, datetime]], within: tuple[datetime, datetime]) -> timedelta:
    """Return the time that the spans cover together inside `within`; what two of them share counts once."""
    start, end = within
    covered, reached = timedelta(), start
    for begins, ends in sorted((max(begins, start), min(ends, end)) for begins, ends in spans):
        counts_from = max(begins, reached)
        if ends > counts_from:  # else it lies outside, or inside of what is counted already
            covered += ends - counts_from
            reached = ends
    return covered
