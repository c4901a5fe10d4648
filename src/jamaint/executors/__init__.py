"""The list: what a task's `executor` may name, and where it is. A worker loads the one that it is to be."""

from importlib import import_module

from jamaint.executors.shared.executor import Executor

EXECUTORS: dict[str, str] = {
    "cache.cleanup": "cache_cleanup.executor:CacheCleanup",
    "cache.warmup": "cache_warmup.executor:CacheWarmup",
    "command": "command.executor:Command",
    "database.cleanup": "database_cleanup.executor:DatabaseCleanup",
    "database.optimize": "database_optimize.executor:DatabaseOptimize",
    "filesystem.cleanup": "filesystem_cleanup.executor:FilesystemCleanup",
    "filesystem.optimize": "filesystem_optimize.executor:FilesystemOptimize",
    "logs.cleanup": "logs_cleanup.executor:LogsCleanup",
    "logs.rotate": "logs_rotate.executor:LogsRotate",
    "looks": "internal.condition_probes:Looks",
    "noop": "noop.executor:Noop",
    "temp.cleanup": "temp_cleanup.executor:TempCleanup",
    "usage": "internal.usage:Usage",
    "system.cleanup": "system_cleanup.executor:SystemCleanup",
}


def executor_of(name: str) -> type[Executor]:
    """The class of the executor of that name. Raises KeyError when there is none."""
    module, kind = EXECUTORS[name].split(":")
    found: type[Executor] = getattr(import_module(f"{__name__}.{module}"), kind)
    return found
