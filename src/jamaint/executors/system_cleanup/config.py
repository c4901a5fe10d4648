"""system.cleanup: what the config of its tasks, and the section `cleanup`, may hold."""

from collections.abc import Iterator
from typing import Any

from pydantic import model_validator

from jamaint.core.cleanup_kinds import KINDS
from jamaint.executors.cache_cleanup.config import CacheCleanup
from jamaint.executors.database_cleanup.config import DatabaseCleanup
from jamaint.executors.filesystem_cleanup.config import FilesystemCleanup
from jamaint.executors.logs_cleanup.config import LogsCleanup
from jamaint.executors.temp_cleanup.config import TempCleanup
from jamaint.schema.errors import Flaw
from jamaint.schema.executor_config import GrantedName, Work


class SystemCleanup(Work):
    """system.cleanup: for each kind the config of its executor."""

    temp: TempCleanup | None = None
    logs: LogsCleanup | None = None
    database: DatabaseCleanup | None = None
    cache: CacheCleanup | None = None
    filesystem: FilesystemCleanup | None = None

    @model_validator(mode="after")
    def _has_a_kind(self) -> "SystemCleanup":
        if not self._kinds():
            raise ValueError(f"names no kind of cleanup: there are {', '.join(type(self).model_fields)}")
        for kind, work in self._kinds().items():
            if getattr(work, "user", None) is not None:
                raise ValueError(f"{kind} cannot have a `user` here, because all kinds are one process: write a task")
        return self

    def normalised(self) -> dict[str, Any]:
        return {
            "kinds": [
                {"kind": kind, "executor": KINDS[kind].executor, "config": work.normalised()}
                for kind, work in self._kinds().items()
            ]
        }

    def named(self) -> Iterator[GrantedName]:
        for kind, work in self._kinds().items():
            for each in work.named():
                yield each._replace(path=(kind, *each.path))

    def doubts(self) -> Iterator[Flaw]:
        for kind, work in self._kinds().items():
            for doubt in work.doubts():
                yield doubt._replace(path=(kind, *doubt.path))

    def _kinds(self) -> dict[str, Work]:
        given = {kind: getattr(self, kind, None) for kind in KINDS}
        return {kind: work for kind, work in given.items() if work is not None}
