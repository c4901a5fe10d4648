"""processor: two looks at /proc/stat, a moment apart."""

from collections.abc import Mapping
from typing import Any

import trio

from jamaint.probes.local.context import ProbeContext

BETWEEN_SECONDS = 0.25


async def look(_params: Mapping[str, Any], _outside: ProbeContext) -> float:
    before = _read()
    await trio.sleep(BETWEEN_SECONDS)
    return busy_share(before, _read())


def busy_share(before: str, after: str) -> float:
    """The share of all processors' time that was neither idle nor waiting for a disk between two of /proc/stat."""
    (idle, total), (idle_then, total_then) = _times(before), _times(after)
    passed = total_then - total
    return 0.0 if passed <= 0 else min(max(1 - (idle_then - idle) / passed, 0.0), 1.0)


def _times(stat: str) -> tuple[int, int]:
    """Ticks idle (or waiting for a disk), and in all. What guests took is in their hosts' user and nice already."""
    fields = [int(field) for field in stat.splitlines()[0].split()[1:9]]
    return fields[3] + fields[4], sum(fields)


def _read() -> str:
    with open("/proc/stat", encoding="ascii") as file:
        return file.readline()
