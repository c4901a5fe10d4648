"""Tasks: what is to be maintained, when, and under which conditions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from jamaint.core.plans import MassDeletion
from jamaint.core.recurrence import Schedule

TYPES = ("cleanup", "optimization", "backup", "update", "monitoring", "security", "custom")
CATEGORIES = ("database", "filesystem", "cache", "logs", "security", "performance", "system")
PRIORITIES = ("critical", "high", "medium", "low")
"""The most urgent first."""

Origin = Literal["file", "api"]


@dataclass(frozen=True, slots=True)
class Dependency:
    """The task starts only if `task`'s newest execution ended in `state`, at most `within_seconds` ago."""

    task: str
    state: str = "completed"
    within_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """A fact of the machine that must hold right before a start: `kind` names it, `params` bound it."""

    kind: str
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RollbackRule:
    """Whether an execution keeps its way back, and takes it by itself when it fails."""

    enabled: bool = True
    auto_rollback: bool = False


@dataclass(frozen=True, slots=True)
class Task:
    """One task as an administrator defined it. `config` is what its executor reads, normalised: seconds and bytes."""

    id: str
    name: str
    type: str
    category: str
    executor: str
    schedule: Schedule | None
    config: Mapping[str, Any]
    description: str = ""
    priority: str = "medium"
    enabled: bool = True
    timeout_seconds: float | None = None
    on_window_end: Literal["finish", "pause", "cancel"] = "finish"
    dependencies: tuple[Dependency, ...] = ()
    conditions: tuple[Condition, ...] = ()
    rollback: RollbackRule = RollbackRule()
    mass_deletion: MassDeletion = field(default_factory=MassDeletion)
    notifications: Mapping[str, Any] = field(default_factory=dict)
    origin: Origin = "file"
    definition: Mapping[str, Any] = field(default_factory=dict)
    """The object as it was given, which is what is stored, shown and hashed."""

    @property
    def rank(self) -> int:
        """0 for the most urgent priority."""
        return PRIORITIES.index(self.priority)
