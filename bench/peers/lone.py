"""What the scripts of `tasks` share: their arguments, jobs ten at a time, and lone ones until their row can be seen."""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

DSN, N, AT_ONCE, LONE = sys.argv[1], *(int(argument) for argument in sys.argv[2:5])
PAUSE_SECONDS = 0.05


async def at_once(count: int, one: Callable[[], Awaitable[Any]]) -> None:
    """`one()` so many times, AT_ONCE at a time."""
    left = iter(range(count))

    async def lane() -> None:
        for _ in left:
            await one()

    await asyncio.gather(*(lane() for _ in range(AT_ONCE)))


async def lone(begin: Callable[[], Awaitable[Any]], is_done: Callable[[Any], Awaitable[bool]]) -> list[float]:
    """Milliseconds from asking for a job until `is_done` says so, one job after the other."""
    lasted = []
    for _ in range(LONE):
        await asyncio.sleep(PAUSE_SECONDS)
        began = time.perf_counter()
        handle = await begin()
        while not await is_done(handle):  # noqa: ASYNC110 - the row is what counts, and it tells nobody
            await asyncio.sleep(0)
        lasted.append(1000 * (time.perf_counter() - began))
    return lasted


def tell(seconds: float, cpu_seconds: float, lasted: list[float]) -> None:
    """Prints the figures of N jobs that took `seconds`, and of the lone ones."""
    ordered = sorted(lasted)
    figures: Mapping[str, float] = {
        "a second": N / seconds,
        "lone p50 ms": ordered[len(ordered) // 2],
        "lone p90 ms": ordered[len(ordered) * 9 // 10],
        "CPU ms each": 1000 * cpu_seconds / N,
    }
    print(json.dumps(figures), flush=True)
