"""Estimates: how long an execution will take, how far it is, and when it will end."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from math import ceil
from typing import NamedTuple

from jamaint.core.rate_limits import Limits
from jamaint.core.tasks import Task

SHOWN_FROM = 0.01
"""Below one percent no time left is told: it would be a guess (as gh-ost does)."""

HISTORY = 20
"""So many of a task's newest completed executions are looked at."""
HISTORY_LEAST = 3
"""With fewer, they say too little."""


class Estimate(NamedTuple):
    """How long an execution may take, in seconds, and where that is known from."""

    seconds: float
    source: str


def expected(task: Task, durations_ms: Sequence[int]) -> Estimate | None:
    """Return how long `task` may take: the larger of what it declares and the 90th percentile of its newest completed
    executions; None where neither is known.

    A timeout is a limit and says nothing of how long work takes; it bounds an estimate, since work is stopped there.
    """
    known = []
    if task.expected_duration_seconds is not None:
        known.append(Estimate(task.expected_duration_seconds, "declared"))
    if len(durations_ms) >= HISTORY_LEAST:
        rank = ceil(len(durations_ms) * 0.9) - 1  # nearest rank
        known.append(Estimate(sorted(durations_ms)[rank] / 1000, f"p90 of {len(durations_ms)} executions"))
    longest = max(known, default=None)
    timeout = task.timeout_seconds
    if longest is not None and timeout is not None and timeout < longest.seconds:
        return Estimate(timeout, "stopped then by its timeout")
    return longest


class Part(NamedTuple):
    """A planned step: its size, and how many seconds it took of late, None where that is not known."""

    bytes: int
    items: int
    took: float | None = None

    @property
    def is_busy(self) -> bool:
        """Whether there is anything for it to do."""
        return bool(self.bytes or self.items or self.took)


def weights_of(parts: Sequence[Part]) -> list[float]:
    """Return each step's share of the whole: by the time that it took of late, else by what all of them have, bytes or
    items; bytes of one and items of another say nothing about each other, so that the steps count alike then."""
    busy = [one for one in parts if one.is_busy]
    if busy and all(one.took is not None for one in busy):
        return [one.took or 0.0 for one in parts]
    if all(one.bytes for one in busy):
        return [float(one.bytes) for one in parts]
    if all(one.items for one in busy):
        return [float(one.items) for one in parts]
    return [float(one.is_busy) for one in parts]


def seconds_left(parts: Sequence[Part], index: int, elapsed: float, done: int, total: int | None) -> float | None:
    """Return how long the step at `index`, `elapsed` seconds under way, and those after it still take; None if unknown.

    The step goes on as fast as it has gone; before that can be said, and for those after it, history counts.
    """
    later = [one.took for one in parts[index + 1 :] if one.is_busy]
    share = min(done / total, 1.0) if total else 0.0
    here: float | None
    if share >= SHOWN_FROM:
        here = max(elapsed, 0.0) * (1 - share) / share
    else:
        took = parts[index].took
        here = None if took is None else max(took - elapsed, 0.0)
    if here is None or any(took is None for took in later):
        return None
    return here + sum(took for took in later if took is not None)


def fraction_of(weights: Sequence[float], step_index: int, done: int, total: int | None) -> float | None:
    """How far an execution is, 0..1: `weights` are its steps' planned bytes or items, `done` of `total` of one step."""
    whole = sum(weights)
    if whole <= 0 or not total:
        return None
    within = min(done / total, 1.0) * weights[step_index]
    return min((sum(weights[:step_index]) + within) / whole, 1.0)


def ends_at(started_at: datetime, fraction: float | None, now: datetime) -> datetime | None:
    """now + elapsed·(1-p)/p, None while less than one percent is done."""
    if fraction is None or fraction < SHOWN_FROM:
        return None
    elapsed = max((now - started_at).total_seconds(), 0.0)  # less than nothing where the clock was set back
    return now + timedelta(seconds=elapsed * (1 - fraction) / fraction)


def keeping_to(limits: Limits, unit: str, begun: int, total: int | None, now: datetime) -> datetime | None:
    """When a step can be done at the earliest, where its task is held to so many items or bytes a second.

    `begun` of `total` is what was done when the rest began that is due now; None without a limit for that unit.
    """
    rate = limits.bytes_per_second if unit == "bytes" else limits.operations_per_second
    if not rate or not total:
        return None
    return now + timedelta(seconds=max(total - begun, 0) / rate)


def quantile(values: Sequence[int], share: float) -> int:
    """The smallest of `values` that `share` (0..1) of them do not exceed."""
    ordered = sorted(values)
    return ordered[min(max(ceil(len(ordered) * share) - 1, 0), len(ordered) - 1)]
