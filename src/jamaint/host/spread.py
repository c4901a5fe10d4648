"""Spread: does the same to many names in several threads, where the disk makes each one wait.

A disk that discards freed blocks at once keeps every unlink waiting, and eight of them wait as long as one; in memory
or on a disk that does not, threads only cost. So the first names show which it is.
"""

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

THREADS = 8
_WAITS = 40e-6
"""Seconds for one name from which on it is the disk that takes them, not we."""

WORTH_BYTES = 1 << 20
"""From files of this size on, threads that read, pack and write them pay."""

T = TypeVar("T")
R = TypeVar("R")


class Spread(Generic[T, R]):
    """Calls `act` with items, and with shares of them side by side once that pays. Results come in no order."""

    def __init__(self, act: Callable[[Sequence[T]], list[R]]) -> None:
        self._act = act
        self._pays = False

    def __call__(self, items: Sequence[T]) -> list[R]:
        """All results. What `act` raises is raised here, after all threads have ended."""
        if self._pays and len(items) >= THREADS:
            return self._side_by_side(items)
        start = time.perf_counter()
        results = self._act(items)
        self._pays = bool(items) and time.perf_counter() - start > _WAITS * len(items)
        return results

    def _side_by_side(self, items: Sequence[T]) -> list[R]:
        results: list[R] = []
        errors: list[BaseException] = []

        def work(share: Sequence[T]) -> None:
            try:
                results.extend(self._act(share))
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(items[n::THREADS],)) for n in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
        return results


def side_by_side(act: Callable[[T], None], items: Sequence[T], mean_bytes: int) -> None:
    """Calls `act` with each item, as many at a time as there are processors for us, if the items are large enough.

    What `act` raises is raised here, after those that had begun have ended; no other is begun then.
    """
    count = min(len(items), len(os.sched_getaffinity(0)))
    if count < 2 or mean_bytes < WORTH_BYTES:
        for item in items:
            act(item)
        return
    with ThreadPoolExecutor(count) as threads:
        calls = [threads.submit(act, item) for item in items]
        try:
            for call in calls:
                call.result()
        except BaseException:
            threads.shutdown(wait=True, cancel_futures=True)
            raise
