"""Policies: rules over tasks, whatever the tasks themselves say; what they decide over a start, and what they set.

Which of several counts: the one with the nearer scope first (see core.scopes), then the lower `priority`, then deny
before defer before require_approval before allow, then the name. A policy is in force while all its conditions hold.

Each of its rules that *matches* (it freezes now, its rate is used up, a backup is missing …) has its actions done; a
policy without such a rule matches always. An action `allow` that comes first lets a start pass that a later one would
deny, defer or have approved.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from jamaint.core.calendar.freezes import Freeze
from jamaint.core.scopes import EVERYTHING, Scope
from jamaint.core.tasks import Condition, Origin, Retry, Task

DECISIONS = ("deny", "defer", "require_approval", "allow")
"""Actions that decide over a start, the one that goes before the others first."""


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `at_most` starts within any `within_seconds`, of all that the policy is about; and no start earlier than
    `apart_seconds` after another."""

    at_most: int | None = None
    within_seconds: float = 0.0
    apart_seconds: float = 0.0

    @property
    def reach_seconds(self) -> float:
        """How far back it looks."""
        return max(self.within_seconds, self.apart_seconds)


@dataclass(frozen=True, slots=True)
class BackupRequired:
    """A backup must have completed within so long: that task's, or any of type backup."""

    within_seconds: float
    task: str | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """What a policy asks for; what is None or empty is not asked for."""

    freezes: tuple[Freeze, ...] = ()
    rates: tuple[Rate, ...] = ()
    approval_by: tuple[str, ...] | None = None
    """Who may approve: `user:NAME`, `group:NAME` or root; with none named, any admin."""
    rollback_required: bool = False
    backups: tuple[BackupRequired, ...] = ()
    protected_paths: tuple[str, ...] = ()
    retry: Retry | None = None
    timeout_seconds: float | None = None
    retention_seconds: float | None = None
    emergency_seconds: float | None = None
    """For how long after it was given an emergency override lifts guards; None: it is not this policy's matter."""

    @property
    def match(self) -> bool:
        """Whether any of them matches at times, and so decides when the actions are done."""
        return bool(self.freezes or self.rates or self.rollback_required or self.backups or self.protected_paths)


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy as defined. `decision` is one of DECISIONS, or None where it only sets and notifies."""

    id: str
    name: str
    scope: Scope = EVERYTHING
    rules: Rules = Rules()
    decision: str | None = "deny"
    sets: Mapping[str, Any] = field(default_factory=dict)
    notify: Mapping[str, Any] = field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()
    priority: int = 100
    description: str = ""
    enabled: bool = True
    origin: Origin = "file"
    definition: Mapping[str, Any] = field(default_factory=dict)

    @property
    def order(self) -> tuple[int, int, int, str]:
        """What goes first counts."""
        rank = len(DECISIONS) if self.decision is None else DECISIONS.index(self.decision)
        return (-self.scope.specificity, self.priority, rank, self.name)


def unreadable(name: str, definition: Mapping[str, Any], why: str) -> Policy | None:
    """Return what stands for a stored policy that cannot be read: it defers every start, until somebody mends it.

    None for one whose only action is to allow: without it, nothing starts that it would have kept.
    """
    if definition.get("actions") in (["allow"], ("allow",)):
        return None
    says = f"it cannot be read ({why}), so nothing starts: fix it with `jamaintctl policy update {name}`, or delete it"
    return Policy(
        id=name, name=name, decision="defer", priority=-1, description=says, origin="api", definition=definition
    )


def in_order(policies: Iterable[Policy]) -> tuple[Policy, ...]:
    """Those that are enabled, the first to count first."""
    return tuple(sorted((policy for policy in policies if policy.enabled), key=lambda policy: policy.order))


def about(policies: Iterable[Policy], task: Task, window: str | None) -> list[Policy]:
    """Those whose scope covers the task, in the order given."""
    return [policy for policy in policies if policy.scope.covers(task, window)]


def effective(task: Task, window: str | None, policies: Sequence[Policy]) -> Task:
    """The task with what policies set of it: plain values, so that whoever carries them out knows no policy.

    `policies` are in order. What the task itself says stays: `timeout`, `retry` and `expected_duration` are defaults.
    What a policy `set`s is no default: the first that sets a key has it. Protected paths are left alone by whatever can
    exclude paths.
    """
    mine = about(policies, task, window)
    if not mine:
        return task
    given = task.definition
    sets = {key: value for policy in reversed(mine) for key, value in policy.sets.items()}
    timeout = sets.get("timeout_seconds") or task.timeout_seconds or _first(one.rules.timeout_seconds for one in mine)
    retry = sets.get("retry") or (task.retry if "retry" in given else _first(one.rules.retry for one in mine))
    protected = tuple(path for policy in mine for path in policy.rules.protected_paths)
    return replace(
        task,
        timeout_seconds=timeout,
        retry=retry or task.retry,
        priority=sets.get("priority", task.priority),
        on_window_end=sets.get("on_window_end", task.on_window_end),
        config=_with_exclusions(task.config, protected),
        notifications=_with_notice(task.notifications, mine),
    )


def retention_seconds(task: Task, policies: Sequence[Policy]) -> float | None:
    """How long the task's ended executions are kept; None: for ever."""
    found: float | None = _first(policy.rules.retention_seconds for policy in about(policies, task, None))
    return found


