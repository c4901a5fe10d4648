"""Cleanup kinds: what a system cleanup is made of, in the specification's order."""

from collections.abc import Mapping
from typing import NamedTuple


class Kind(NamedTuple):
    """One kind of cleanup: the executor that does it, and what its operation is called."""

    executor: str
    operation: str


KINDS: Mapping[str, Kind] = {
    "temp": Kind("temp.cleanup", "temp_cleanup"),
    "logs": Kind("logs.cleanup", "log_cleanup"),
    "database": Kind("database.cleanup", "database_cleanup"),
    "cache": Kind("cache.cleanup", "cache_cleanup"),
    "filesystem": Kind("filesystem.cleanup", "filesystem_cleanup"),
}
"""In the order in which they are done."""

SYSTEM = "system.cleanup"
