"""Conditions: facts of the machine that must hold right before a start. What is unknown does not hold."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jamaint.core.tasks import Condition


@dataclass(frozen=True, slots=True)
class DiskFree:
    """What an ordinary user could still write to a file system, and its size, in bytes."""

    free_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found right now; None, or a path left out, is unknown."""

    load_average: float | None = None
    memory_available: int | None = None
    disks: Mapping[str, DiskFree] = field(default_factory=dict)


def unmet(condition: Condition, facts: Facts) -> str | None:
    """Why `condition` does not hold, with the figure that was found, or None if it holds."""
    return CHECKS[condition.kind](condition.params, facts)


def _load_average(params: Mapping[str, Any], facts: Facts) -> str | None:
    limit = float(params["max"])
    if facts.load_average is None:
        return "load average is unknown"
    return None if facts.load_average <= limit else f"load average {facts.load_average:.2f} is over {limit:g}"


def _memory_available(params: Mapping[str, Any], facts: Facts) -> str | None:
    need = int(params["min"])
    if facts.memory_available is None:
        return "available memory is unknown"
    if facts.memory_available >= need:
        return None
    return f"{facts.memory_available} bytes of memory are available, {need} are asked for"


def _disk_free(params: Mapping[str, Any], facts: Facts) -> str | None:
    path = params["path"]
    disk = facts.disks.get(path)
    if disk is None:
        return f"free space of {path} is unknown"
    if "min_share" in params:
        share = disk.free_bytes / disk.total_bytes if disk.total_bytes else 0.0
        need = float(params["min_share"])
        return None if share >= need else f"{path} has {share:.1%} free, {need:.1%} is asked for"
    need_bytes = int(params["min_bytes"])
    if disk.free_bytes >= need_bytes:
        return None
    return f"{path} has {disk.free_bytes} bytes free, {need_bytes} are asked for"


CHECKS: Mapping[str, Callable[[Mapping[str, Any], Facts], str | None]] = {
    "load_average": _load_average,
    "memory_available": _memory_available,
    "disk_free": _disk_free,
}
