"""usage: measures directories, disks, databases and caches. It is asked by the daemon itself; no task can name it."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import Any

from jamaint.core.plans import Plan, Step
from jamaint.executors.executor import Host, Work
from jamaint.host.measuring import measure
from jamaint.host.memcached import MemcachedFailed, statistics
from jamaint.host.redis_cache import CacheRefused, RedisCache, shown
from jamaint.host.roots import RootRefused, open_root
from jamaint.host.skipped import Skipped
from jamaint.host.targets.connection import Address, TargetFailed, open_target
from jamaint.host.targets.sizes import size_of

LOCK_SECONDS = 1.0


class Usage:
    """One step, `usage`: `args` has the targets as [kind, name]; each has an answer, or a problem that says why not."""

    def __init__(self, work: Work, host: Host) -> None:
        self._work, self._host = work, host

    def plan(self) -> Plan:
        """See Executor. There is nothing to plan."""
        return Plan(())

    def run(self, step: Step) -> dict[str, Any]:
        """Measures; changes nothing, access times included."""
        targets: Sequence[Sequence[str]] = step.args["targets"]
        found = [{"kind": kind, "name": name, **self._measure(kind, name)} for kind, name in targets]
        return {"targets": _each_disk_once(found)}

    def undo(self, step: Step, dry_run: bool) -> dict[str, Any]:  # noqa: ARG002 - the Protocol's
        """See Executor."""
        return {"restored": 0, "removed": 0, "kept": [], "problems": []}

    def purge(self, step: Step) -> dict[str, Any]:  # noqa: ARG002 - the Protocol's
        """See Executor."""
        return {"freed_space": 0, "items": 0}

    def _measure(self, kind: str, name: str) -> dict[str, Any]:
        self._host.checkpoint()
        name = self._work.config.get("addresses", {}).get(name, {"dsn": name})["dsn"]
        try:
            if kind == "storage":
                return _disk(name)
            if kind == "database":
                return asyncio.run(self._database(name))
            if kind == "cache":
                return _cache(name)
            return self._directory(name)
        except (OSError, RootRefused, TargetFailed, CacheRefused, MemcachedFailed) as error:
            return {"bytes": None, "problem": str(error)}

    def _directory(self, path: str) -> dict[str, Any]:
        skipped = Skipped()
        with open_root(path) as root:
            size, files = measure(root, skipped, self._host.checkpoint)
        if not skipped.count:
            return {"bytes": size, "files": files}
        first = skipped.first or {}
        left_out = f"without {skipped.count:,} that could not be entered; the first is {first['path']}: {first['why']}"
        return {"bytes": size, "files": files, "problem": left_out}

    async def _database(self, dsn: str) -> dict[str, Any]:
        async with open_target(Address(dsn, self._work.task_name, LOCK_SECONDS)) as target:
            return {"bytes": await size_of(target), "label": target.identity.database}


def _disk(path: str) -> dict[str, Any]:
    status = os.statvfs(path)
    total, free = status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize
    used = (status.f_blocks - status.f_bfree) * status.f_frsize
    inodes = (status.f_files - status.f_ffree) / status.f_files if status.f_files else None
    device = os.stat(path).st_dev
    return {
        "bytes": used,
        "total": total,
        "free": free,
        "share": used / (used + free) if used + free else None,  # as df has it: what root keeps for itself is not ours
        "inodes_share": inodes,
        "device": device,
        "label": _mount_of(path, device),
    }


def _mount_of(path: str, device: int) -> str:
    """The topmost directory on the path that lies on the same file system."""
    path = os.path.realpath(path)
    while path != "/" and os.stat(os.path.dirname(path)).st_dev == device:
        path = os.path.dirname(path)
    return path


def _each_disk_once(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    seen: set[Any] = set()
    once = []
    for one in found:
        device = one.get("device")
        if device is None or device not in seen:
            seen.add(device)
            once.append({key: value for key, value in one.items() if key != "device"})
    return once


def _cache(url: str) -> dict[str, Any]:
    kind, _, address = url.partition(":")
    if kind == "memcached":
        return _memcached(address)
    cache = RedisCache(url)
    try:
        facts = cache.facts()
    finally:
        cache.close()
    total = facts["max_memory"]
    return {
        "bytes": facts["used_memory"],
        "total": total,
        "share": facts["used_memory"] / total if total else None,
        "keys": facts["keys"],
        "hit_share": facts["hit_share"],
        "evicted_keys": facts["evicted_keys"],
        "label": shown(url),
    }


def _memcached(address: str) -> dict[str, Any]:
    found = statistics(address)
    kept = ("share", "keys", "hit_share", "evicted_keys")
    return {
        "bytes": found["used_memory"],
        "total": found["max_memory"],
        **{key: found[key] for key in kept},
        "label": f"memcached at {address}",
    }
