"""The configuration of `database.cleanup`."""

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from jamaint.executors.shared.database_config import DatabaseWork, OldData, twice
from jamaint.schema.errors import Flaw
from jamaint.schema.fields import some


class DatabaseCleanup(DatabaseWork):
    """database.cleanup: old rows are deleted in batches, and kept for a rollback."""

    cleanup_old_data: Annotated[tuple[OldData, ...], AfterValidator(some)] = Field(
        description="what is old in which table, such as [{ table: sessions, age_column: seen_at, older_than: 90d }]"
    )

    def normalised(self) -> dict[str, Any]:
        return {**super().normalised(), "cleanup_old_data": [rule.normalised() for rule in self.cleanup_old_data]}

    def doubts(self) -> Iterator[Flaw]:
        yield from twice(self.cleanup_old_data)