def emergency_seconds(task: Task, window: str | None, policies: Sequence[Policy]) -> float | None:
    """For how long an emergency override may lift guards by leave of a policy; None: no policy gives leave."""
    found: float | None = _first(policy.rules.emergency_seconds for policy in about(policies, task, window))
    return found


def without_way_back(task: Task) -> str | None:
    """Why the task is known to keep no way back, before any plan; None where only a plan can tell."""
    if not task.rollback.enabled:
        return "it keeps no undo data (rollback.enabled: false)"
    if task.rollback.when_full == "unlink":
        return "it keeps no undo data while a disk is full (rollback.when_full: unlink)"
    if task.executor == "command" and not task.config.get("rollback_command"):
        return "it has no rollback_command"
    return None


def protected_by(task: Task, protected: Sequence[str]) -> str | None:
    """The first path of the task that lies in a protected one, or that holds one and cannot leave it alone."""
    for path in sorted(_paths_of(task.config)):
        fixed = _before_wildcard(path)
        for one in protected:
            if _contains(one, fixed) or (_contains(fixed, one) and not _can_exclude(task.config)):
                return path
    return None


def starts_within(starts: Iterable[datetime], now: datetime, seconds: float) -> list[datetime]:
    """Of so many starts those that lie less than so long ago, the oldest first."""
    return sorted(start for start in starts if 0 <= (now - start).total_seconds() < seconds)


def _first(values: Iterable[Any]) -> Any:
    return next((value for value in values if value is not None), None)


def _with_notice(given: Mapping[str, Any], policies: Sequence[Policy]) -> Mapping[str, Any]:
    found: dict[str, Any] = dict(given)
    for key in ("on", "channels"):
        added = [each for policy in policies for each in policy.notify.get(key, ())]
        if added:
            found[key] = list(dict.fromkeys([*given.get(key, ()), *added]))
    return found


def _with_exclusions(config: Mapping[str, Any], protected: Sequence[str]) -> Mapping[str, Any]:
    if not protected:
        return config
    found = dict(config)
    if "exclude" in found:
        found["exclude"] = _with(found["exclude"], protected)
    if isinstance(found.get("paths"), (list, tuple)):
        found["paths"] = [
            {**one, "exclude": _with(one["exclude"], protected)} if _excludes(one) else one for one in found["paths"]
        ]
    return found


def _with(there: Sequence[str], more: Sequence[str]) -> list[str]:
    return [*there, *(one for one in more if one not in there)]


def _excludes(value: Any) -> bool:
    return isinstance(value, Mapping) and "exclude" in value


def _can_exclude(config: Mapping[str, Any]) -> bool:
    paths = config.get("paths")
    return "exclude" in config or (isinstance(paths, (list, tuple)) and all(_excludes(one) for one in paths))


def _paths_of(value: Any, key: str = "") -> set[str]:
    """What a config names as absolute paths, whatever its executor is; a command's arguments are its own matter."""
    if isinstance(value, str):
        return {value} if value.startswith("/") else set()
    if isinstance(value, Mapping):
        inner = [_paths_of(item, name) for name, item in value.items() if name not in NO_PATHS]
    elif isinstance(value, (list, tuple)):
        inner = [_paths_of(item, key) for item in value]
    else:
        inner = []
    return set().union(*inner)


NO_PATHS = frozenset({"beside", "exclude", "command", "rollback_command", "environment", "urls", "postrotate"})


def _before_wildcard(path: str) -> str:
    head: list[str] = []
    for part in path.split("/"):
        if any(sign in part for sign in "*?["):
            break
        head.append(part)
    return "/".join(head) or "/"


def _contains(directory: str, path: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")
