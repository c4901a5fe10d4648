"""The list: what a task's `executor` may name, and where it is. A worker loads the one that it is to be."""

from importlib import import_module

from jamaint.executors.executor import Executor

EXECUTORS: dict[str, str] = {
    "cache.cleanup": "cache:CacheCleanup",
    "cache.warmup": "warmup:CacheWarmup",
    "command": "command:Command",
    "database.cleanup": "database_cleanup:DatabaseCleanup",
    "database.optimize": "database_optimize:DatabaseOptimize",
    "filesystem.cleanup": "filesystem:FilesystemCleanup",
    "filesystem.optimize": "optimize:FilesystemOptimize",
    "logs.cleanup": "logs:LogsCleanup",
    "logs.rotate": "rotate:LogsRotate",
    "looks": "looks:Looks",
    "noop": "noop:Noop",
    "temp.cleanup": "temp:TempCleanup",
    "usage": "usage:Usage",
    "system.cleanup": "system:SystemCleanup",
}


def executor_of(name: str) -> type[Executor]:
    """The class of the executor of that name. Raises KeyError when there is none."""
    module, kind = EXECUTORS[name].split(":")
    found: type[Executor] = getattr(import_module(f"{__name__}.{module}"), kind)
    return found
