"""Figures about many executions: rates, durations, changes between two periods, and how full windows are.

A figure that was not measured is None, never 0. Small samples are told as counts, since a rate of three runs says
nothing; a change of a rate is told as one only where it is larger than chance (95 % interval of Newcombe, method 10 of
"Interval estimation for the difference between independent proportions", Statistics in Medicine 17, 1998).
"""

import math
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

RATE_NEEDS = 20
"""Below so many ended executions a rate is told as counts: `4 of 5`."""
Z_95 = 1.959963984540054


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


def total(counts: Iterable[Counts]) -> Counts:
    """Return the sum, field by field."""
    return Counts(*map(sum, zip(*counts, strict=True)))


class Durations(NamedTuple):
    """Durations of completed executions, in seconds; None where there is none."""

    n: int
    mean_seconds: float | None = None
    median_seconds: float | None = None
    p90_seconds: float | None = None


class Change(NamedTuple):
    """A figure beside the same figure of an earlier period.

    ratio: the relative change (0.5 is half as much again); None where there is nothing to compare with.
    """

    now: float | None
    before: float | None
    ratio: float | None


Trend = Literal["up", "down", "within chance", "too few"]


def success_rate(counts: Counts) -> float | None:
    """Return completed / (completed + failed + rolled back), 0..1; None without any."""
    return counts.completed / counts.judged if counts.judged else None


def durations(seconds: Iterable[float]) -> Durations:
    """Return mean, median and 90th percentile; the percentiles interpolate, as PostgreSQL's percentile_cont does."""
    found = sorted(seconds)
    if not found:
        return Durations(0)
    return Durations(len(found), math.fsum(found) / len(found), quantile(found, 0.5), quantile(found, 0.9))


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which `share` (0..1) of an ordered, non-empty sequence lies, interpolated."""
    at = share * (len(ordered) - 1)
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def change(now: float | None, before: float | None) -> Change:
    """Return a figure and its change since an earlier period: from zero, or from nothing, there is no ratio."""
    ratio = (now - before) / abs(before) if now is not None and before else None
    return Change(now, before, ratio)


def wilson(successes: int, of: int) -> tuple[float, float]:
    """Return the 95 % score interval of a proportion; `of` is at least 1."""
    rate, square = successes / of, Z_95 * Z_95
    middle = rate + square / (2 * of)
    reach = Z_95 * math.sqrt(rate * (1 - rate) / of + square / (4 * of * of))
    return (middle - reach) / (1 + square / of), (middle + reach) / (1 + square / of)


def rate_trend(now: Counts, before: Counts) -> Trend:
    """Return whether the success rate has changed by more than chance; `too few` below RATE_NEEDS in either period."""
    if min(now.judged, before.judged) < RATE_NEEDS:
        return "too few"
    rate_now, rate_before = now.completed / now.judged, before.completed / before.judged
    low_now, high_now = wilson(now.completed, now.judged)
    low_before, high_before = wilson(before.completed, before.judged)
    difference = rate_now - rate_before
    low = difference - math.hypot(rate_now - low_now, high_before - rate_before)
    high = difference + math.hypot(high_now - rate_now, rate_before - low_before)
    if low > 0:
        return "up"
    return "down" if high < 0 else "within chance"


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
