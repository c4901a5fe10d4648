"""Facts of the machine that conditions look at, asked for fresh; what cannot be learnt is None."""

import os
from collections.abc import Iterable

import psutil

from jamaint.core.conditions import DiskFree, Facts
from jamaint.core.tasks import Condition


def look(conditions: Iterable[Condition]) -> Facts:
    """Looks at just what `conditions` ask about. Takes microseconds; a dead network mount could make it longer."""
    kinds = {condition.kind for condition in conditions}
    paths = {condition.params["path"] for condition in conditions if condition.kind == "disk_free"}
    return Facts(
        load_average=_load() if "load_average" in kinds else None,
        memory_available=_memory() if "memory_available" in kinds else None,
        disks={path: disk for path in paths if (disk := _disk(path)) is not None},
    )


def _load() -> float | None:
    try:
        return os.getloadavg()[0]
    except OSError:
        return None


def _memory() -> int | None:
    try:
        return int(psutil.virtual_memory().available)
    except (OSError, ValueError, KeyError):
        return None


def _disk(path: str) -> DiskFree | None:
    try:
        found = os.statvfs(path)
    except OSError:
        return None
    return DiskFree(free_bytes=found.f_bavail * found.f_frsize, total_bytes=found.f_blocks * found.f_frsize)
