"""Threads come in when a name takes long, and what goes wrong in one of them is raised where it was asked for."""

import threading
from collections.abc import Sequence

import pytest

from jamaint.host.spread import THREADS, Spread


def test_everything_is_done_once_alone_and_side_by_side() -> None:
    together = threading.Barrier(THREADS, timeout=30)
    main = threading.get_ident()

    def act(items: Sequence[int]) -> list[int]:
        if threading.get_ident() != main:
            together.wait()  # passes only when all threads are in it at once
        return [item * 2 for item in items]

    spread = Spread(act)
    assert spread([]) == []
    assert spread(range(100)) == list(range(0, 200, 2))
    spread._pays = True
    assert sorted(spread(range(100))) == list(range(0, 200, 2))
    assert spread([1]) == [2]  # too few to share


def test_an_error_in_a_thread_is_raised_here() -> None:
    def act(items: Sequence[int]) -> list[int]:
        if 13 in items:
            raise OSError("disk")
        return list(items)

    spread = Spread(act)
    spread._pays = True
    with pytest.raises(OSError, match="disk"):
        spread(range(100))
