"""noop: its tasks have no config."""

from collections.abc import Iterator
from typing import Any

from jamaint.schema.executor_config import GrantedName, Work


class Nothing(Work):
    """noop: does nothing, for trying out schedules and for measuring."""

    def normalised(self) -> dict[str, Any]:
        return {}

    def named(self) -> Iterator[GrantedName]:
        yield from ()
