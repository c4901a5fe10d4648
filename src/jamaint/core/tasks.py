"""Tasks: what is to be maintained, when, and under which conditions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from jamaint.core.plans import MassDeletion
from jamaint.core.rate_limits import Limits
from jamaint.core.recurrence import Schedule
from jamaint.core.resources import Resource

TYPES = ("cleanup", "optimization", "backup", "update", "monitoring", "security", "custom")
CATEGORIES = ("database", "filesystem", "cache", "logs", "security", "performance", "system")
PRIORITIES = ("critical", "high", "medium", "low")
"""The most urgent first."""

Origin = Literal["file", "api"]


@dataclass(frozen=True, slots=True)
class Dependency:
    """The task starts only if `task`'s newest execution ended in `state`, at most `within_seconds` ago.

    Where it did not, what waits for it is held until it does, or skipped: `on_failure`.
    """

    task: str
    state: str = "completed"
    within_seconds: float | None = None
    on_failure: Literal["hold", "skip"] = "hold"


@dataclass(frozen=True, slots=True)
class Condition:
    """A fact of the machine that must hold right before a start: `kind` names it, `params` bound it.

    With `while_running` it is looked at again while the task runs, which pauses or ends it. What cannot be learnt does
    not hold, unless `unknown_is_met`.
    """

    kind: str
    params: Mapping[str, Any]
    while_running: Literal["pause", "abort"] | None = None
    unknown_is_met: bool = False

    @property
    def question(self) -> str:
        """What has to be looked at; conditions that ask the same need one look."""
        return f"{self.kind} {sorted(self.params.items())}"


@dataclass(frozen=True, slots=True)
class RollbackRule:
    """Whether an execution keeps its way back, and takes it by itself when it fails.

    `when_full`: whether files on a disk that is full are kept in the trash all the same, or removed at once.
    """

    enabled: bool = True
    auto_rollback: bool = False
    when_full: Literal["keep", "unlink"] = "keep"


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a scheduled execution that failed is tried: `attempts` counts the first one too.

    The second comes `delay_seconds` after the end of the first, each later one `factor` times as long after that.
    """

    attempts: int = 1
    delay_seconds: float = 60.0
    factor: float = 2.0
    on: frozenset[str] = frozenset({"failed", "timeout", "interrupted"})


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
    expected_duration_seconds: float | None = None
    on_window_end: Literal["finish", "pause", "cancel"] = "finish"
    dependencies: tuple[Dependency, ...] = ()
    conditions: tuple[Condition, ...] = ()
    retry: Retry = Retry()
    overlap: Literal["skip", "queue", "cancel_older"] = "skip"
    """What becomes of an execution that is due while an earlier one of the same task runs."""
    touches: tuple[Resource, ...] = ()
    """The directories and databases that it works on: two tasks that meet there never run together."""
    rollback: RollbackRule = RollbackRule()
    mass_deletion: MassDeletion = field(default_factory=MassDeletion)
    limits: Limits = field(default_factory=Limits)
    notifications: Mapping[str, Any] = field(default_factory=dict)
    origin: Origin = "file"
    quarantined_at: datetime | None = None
    """Since when it is kept from running, because the daemon died each time that it ran."""
    definition: Mapping[str, Any] = field(default_factory=dict)
    """The object as it was given, which is what is stored, shown and hashed."""

    @property
    def rank(self) -> int:
        """0 for the most urgent priority."""
        return PRIORITIES.index(self.priority)
