"""What the scripts of `schedules` share: the expressions, and how long it takes to read them and to go on."""

import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

N = int(sys.argv[1])
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
STEPS = 5
EXPRESSIONS = [f"{n % 60} {n // 60 % 24} {'*' if n % 3 else 1 + n % 28} * {'*' if n % 5 else n % 7}" for n in range(N)]


def resident_mib() -> float:
    """What of this process is in memory."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def tell(load: Callable[[], Any], go_on: Callable[[Any], int] | None = None) -> None:
    """Prints the figures: `load()` reads all and finds the first time of each, `go_on` further ones, and how many."""
    before, began = resident_mib(), time.perf_counter()
    kept = load()
    loaded = time.perf_counter() - began
    figures: dict[str, float] = {"load s": loaded, "memory MiB": resident_mib() - before}
    if go_on is not None:
        began = time.perf_counter()
        count = go_on(kept)
        figures["next us"] = 1e6 * (time.perf_counter() - began) / count
    print(json.dumps(figures), flush=True)


def tell_iterators(make: Callable[[str], Any], following: Callable[[Any], Any]) -> None:
    """Prints the figures of a library that has an object for each expression, which is asked for its next time."""

    def load() -> list[Any]:
        objects = [make(expression) for expression in EXPRESSIONS]
        for one in objects:
            following(one)
        return objects

    def go_on(objects: list[Any]) -> int:
        for one in objects:
            for _ in range(STEPS):
                following(one)
        return STEPS * N

    tell(load, go_on)
