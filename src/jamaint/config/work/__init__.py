"""The list: the executors of this version, each with what its tasks' `config` may hold."""

from collections.abc import Mapping

from jamaint.config.work.cache import CacheCleanup
from jamaint.config.work.command import RunCommand
from jamaint.config.work.database_cleanup import DatabaseCleanup
from jamaint.config.work.database_optimize import DatabaseOptimize
from jamaint.config.work.filesystem import FilesystemCleanup
from jamaint.config.work.logs import LogsCleanup
from jamaint.config.work.noop import Nothing
from jamaint.config.work.optimize import FilesystemOptimize
from jamaint.config.work.rotate import LogsRotate
from jamaint.config.work.system import SystemCleanup
from jamaint.config.work.temp import TempCleanup
from jamaint.config.work.warmup import CacheWarmup
from jamaint.config.work.work import Work

CONFIG_OF: Mapping[str, type[Work]] = {
    "cache.cleanup": CacheCleanup,
    "cache.warmup": CacheWarmup,
    "command": RunCommand,
    "database.cleanup": DatabaseCleanup,
    "database.optimize": DatabaseOptimize,
    "filesystem.cleanup": FilesystemCleanup,
    "filesystem.optimize": FilesystemOptimize,
    "logs.cleanup": LogsCleanup,
    "logs.rotate": LogsRotate,
    "noop": Nothing,
    "temp.cleanup": TempCleanup,
    "system.cleanup": SystemCleanup,
}
