"""The list: the executors of this version, each with what its tasks' `config` may hold."""

from collections.abc import Mapping

from jamaint.executors.cache_cleanup.config import CacheCleanup
from jamaint.executors.cache_warmup.config import CacheWarmup
from jamaint.executors.command.config import RunCommand
from jamaint.executors.database_cleanup.config import DatabaseCleanup
from jamaint.executors.database_optimize.config import DatabaseOptimize
from jamaint.executors.filesystem_cleanup.config import FilesystemCleanup
from jamaint.executors.filesystem_optimize.config import FilesystemOptimize
from jamaint.executors.logs_cleanup.config import LogsCleanup
from jamaint.executors.logs_rotate.config import LogsRotate
from jamaint.executors.noop.config import Nothing
from jamaint.executors.system_cleanup.config import SystemCleanup
from jamaint.executors.temp_cleanup.config import TempCleanup
from jamaint.schema.executor_config import Work

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
