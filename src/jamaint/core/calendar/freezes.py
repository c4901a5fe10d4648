"""Freezes: times in which nothing may start, whatever windows and schedules say.

A freeze is open but for its periods; or, closed by default, shut but for them. Every freeze that is about a task has to
be open for it to start: a closed one is never made up for by another that is open.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from jamaint.core.calendar.periods import Periods, end_of, start_after
from jamaint.core.scopes import EVERYTHING, Scope


@dataclass(frozen=True, slots=True)
class Freeze:
    """One freeze. With `closed_by_default`, its periods are when things may start; else when they may not."""

    name: str
    periods: tuple[Periods, ...]
    scope: Scope = EVERYTHING
    closed_by_default: bool = False
    description: str = ""
    enabled: bool = True
    timezone: str = "UTC"
    definition: Mapping[str, Any] = field(default_factory=dict)


class FreezeState(NamedTuple):
    """How a freeze stands at a moment: whether it holds, and when that changes (None: never)."""

    freeze: Freeze
    holds: bool
    changes_at: datetime | None


def state_at(freeze: Freeze, moment: datetime) -> FreezeState:
    """How `freeze` stands at `moment`; one that is not enabled never holds."""
    if not freeze.enabled:
        return FreezeState(freeze, False, None)
    end = end_of(freeze.periods, moment)
    changes_at = end if end is not None else start_after(freeze.periods, moment)
    return FreezeState(freeze, (end is not None) is not freeze.closed_by_default, changes_at)
