"""The list of executors: one row states all that the rest of the product has to know of one.

A row is plain data, so that the core may read it and a worker pays nothing for it. The classes are named, not imported:
`jamaint.executors` and `jamaint.config.executor_models` load them from the folder of the executor.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

WorkerKind = Literal["files", "databases", "commands", "packages", "none"]


class ExecutorRow(NamedTuple):
    """All that is to be known of one executor without loading it.

    key: how a task's `executor` names it.
    folder: its folder below jamaint/executors; "" if this version does not have it yet.
    config_class: the class in `config.py`; "" if no task may name the executor, as it serves the daemon itself.
    executor_class: the class in `executor.py`, or `module:class` where the module has another name.
    kinds: the (type, category) of tasks that mean it without naming it; `custom` tasks are told apart by their config.
    worker: the kind of worker that runs it, unless its config asks for more rights; "none" if it needs no process.
    needs_network: whether it speaks to servers.
    works_on: the kind of target whose size `usage` tells for it; "" if none.
    frees: whether its plan tells what could be freed or put in order, for the recommendations.
    only_reads: whether it changes nothing where it looks, and so stands in no other task's way.
    by_owner: whether it can act with the rights of each directory's owner (`user: owner`).
    can_throttle: whether its pace can be reduced; a command's work is done by others at their own pace.
    counts: what its undo puts back: "file" or "row".
    """

    key: str
    folder: str
    config_class: str
    executor_class: str
    kinds: tuple[tuple[str, str], ...]
    worker: WorkerKind
    needs_network: bool = False
    works_on: str = ""
    frees: bool = False
    only_reads: bool = False
    by_owner: bool = False
    can_throttle: bool = True
    counts: Literal["file", "row"] = "file"


ROWS: tuple[ExecutorRow, ...] = (
    ExecutorRow(
        "database.optimize",
        "database_optimize",
        "DatabaseOptimize",
        "DatabaseOptimize",
        (("optimization", "database"),),
        "databases",
        needs_network=True,
        works_on="database",
        frees=True,
        counts="row",
    ),
    ExecutorRow(
        "database.cleanup",
        "database_cleanup",
        "DatabaseCleanup",
        "DatabaseCleanup",
        (("cleanup", "database"),),
        "databases",
        needs_network=True,
        works_on="database",
        frees=True,
        counts="row",
    ),
    ExecutorRow(
        "logs.cleanup",
        "logs_cleanup",
        "LogsCleanup",
        "LogsCleanup",
        (("cleanup", "logs"),),
        "files",
        works_on="logs",
        frees=True,
        by_owner=True,
    ),
    ExecutorRow(
        "temp.cleanup",
        "temp_cleanup",
        "TempCleanup",
        "TempCleanup",
        (("cleanup", "system"),),
        "files",
        works_on="temp",
        frees=True,
    ),
    ExecutorRow(
        "filesystem.cleanup",
        "filesystem_cleanup",
        "FilesystemCleanup",
        "FilesystemCleanup",
        (("cleanup", "filesystem"),),
        "files",
        works_on="files",
        frees=True,
    ),
    ExecutorRow(
        "cache.cleanup",
        "cache_cleanup",
        "CacheCleanup",
        "CacheCleanup",
        (("cleanup", "cache"),),
        "databases",
        needs_network=True,
        works_on="cache",
        frees=True,
    ),
    ExecutorRow(
        "cache.warmup",
        "cache_warmup",
        "CacheWarmup",
        "CacheWarmup",
        (("optimization", "cache"),),
        "databases",
        needs_network=True,
        only_reads=True,
    ),
    ExecutorRow(
        "filesystem.optimize",
        "filesystem_optimize",
        "FilesystemOptimize",
        "FilesystemOptimize",
        (("optimization", "filesystem"),),
        "packages",
    ),
    ExecutorRow("backup.files", "", "", "", (("backup", "filesystem"),), "files"),
    ExecutorRow("backup.database", "", "", "", (("backup", "database"),), "databases", needs_network=True),
    ExecutorRow("backup.full", "", "", "", (("backup", "system"),), "packages", needs_network=True),
    ExecutorRow(
        "packages.update", "", "", "", (("update", "system"), ("update", "security")), "packages", needs_network=True
    ),
    ExecutorRow(
        "health.check",
        "",
        "",
        "",
        (("monitoring", "system"), ("monitoring", "performance")),
        "packages",
        needs_network=True,
        only_reads=True,
    ),
    ExecutorRow("security.audit", "", "", "", (("security", "security"),), "packages", only_reads=True),
    ExecutorRow(
        "logs.rotate",
        "logs_rotate",
        "LogsRotate",
        "LogsRotate",
        (("security", "logs"),),
        "files",
        works_on="logs",
        by_owner=True,
    ),
    ExecutorRow("command", "command", "RunCommand", "Command", (), "commands", can_throttle=False),
    ExecutorRow("sql", "", "", "", (), "databases", needs_network=True, counts="row"),
    ExecutorRow("noop", "noop", "Nothing", "Noop", (), "none", only_reads=True),
    ExecutorRow(
        "system.cleanup", "system_cleanup", "SystemCleanup", "SystemCleanup", (), "packages", needs_network=True
    ),
    # These serve the daemon itself.
    ExecutorRow(
        "looks", "internal", "", "condition_probes:Looks", (), "databases", needs_network=True, only_reads=True
    ),
    ExecutorRow("usage", "internal", "", "usage:Usage", (), "files", only_reads=True),
)

EXECUTORS: Mapping[str, ExecutorRow] = {row.key: row for row in ROWS}


def row_of(executor: str) -> ExecutorRow:
    """Return the row of an executor. Raises ValueError for a name that no row has: nothing is assumed of it."""
    try:
        return EXECUTORS[executor]
    except KeyError:
        raise ValueError(f"there is no executor {executor!r}") from None
