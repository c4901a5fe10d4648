"""Run one call for many names in several threads, where the disk makes each one wait.

A disk that discards freed blocks at once keeps every unlink waiting, and eight of them wait as long as one; in memory
or on a disk that does not, threads only cost. So the first names show which it is.
"""

import os
import resource
import threading
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

THREADS = 8
_WAITS = 0.5
"""Times that we gave the processor away for one name, from which on it is the disk that takes them, not we. (Not the
time it took: on a busy machine others have it, and threads do not help against that.)"""

WORTH_BYTES = 1 << 20
"""From files of this size on, threads that read, pack and write them pay."""

T = TypeVar("T")
R = TypeVar("R")


class Spread:
    """Calls `act` with items, and with shares of them side by side once that has been seen to pay."""

    def __init__(self) -> None:
        self._pays = False

    def __call__(self, act: Callable[[Sequence[T]], list[R]], items: Sequence[T]) -> list[R]:
        """All results, in no order. What `act` raises is raised here, after all threads have ended."""
        if self._pays and len(items) >= THREADS:
            from concurrent.futures import wait  # noqa: PLC0415 - see _threads

            calls = [_threads().submit(act, items[number::THREADS]) for number in range(THREADS)]
            wait(calls)
            return [result for call in calls for result in call.result()]
        before = _given_away()
        results = act(items)
        self._pays |= bool(items) and _given_away() - before > _WAITS * len(items)
        return results


@cache
def _threads() -> "ThreadPoolExecutor":
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - 4 ms of each start; most need no threads

    return ThreadPoolExecutor(THREADS)


def _given_away() -> int:
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


def side_by_side(act: Callable[[T], None], items: Sequence[T], mean_bytes: int) -> None:
    """Calls `act` with each item, as many at a time as there are processors for us, if the items are large enough.

    What `act` raises is raised here, after those that had begun have ended; no other is begun then.
    """
    count = min(len(items), len(os.sched_getaffinity(0)))
    if count < 2 or mean_bytes < WORTH_BYTES:
        for item in items:
            act(item)
        return
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - see _threads

    failed = threading.Event()

    def unless_failed(item: T) -> None:
        if failed.is_set():
            return
        try:
            act(item)
        except BaseException:
            failed.set()
            raise

    with ThreadPoolExecutor(count) as threads:
        for call in [threads.submit(unless_failed, item) for item in items]:
            call.result()
