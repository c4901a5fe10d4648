"""Warming: when pages may be asked for, and what their answers amount to."""

import pytest

from jamaint.executors.cache_warmup.rules import not_before, outcome, percentile, summary


def test_a_rate_spaces_them_and_none_does_not() -> None:
    assert (not_before(10.0, 2.0), not_before(10.0, None)) == (10.5, 10.0)


@pytest.mark.parametrize(
    ("status", "means"), [(200, "warm"), (304, "warm"), (404, "missing"), (500, "failed"), (None, "failed")]
)
def test_what_an_answer_means(status: int | None, means: str) -> None:
    assert outcome(status) == means


@pytest.mark.parametrize(
    ("values", "share", "found"),
    [([], 0.5, None), ([7.0], 0.95, 7.0), ([3.0, 1.0, 2.0], 0.5, 2.0), ([float(n) for n in range(1, 101)], 0.95, 95.0)],
)
def test_percentile(values: list[float], share: float, found: float | None) -> None:
    assert percentile(values, share) == found


def test_summary() -> None:
    assert summary([200, 200, 404, None], [1.04, 2.0, 3.0, 4.0], 17) == {
        "files": 2,
        "missing": 1,
        "failed": 1,
        "bytes": 17,
        "p50_ms": 2.0,
        "p95_ms": 4.0,
    }
