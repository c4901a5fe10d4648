"""Figures of executions: the rate of success, and the time that several spans cover together."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from jamaint.core.figures import Counts, success_rate, union

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def test_success_rate_counts_what_ran_to_its_end() -> None:
    assert success_rate(Counts(completed=3, failed=1, rolled_back=0, cancelled=5, skipped=9)) == 0.75
    assert success_rate(Counts(completed=2, failed=1, rolled_back=1)) == 0.5
    assert success_rate(Counts(cancelled=2, skipped=1)) is None


@given(st.lists(st.tuples(st.integers(-50, 150), st.integers(0, 60)), max_size=12))
@settings(max_examples=50, deadline=None)
def test_union_is_the_minutes_that_any_span_covers(spans: list[tuple[int, int]]) -> None:
    def at(minute: int) -> datetime:
        return NOON + timedelta(minutes=minute)

    found = union([(at(start), at(start + length)) for start, length in spans], (at(0), at(100)))
    covered = {minute for start, length in spans for minute in range(max(start, 0), min(start + length, 100))}
    assert found == timedelta(minutes=len(covered))
