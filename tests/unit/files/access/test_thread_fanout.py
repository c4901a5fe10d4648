"""Threads come in when a name takes long, and what goes wrong in one of them is raised where it was asked for."""

import select
import threading
from collections.abc import Sequence

import pytest

from jamaint.files.access.thread_fanout import THREADS, WORTH_BYTES, Spread, side_by_side


def test_everything_is_done_once_alone_and_side_by_side() -> None:
    together = threading.Barrier(THREADS, timeout=30)
    main = threading.get_ident()

    def act(items: Sequence[int]) -> list[int]:
        if threading.get_ident() != main:
            together.wait()  # passes only when all threads are in it at once
        return [item * 2 for item in items]

    spread = Spread()
    assert spread(act, []) == []
    assert spread(act, range(100)) == list(range(0, 200, 2))
    spread._pays = True
    assert sorted(spread(act, range(100))) == list(range(0, 200, 2))
    assert spread(act, [1]) == [2]  # too few to share


def test_threads_come_in_when_each_name_waits_and_not_when_it_only_takes_long() -> None:
    def work(items: Sequence[int]) -> list[int]:
        return [sum(range(20_000)) for _ in items]

    def wait(items: Sequence[int]) -> list[int]:
        for _ in items:
            select.select([], [], [], 0.0001)
        return list(items)

    spread = Spread()
    spread(work, range(50))
    assert not spread._pays
    spread(wait, range(50))
    assert spread._pays


def test_an_error_in_a_thread_is_raised_here() -> None:
    def act(items: Sequence[int]) -> list[int]:
        if 13 in items:
            raise OSError("disk")
        return list(items)

    spread = Spread()
    spread._pays = True
    with pytest.raises(OSError, match="disk"):
        spread(act, range(100))


class TestSideBySide:
    def test_each_item_once(self) -> None:
        done: list[int] = []
        side_by_side(done.append, range(100), WORTH_BYTES)
        assert sorted(done) == list(range(100))

    def test_small_ones_stay_in_their_order_and_in_this_thread(self) -> None:
        done: list[tuple[int, int]] = []
        side_by_side(lambda item: done.append((item, threading.get_ident())), range(9), WORTH_BYTES - 1)
        assert done == [(item, threading.get_ident()) for item in range(9)]

    def test_what_is_raised_ends_it(self) -> None:
        done: list[int] = []
        never = threading.Event()

        def act(item: int) -> None:
            if item == 3:
                raise ValueError(item)
            never.wait(0.0005)  # all of them would take half a minute: ample for the one that fails
            done.append(item)

        with pytest.raises(ValueError, match="3"):
            side_by_side(act, range(100_000), WORTH_BYTES)
        assert len(done) < 50_000
