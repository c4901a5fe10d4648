"""Estimates: how far an execution is, and when it will end."""

from collections.abc import Sequence
from datetime import datetime, timedelta

SHOWN_FROM = 0.01
"""Below one percent no time left is told: it would be a guess (as gh-ost does)."""


def fraction_of(weights: Sequence[int], step_index: int, done: int, total: int | None) -> float | None:
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
