"""Which keys of a cache go: idle times in classes, how much must go, and how large a batch is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jamaint.caches.rules import (
    LEAST_BATCH,
    MOST_BATCH,
    TARGET_SECONDS,
    CacheRules,
    IdleTimes,
    Memory,
    next_batch,
    to_free,
)

KEYS = st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 10**6)))


def counted(keys: list[tuple[int, int]]) -> IdleTimes:
    idle = IdleTimes()
    for seconds, size in keys:
        idle.add(seconds, size)
    return idle


def test_what_must_go_is_what_is_over_the_share() -> None:
    assert to_free(Memory(90, 100), 0.75) == 15
    assert to_free(Memory(75, 100), 0.75) == 0
    assert to_free(Memory(10, 100), 0.75) == 0
    assert to_free(Memory(90, 100), None) is None


def test_a_server_that_names_no_limit_has_no_share() -> None:
    assert Memory(90, 0).share == 0.0


@given(KEYS, st.integers(0, 10**7))
def test_from_the_cutoff_on_there_is_enough_or_everything_goes(keys: list[tuple[int, int]], need: int) -> None:
    idle = counted(keys)
    cutoff = idle.cutoff(need)
    count, size = idle.since(cutoff)
    truly = [one for one in keys if one[0] >= cutoff]
    assert (count, size) == (len(truly), sum(one[1] for one in truly))
    assert size >= need or cutoff == 0


@given(KEYS, st.integers(1, 10**7))
def test_no_longer_idle_class_alone_would_do(keys: list[tuple[int, int]], need: int) -> None:
    idle = counted(keys)
    cutoff = idle.cutoff(need)
    assert cutoff == 0 or idle.since(cutoff * 2)[1] < need


@given(st.integers(LEAST_BATCH, MOST_BATCH), st.floats(0, 10))
def test_a_batch_stays_within_its_bounds_and_goes_the_right_way(size: int, took: float) -> None:
    following = next_batch(size, took)
    assert LEAST_BATCH <= following <= MOST_BATCH
    assert following <= size if took > TARGET_SECONDS else following >= size


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        (CacheRules("a:*"), "that match a:*"),
        (CacheRules("a:*", 60.0, True), "that match a:*, were not used for 60 s, have no expiry"),
    ],
)
def test_says(rules: CacheRules, says: str) -> None:
    assert rules.says() == says
