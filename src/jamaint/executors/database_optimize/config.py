"""The configuration of `database.optimize`."""

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import PlainValidator

from jamaint.executors.shared.database_config import DatabaseWork, OldData, _percent, twice
from jamaint.schema.errors import Flaw
from jamaint.schema.fields import Flag


class DatabaseOptimize(DatabaseWork):
    """database.optimize: looks in any case, and does what is switched on."""

    optimize_indexes: Flag = False
    index_fragmentation_threshold: Annotated[float, PlainValidator(_percent)] = 0.3
    expression_indexes: Flag = False
    remove_unused_indexes: Flag = False
    update_statistics: Flag = False
    cleanup_old_data: tuple[OldData, ...] = ()

    def normalised(self) -> dict[str, Any]:
        return {
            **super().normalised(),
            "optimize_indexes": self.optimize_indexes,
            "fragmentation": self.index_fragmentation_threshold,
            "expression_indexes": self.expression_indexes,
            "remove_unused_indexes": self.remove_unused_indexes,
            "update_statistics": self.update_statistics,
            "cleanup_old_data": [rule.normalised() for rule in self.cleanup_old_data],
        }

    def doubts(self) -> Iterator[Flaw]:
        yield from twice(self.cleanup_old_data)
        if self.expression_indexes and not self.optimize_indexes:
            yield Flaw(("expression_indexes",), "does nothing without `optimize_indexes: true`")
