"""What a guard is: one question that decides over a start, what it looks at, and its answer.

A guard answers *pass*, *wait* (it may yet become true) or *refuse* (it will not for this one).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from jamaint.core.calendar.freezes import FreezeState
from jamaint.core.calendar.windows import Opening, Window
from jamaint.core.conditions.condition import Facts
from jamaint.core.executions import Execution
from jamaint.core.policies.approvals import Approval
from jamaint.core.policies.policies import Policy
from jamaint.core.resources import Resource
from jamaint.core.tasks import Task


class Verdict(NamedTuple):
    """What one guard says: `verdict` is pass, wait or refuse; `detail` has the figures."""

    guard: str
    verdict: str
    detail: str

    def to_json(self) -> dict[str, Any]:
        """As it stands in an execution's reasons and goes over the control protocol."""
        return {"guard": self.guard, "verdict": self.verdict, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class Waiting:
    """A scheduled execution with what decides over it; `window` is the window it must run in, if any."""

    execution: Execution
    task: Task
    paused_until: datetime | None = None
    catches_up: bool = False
    """It was missed, by an outage or a clock that was set."""

    @property
    def by_request(self) -> bool:
        """Asked for by a person, who gets a refusal at once instead of waiting for a fact to change."""
        return self.execution.trigger == "request"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that a decision depends on. `waiting` is in the order of starting; `running` maps ids to (task, window)."""

    waiting: Sequence[Waiting]
    running: Mapping[str, "Occupied"] = field(default_factory=dict)
    openings: Mapping[str, Opening] = field(default_factory=dict)
    """The windows that are open now, by name."""
    windows: Mapping[str, Window] = field(default_factory=dict)
    """All windows, by name: to say why one is closed."""
    ended: Mapping[str, Execution] = field(default_factory=dict)
    """Each task's newest ended execution that ran, by the task's name."""
    skipped: Mapping[str, Execution] = field(default_factory=dict)
    """Each task's newest execution that was given up before it started, by the task's name."""
    unable: Mapping[str, str] = field(default_factory=dict)
    """Of the tasks that something depends on, those that cannot run, each with what keeps it: `is disabled`."""
    durations: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """How long each task's newest completed executions took, in milliseconds, by the task's name."""
    completed: Mapping[str, datetime] = field(default_factory=dict)
    """When each task's newest completed execution ended, by the task's name."""
    starts: Mapping[str, Sequence[datetime]] = field(default_factory=dict)
    """When executions of each task have started, as far back as a policy's rate looks."""
    backups: Sequence[str] = ()
    """The names of all tasks of type backup."""
    defined: Mapping[str, Task] = field(default_factory=dict)
    """All tasks, by name."""
    freezes: Sequence[FreezeState] = ()
    policies: Sequence[Policy] = ()
    """Those that are enabled, the first to count first."""
    frozen: Mapping[str, FreezeState] = field(default_factory=dict)
    """How the freezes of policies stand, by their names."""
    approvals: Sequence[Approval] = ()
    facts: Facts = field(default_factory=Facts)
    caught_up: tuple[datetime, ...] = ()
    """When those were started that had been missed, within the last minute."""
    catch_ups_per_minute: int = 30
    max_concurrent: int = 4
    enabled: bool = True
    draining: bool = False
    undoing: Sequence[tuple[str, tuple[Resource, ...]]] = ()
    """Rollbacks that are under way: the task's name, and what it works on."""


class Occupied(NamedTuple):
    """A running execution, as far as others care."""

    task: Task
    window: str | None
    opening_end: datetime | None


@dataclass(slots=True)
class View:
    """The snapshot as the guards see it, with what has been started in this very decision."""

    snapshot: Snapshot
    now: datetime
    total: int
    by_window: dict[str, int]
    tasks: set[str]
    caught_up: int = 0
    due_since: dict[str, datetime] | None = None
    """Since when each task has had an occurrence that waits; reckoned once somebody depends on another task."""
    retries: dict[str, datetime] | None = None
    """When each task that has failed is tried again; reckoned together with `due_since`."""
    newest_due: dict[str, datetime] | None = None
    """When each task's newest waiting occurrence was due; reckoned once an older one is to make way for it."""
    touched: list[tuple[str, tuple[Resource, ...]]] = field(default_factory=list)
    """By what runs: the task's name, and what it works on."""
    started: list[Waiting] = field(default_factory=list)
    """What has been started in this very decision."""

    def starts_of(self, policy: Policy) -> list[datetime]:
        """When something has started that the policy is about, this decision's included."""
        defined = self.snapshot.defined
        known = [
            moment
            for name, moments in self.snapshot.starts.items()
            if (task := defined.get(name)) is not None and policy.scope.covers(task, _window_of(task))
            for moment in moments
        ]
        now = [one for one in self.started if policy.scope.covers(one.task, one.execution.window_name)]
        return [*known, *(self.now for _ in now)]


def _window_of(task: Task) -> str | None:
    return None if task.schedule is None else task.schedule.window


def clock(moment: datetime | None) -> str:
    """The moment in a verdict's detail."""
    return "ever" if moment is None else moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def span(seconds: float) -> str:
    """A length of time in a verdict's detail: `2 h 5 min`, `40 min`, `12 s`."""
    whole = max(round(seconds), 0)
    if whole < 120:
        return f"{whole} s"
    minutes = round(whole / 60)
    hours, rest = divmod(minutes, 60)
    return " ".join(
        part for part in (f"{hours} h" if hours else "", f"{rest} min" if rest or not hours else "") if part
    )
