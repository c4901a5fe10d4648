"""Rules of cache.warmup: when the next page may be asked for, and what the answers amount to."""

from collections.abc import Sequence
from typing import Any

SHOWN = 20


def not_before(last: float, rate: float | None) -> float:
    """From when (in seconds, as `last`, when a page was last asked for) the next may be, at `rate` a second."""
    return last if rate is None else last + 1 / rate


def percentile(values: Sequence[float], share: float) -> float | None:
    """The value that `share` (0..1) of them do not exceed (nearest rank); None of nothing."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1)] if ordered else None


def outcome(status: int | None) -> str:
    """What an answer means for a cache: warm, missing (4xx), failed (5xx, or none at all)."""
    if status is None or status >= 500:
        return "failed"
    return "missing" if status >= 400 else "warm"


def summary(statuses: Sequence[int | None], milliseconds: Sequence[float], size: int) -> dict[str, Any]:
    """The figures of a step: pages by outcome, their times, and bytes read."""
    outcomes = [outcome(status) for status in statuses]
    slow, middle = percentile(milliseconds, 0.95), percentile(milliseconds, 0.5)
    return {
        "files": outcomes.count("warm"),
        "missing": outcomes.count("missing"),
        "failed": outcomes.count("failed"),
        "bytes": size,
        "p50_ms": None if middle is None else round(middle, 1),
        "p95_ms": None if slow is None else round(slow, 1),
    }
