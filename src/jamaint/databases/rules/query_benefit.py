"""Query benefit: whether queries were faster after an optimisation, by the server's own counters."""

from collections.abc import Mapping
from dataclasses import dataclass

LEAST_CALLS = 20
"""In each period: fewer of one query tell nothing of it."""
LEAST_CHANGE = 0.05
"""Of the mean: less is what differs between two days in which nothing was done."""

Times = Mapping[int, tuple[int, float]]
"""By query: how often it has run, and milliseconds in all."""


@dataclass(frozen=True, slots=True)
class Benefit:
    """What was compared: queries seen often enough in both periods, their calls, and the change of their mean time.

    `change` is negative where they became faster, and None where nothing could be compared.
    """

    queries: int
    calls_before: int
    calls_after: int
    change: float | None

    @property
    def says(self) -> str:
        """For a person."""
        sample = f"{self.queries} queries seen in both periods, {self.calls_before:,} and {self.calls_after:,} calls"
        if self.change is None:
            return f"no measurable effect ({sample})"
        if abs(self.change) < LEAST_CHANGE:
            return f"no measurable effect ({self.change:+.1%} mean time; {sample})"
        return f"mean time {self.change:+.1%} ({sample})"


def between(begin: Times, end: Times) -> Times:
    """What happened between two countings; a query whose count has fallen was forgotten meanwhile, and is left out."""
    found = {}
    for query, (calls, total) in end.items():
        before, spent = begin.get(query, (0, 0.0))
        if calls > before and total >= spent:
            found[query] = (calls - before, total - spent)
    return found


def compare(before: Times, after: Times) -> Benefit:
    """How the mean time has changed, each query weighing as often as it runs now."""
    both = [
        query
        for query in before.keys() & after.keys()
        if before[query][0] >= LEAST_CALLS and after[query][0] >= LEAST_CALLS
    ]
    calls_before, calls_after = (sum(times[query][0] for query in both) for times in (before, after))
    expected = sum(before[query][1] / before[query][0] * after[query][0] for query in both)
    spent = sum(after[query][1] for query in both)
    return Benefit(len(both), calls_before, calls_after, spent / expected - 1 if expected > 0 else None)
