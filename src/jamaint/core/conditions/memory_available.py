"""memory_available: what programs could still take without swapping, as the kernel reckons it."""

from typing import NamedTuple

from jamaint.core.conditions.condition import Finding, Kind, Params, share, size


class Memory(NamedTuple):
    """Bytes."""

    available_bytes: int
    total_bytes: int


def _subject(_params: Params) -> str:
    return "the available memory"


def _judge(params: Params, found: Memory) -> Finding:
    if "min_share" in params:
        part, least = found.available_bytes / max(found.total_bytes, 1), params["min_share"]
        says = f"{share(part)} of memory ({size(found.available_bytes)}) is available, {share(least)} is required"
        return Finding(part >= least, says)
    least = params["min_bytes"]
    says = f"{size(found.available_bytes)} of memory are available, {size(least)} are required"
    return Finding(found.available_bytes >= least, says)


KIND = Kind(_subject, _judge)
