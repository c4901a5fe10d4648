"""usage: measures directories, disks, databases and caches. It is asked by the daemon itself; no task can name it."""

import asyncio
from typing import Any

from jamaint.core.plans import Plan, Step
from jamaint.core.usage import Target
from jamaint.executors.executor import Host, Work
from jamaint.host.disks import disk, each_disk_once
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
        targets = [Target(*one) for one in step.args["targets"]]
        found = [{"kind": one.kind, "name": one.name, **self._measure(one)} for one in targets]
        return {"targets": each_disk_once(found)}

    def undo(self, step: Step, dry_run: bool) -> dict[str, Any]:  # noqa: ARG002 - the Protocol's
        """See Executor."""
        return {"restored": 0, "removed": 0, "kept": [], "problems": []}

    def purge(self, step: Step) -> dict[str, Any]:  # noqa: ARG002 - the Protocol's
        """See Executor."""
        return {"freed_space": 0, "items": 0}

    def _measure(self, target: Target) -> dict[str, Any]:
        self._host.checkpoint()
        kind, name = target
        if target.is_address:
            addresses = self._work.config.get("addresses", {})
            if name not in addresses:  # by these is checked what a worker may reach
                return {"bytes": None, "problem": "its address was not given when this worker was opened"}
            name = addresses[name]["dsn"]
        try:
            if kind == "storage":
                return disk(name)
            if kind == "database":
                return asyncio.run(self._database(name))
            if kind == "cache":
                return _cache(name)
            return self._directory(name)
        except (OSError, RootRefused, TargetFailed, CacheRefused, MemcachedFailed) as error:
            return {"bytes": None, "problem": str(error)}

    def _directory(self, path: str) -> dict[str, Any]:
        skipped = Skipped()
        with open_root(path, shared=True) as root:  # nothing is changed, so what belongs to anybody is measured
            size, files = measure(root, skipped, self._host.checkpoint, self._host.alone)
        if not skipped.count:
            return {"bytes": size, "files": files}
        first = skipped.first or {}
        left_out = f"without {skipped.count:,} that could not be entered; the first is {first['path']}: {first['why']}"
        return {"bytes": size, "files": files, "problem": left_out}

    async def _database(self, dsn: str) -> dict[str, Any]:
        async with open_target(Address(dsn, self._work.task_name, LOCK_SECONDS)) as target:
            return {"bytes": await size_of(target), "label": target.identity.database}


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
