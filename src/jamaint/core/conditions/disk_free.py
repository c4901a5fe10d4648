"""disk_free: what an ordinary user could still write to the file system of a path."""

from typing import NamedTuple

from jamaint.core.conditions.condition import Finding, Kind, Params, share, size


class DiskFree(NamedTuple):
    """What an ordinary user could still write to a file system, and its size, in bytes."""

    free_bytes: int
    total_bytes: int


def _subject(params: Params) -> str:
    return f"the free space of {params['path']}"


def _judge(params: Params, found: DiskFree) -> Finding:
    path = params["path"]
    if "min_share" in params:
        part, least = found.free_bytes / found.total_bytes if found.total_bytes else 0.0, params["min_share"]
        return Finding(
            part >= least, f"{path} has {share(part)} free ({size(found.free_bytes)}), {share(least)} is required"
        )
    least = params["min_bytes"]
    return Finding(found.free_bytes >= least, f"{path} has {size(found.free_bytes)} free, {size(least)} are required")


KIND = Kind(_subject, _judge)
