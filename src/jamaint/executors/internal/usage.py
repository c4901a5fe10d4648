"""usage: measures directories, disks, databases and caches. It is asked by the daemon itself; no task can name it."""

import asyncio
import os
from collections.abc import Callable
from typing import Any

from jamaint.caches.memcached import MemcachedError, statistics
from jamaint.caches.redis import CacheRefusedError, RedisCache, shown
from jamaint.core.capacity import Target
from jamaint.core.plans import Plan, Step
from jamaint.databases.connection import Address, TargetError, open_target
from jamaint.databases.size import size_of
from jamaint.executors.shared.executor import Host, Work
from jamaint.files.access.disk_usage import measure
from jamaint.files.access.root import RootRefusedError, open_root
from jamaint.files.access.skip_report import Skipped
from jamaint.files.rights.borrowed import acting_as, can_lend
from jamaint.host.accounts import Account, account_of
from jamaint.host.bounded_calls import Call, NoAnswerError, in_child
from jamaint.host.disk_space import disk, each_disk_once

LOCK_SECONDS = 1.0
ALIVE_SECONDS = 0.5
SILENCE_SECONDS = 10.0
"""A directory of which nothing comes for so long does not answer: the server of a mount is gone."""


class Usage:
    """One step, `usage`: `args` has the targets as [kind, name]; each has an answer, or a problem that says why not."""

    def __init__(self, work: Work, host: Host) -> None:
        self._work, self._host = work, host
        self._silent: list[str] = []
        """Directories that did not answer."""

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
        name = target.name
        if any(name == path or name.startswith(f"{path}/") for path in self._silent):
            return {"bytes": None, "problem": "it does not answer", "silent": True}
        try:
            return self._figures(target)
        except NoAnswerError as error:
            self._silent.append(name)
            return {"bytes": None, "problem": str(error), "silent": True}
        except (OSError, RootRefusedError, TargetError, CacheRefusedError, MemcachedError) as error:
            return {"bytes": None, "problem": str(error)}

    def _figures(self, target: Target) -> dict[str, Any]:
        kind, name = target
        if target.is_address:
            addresses = self._work.config.get("addresses", {})
            if name not in addresses:  # by these is checked what a worker may reach
                return {"bytes": None, "problem": "its address was not given when this worker was opened"}
            name = addresses[name]["dsn"]
        if kind == "storage":
            return self._answered(lambda _mark: disk(name))
        if kind == "database":
            return asyncio.run(self._database(name))
        return _cache(name) if kind == "cache" else self._directory(name)

    def _directory(self, path: str) -> dict[str, Any]:
        """As who we are; what belongs to somebody else, as he, where this process can be anybody."""
        try:
            return self._answered(lambda mark: _sizes(path, mark, self._host.alone))
        except RootRefusedError as refused:
            account = _owner(path) if refused.kind == "unsafe" and can_lend() else None
            if account is None:
                raise
        sizes: dict[str, Any] = in_child(lambda: _sizes_as(account, path), SILENCE_SECONDS, self._alive, ALIVE_SECONDS)
        return sizes

    def _answered(self, work: Callable[[Callable[[], None]], dict[str, Any]]) -> dict[str, Any]:
        """Return what `work` returns. Raises NoAnswerError, and what `work` or the host's safe point raises."""
        return Call(work).result(SILENCE_SECONDS, self._alive, ALIVE_SECONDS)

    def _alive(self) -> None:
        """Says so: who waits for us takes a silent worker for dead."""
        self._host.checkpoint()
        self._host.progress(0, None, "targets")

    async def _database(self, dsn: str) -> dict[str, Any]:
        async with open_target(Address(dsn, self._work.task_name, LOCK_SECONDS)) as target:
            return {"bytes": await size_of(target), "label": target.identity.database}


def _sizes_as(account: Account, path: str) -> dict[str, Any]:
    with acting_as(account):
        return _sizes(path, lambda: None, lambda: True)


def _sizes(path: str, mark: Callable[[], None], alone: Callable[[], bool]) -> dict[str, Any]:
    skipped = Skipped()
    with open_root(path, shared=True) as root:  # nothing is changed, so what belongs to anybody is measured
        size, files = measure(root, skipped, mark, alone)
    if not skipped.count:
        return {"bytes": size, "files": files}
    first = skipped.first or {}
    left_out = f"without {skipped.count:,} that could not be entered; the first is {first['path']}: {first['why']}"
    return {"bytes": size, "files": files, "problem": left_out}


def _owner(path: str) -> Account | None:
    """The user to whom a directory belongs; None for one without a name."""
    try:
        return account_of(os.lstat(path).st_uid)
    except (OSError, LookupError):
        return None


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
