"""How large batches become, and what they wait for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jamaint.databases.rules.batch_size import (
    GROWTH,
    LEAST_ROWS,
    MOST_REST_SHARE,
    REST_SHARE,
    TARGET_SECONDS,
    Limits,
    Vitals,
    next_size,
    rest_seconds,
    smaller,
    why_wait,
    writes_much,
)

LIMITS = Limits()
WELL = {"at_seconds": 10.0, "wal_bytes": 0, "max_wal_bytes": 1 << 30}
SIZES = st.integers(1, 1_000_000)


@given(SIZES, st.floats(0, 1000), SIZES)
def test_a_size_stays_in_bounds_and_grows_slowly(size: int, seconds: float, most: int) -> None:
    following = next_size(size, seconds, most)
    assert min(LEAST_ROWS, most) <= following <= most
    assert following <= max(round(size * GROWTH), LEAST_ROWS)
    assert min(LEAST_ROWS, most) <= smaller(size, most) <= max(size // 2, LEAST_ROWS)


def test_a_slow_batch_makes_the_next_one_as_much_smaller() -> None:
    assert next_size(1000, TARGET_SECONDS * 4) == 250


def test_it_rests_the_longer_the_more_others_are_at_work() -> None:
    shares = [rest_seconds(1.0, others) for others in (0, 1, 2, 3, 40)]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (REST_SHARE, MOST_REST_SHARE)
    assert rest_seconds(2.0, 0) == 2 * REST_SHARE
    assert rest_seconds(1.0, 0, slowly=True) == MOST_REST_SHARE


def test_it_settles_at_the_target() -> None:
    size = 500
    for _ in range(30):
        size = next_size(size, size * 0.0001)  # a tenth of a millisecond a row
    assert size == pytest.approx(TARGET_SECONDS / 0.0001, rel=0.01)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"replicas": 1, "lag_bytes": None}, "not known"),
        ({"replicas": 1, "lag_bytes": 64 << 20}, "64 MiB behind"),
        ({"replicas": 1, "lag_bytes": 100, "lag_seconds": 11.0}, "11 s behind"),
        ({"vacuum": "autovacuum (process 4)"}, "autovacuum"),
        ({"blocked": 2}, "sessions wait for a lock of ours: 2"),
        ({"transaction_seconds": 1200.0, "transaction_pid": 7}, "process 7 has had a transaction open for 20 minutes"),
    ],
)
def test_what_it_waits_for(changes: dict[str, object], words: str) -> None:
    assert words in (why_wait(Vitals(**{**WELL, **changes}), LIMITS) or "")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"replicas": 2, "lag_bytes": 1 << 20, "lag_seconds": 0.5},
        {"replicas": 1, "lag_bytes": 0, "lag_seconds": 900.0},  # nothing has been written since
        {"transaction_seconds": 100.0},
    ],
)
def test_what_it_does_not_wait_for(changes: dict[str, object]) -> None:
    assert why_wait(Vitals(**{**WELL, **changes}), LIMITS) is None


def test_the_log_may_not_fill_faster_than_checkpoints_come() -> None:
    before = Vitals(at_seconds=8.0, wal_bytes=0, max_wal_bytes=1 << 30)
    assert writes_much(Vitals(at_seconds=10.0, wal_bytes=200 << 20, max_wal_bytes=1 << 30), before, LIMITS) is not None
    assert writes_much(Vitals(at_seconds=10.0, wal_bytes=50 << 20, max_wal_bytes=1 << 30), before, LIMITS) is None
