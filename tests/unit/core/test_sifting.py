"""sift(): many files judged at once are judged as each of them alone."""

from collections import Counter
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from jamaint.files.rules.ages import FILES_BY, old, sift, youngest

BEFORE = 10**18
MOMENTS = st.sampled_from([-5, 0, BEFORE - 10**9, BEFORE - 1, BEFORE, BEFORE + 1, BEFORE + 10**9, 2 * BEFORE])


@dataclass(frozen=True)
class One:
    st_atime_ns: int
    st_ctime_ns: int
    st_mtime_ns: int


class Many:
    """The same files as columns."""

    def __init__(self, ones: list[One]) -> None:
        self.count = len(ones)
        self._times = {
            "access": [one.st_atime_ns for one in ones],
            "change": [one.st_ctime_ns for one in ones],
            "modification": [one.st_mtime_ns for one in ones],
        }

    def seconds(self, which: str) -> list[int]:
        return [time // 10**9 for time in self._times[which]]

    def nanoseconds(self, which: str) -> list[int]:
        return self._times[which]


@given(
    st.lists(st.builds(One, MOMENTS, MOMENTS, MOMENTS), max_size=8),
    st.lists(st.sampled_from(FILES_BY), min_size=1, max_size=4, unique=True),
    st.sampled_from([None, BEFORE, BEFORE + 1, 10**9]),
)
def test_it_finds_old_what_old_finds_and_tells_what_kept_the_others(
    ones: list[One], by: list[str], before: int | None
) -> None:
    aged, kept = sift(by, before, Many(ones))
    alone = old(by, before)
    assert list(aged) == [number for number, one in enumerate(ones) if alone(one)]
    assert Counter(kept) == Counter(youngest(by, one) for one in ones if not alone(one))
