"""What starts now, why each other execution waits, and when to look again: the only place that decides it.

`decide` and `verdicts` go through one list of guards, so the words an operator reads in `why` are those of the
decision itself. A guard answers *pass*, *wait* (it may yet become true) or *refuse* (it will not for this one).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from jamaint.core.conditions import Facts, unmet
from jamaint.core.executions import Execution, State
from jamaint.core.tasks import Condition, Dependency, Task
from jamaint.core.windows import Opening

CONDITION_RETRY_SECONDS = 60.0
"""How often a condition that does not hold is looked at again while something waits for it."""


class Verdict(NamedTuple):
    """What one guard says: `verdict` is pass, wait or refuse; `detail` has the figures."""

    guard: str
    verdict: str
    detail: str

    def to_json(self) -> dict[str, Any]:
        """As it stands in an execution's reasons and goes over the wire."""
        return {"guard": self.guard, "verdict": self.verdict, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class Waiting:
    """A scheduled execution with what decides over it; `window` is the window it must run in, if any."""

    execution: Execution
    task: Task
    paused_until: datetime | None = None

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
    ended: Mapping[str, Execution] = field(default_factory=dict)
    """Each task's newest ended execution that ran, by the task's name."""
    facts: Facts = field(default_factory=Facts)
    max_concurrent: int = 4
    enabled: bool = True
    draining: bool = False


class Occupied(NamedTuple):
    """A running execution, as far as others care."""

    task: Task
    window: str | None
    opening_end: datetime | None


@dataclass(frozen=True, slots=True)
class Agenda:
    """What to do now. `skip` and `held` carry reasons; `stop` are running ones whose window has ended."""

    start: tuple[str, ...] = ()
    skip: tuple[tuple[str, tuple[Verdict, ...]], ...] = ()
    held: Mapping[str, tuple[Verdict, ...]] = field(default_factory=dict)
    stop: tuple[str, ...] = ()
    wake_at: datetime | None = None
    crowded: Verdict | None = None
    """Why all those wait that are in none of the above: there is no room for any more, so they were not looked at."""


@dataclass(slots=True)
class _View:
    """The snapshot as the guards see it, with what has been started in this very decision."""

    snapshot: Snapshot
    now: datetime
    total: int
    by_window: dict[str, int]
    tasks: set[str]
    due_since: dict[str, datetime] | None = None
    """Since when each task has had an occurrence that waits; reckoned once somebody depends on another task."""


def order(waiting: Waiting) -> tuple[int, datetime, str]:
    """Most urgent first, then what was due first."""
    return (waiting.task.rank, waiting.execution.scheduled_for, waiting.execution.id)


def decide(snapshot: Snapshot, now: datetime) -> Agenda:
    """What starts at `now`, what is given up, and why each other one waits. Costs what is due, not what is defined."""
    view = _view(snapshot, now)
    start: list[str] = []
    skip: list[tuple[str, tuple[Verdict, ...]]] = []
    held: dict[str, tuple[Verdict, ...]] = {}
    crowded: Verdict | None = None
    deadlines = [one.execution.deadline for one in snapshot.waiting if one.execution.deadline is not None]
    first_deadline = min(deadlines, default=None)
    any_late = first_deadline is not None and now >= first_deadline
    any_to_skip = any_late or any(one.task.name in view.tasks for one in snapshot.waiting)
    for waiting in snapshot.waiting:
        execution = waiting.execution
        late = any_late and _is_late(execution, now)
        # What is running already is not to run once more as soon as there is room: that it runs decides, full or not.
        if view.total >= snapshot.max_concurrent and not late and waiting.task.name not in view.tasks:
            crowded = crowded or _room(waiting, view)
            if not any_to_skip:
                break
            continue
        against = tuple(verdict for verdict in verdicts(waiting, view) if verdict.verdict != "pass")
        if late:
            skip.append((execution.id, (_too_late(execution), *against)))
        elif not against:
            start.append(execution.id)
            _occupy(view, waiting)
        elif any(verdict.verdict == "refuse" for verdict in against):
            skip.append((execution.id, against))
        else:
            held[execution.id] = against
    return Agenda(
        start=tuple(start),
        skip=tuple(skip),
        held=held,
        stop=tuple(ident for ident, occupied in snapshot.running.items() if _outlived(occupied, now)),
        wake_at=_wake_at(snapshot, held, [one for one in deadlines if one > now] if any_late else deadlines, now),
        crowded=crowded,
    )


def explain(snapshot: Snapshot, waiting: Waiting, now: datetime) -> tuple[Verdict, ...]:
    """Every guard's verdict on `waiting`, as if it were to start at `now`."""
    return verdicts(waiting, _view(snapshot, now))


def verdicts(waiting: Waiting, view: _View) -> tuple[Verdict, ...]:
    """All guards, in the order in which they are listed to an operator."""
    return tuple(guard(waiting, view) for guard in GUARDS)


def _view(snapshot: Snapshot, now: datetime) -> _View:
    view = _View(snapshot, now, len(snapshot.running), {}, set())
    for occupied in snapshot.running.values():
        view.tasks.add(occupied.task.name)
        if occupied.window is not None:
            view.by_window[occupied.window] = view.by_window.get(occupied.window, 0) + 1
    return view


def _occupy(view: _View, waiting: Waiting) -> None:
    view.total += 1
    view.tasks.add(waiting.task.name)
    window = waiting.execution.window_name
    if window is not None:
        view.by_window[window] = view.by_window.get(window, 0) + 1


def _is_late(execution: Execution, now: datetime) -> bool:
    return execution.deadline is not None and now >= execution.deadline


def _too_late(execution: Execution) -> Verdict:
    return Verdict("misfire", "refuse", f"it could start until {_clock(execution.deadline)}, and had not")


def _outlived(occupied: Occupied, now: datetime) -> bool:
    ends = occupied.opening_end
    return ends is not None and now >= ends and occupied.task.on_window_end == "cancel"


def _wake_at(
    snapshot: Snapshot, held: Mapping[str, Sequence[Verdict]], deadlines: Sequence[datetime], now: datetime
) -> datetime | None:
    """The next moment at which time alone changes this agenda."""
    moments = [min(deadlines)] if deadlines else []
    moments += [
        occupied.opening_end
        for occupied in snapshot.running.values()
        if occupied.task.on_window_end == "cancel" and occupied.opening_end is not None and occupied.opening_end > now
    ]
    if held:  # one that was asked for by hand has no deadline: it is refused at its window's cutoff
        moments += [one.starts_until for one in snapshot.openings.values() if one.starts_until > now]
    if any(verdict.guard in ("condition", "dependency") for against in held.values() for verdict in against):
        moments.append(now + timedelta(seconds=CONDITION_RETRY_SECONDS))
    return min(moments, default=None)


def _scheduler_guard(waiting: Waiting, view: _View) -> Verdict:
    if view.snapshot.draining:
        verdict = "refuse" if waiting.by_request else "wait"
        return Verdict("scheduler", verdict, "the daemon is draining: nothing starts")
    if not view.snapshot.enabled and not waiting.by_request:
        return Verdict("scheduler", "wait", "the scheduler is switched off (scheduler.enabled: false)")
    return Verdict("scheduler", "pass", "the scheduler is active")


def _task_guard(waiting: Waiting, view: _View) -> Verdict:
    if not waiting.task.enabled:
        return Verdict("task", "refuse", f"{waiting.task.name} is disabled, or not defined any more")
    if waiting.paused_until is not None and view.now < waiting.paused_until and not waiting.by_request:
        return Verdict(
            "task", "refuse", f"{waiting.task.name} is paused until {_clock(waiting.paused_until)} (by hand it runs)"
        )
    return Verdict("task", "pass", f"{waiting.task.name} is enabled")


def _window_guard(waiting: Waiting, view: _View) -> Verdict:
    name = waiting.execution.window_name
    if name is None:
        return Verdict("window", "pass", "no window is asked for")
    opening = view.snapshot.openings.get(name)
    if opening is None:
        return Verdict("window", "refuse" if waiting.by_request else "wait", f"window {name} is closed")
    allowed = opening.window.allowed_tasks
    if allowed and waiting.task.type not in allowed:
        detail = f"window {name} allows {', '.join(allowed)}, and {waiting.task.name} is of type {waiting.task.type}"
        return Verdict("window", "refuse", detail)
    if view.now >= opening.starts_until:
        detail = f"window {name} lets nothing start after {_clock(opening.starts_until)} (cutoff before its end)"
        return Verdict("window", "refuse", detail)
    return Verdict("window", "pass", f"window {name} is open until {_clock(opening.end)}")


def _dependency_guard(waiting: Waiting, view: _View) -> Verdict:
    for dependency in waiting.task.dependencies:
        against = _dependency_unmet(dependency, waiting.execution.scheduled_for, view)
        if against is not None:
            return Verdict("dependency", "refuse" if waiting.by_request else "wait", against)
    count = len(waiting.task.dependencies)
    return Verdict("dependency", "pass", f"{count} met" if count else "there are none")


def _dependency_unmet(dependency: Dependency, scheduled_for: datetime, view: _View) -> str | None:
    task, state, within = dependency.task, dependency.state, dependency.within_seconds
    last, due_since = view.snapshot.ended.get(task), _due_since(task, view)
    if task in view.tasks:
        return f"{task} is still running"
    if due_since is not None and due_since <= scheduled_for:  # its newest execution is the one that waits
        return f"{task} has been due since {_clock(due_since)} and has not run"
    if last is None or last.completed_at is None:
        return f"{task} has not run yet"
    if last.status is not State(state):
        return f"{task} ended {last.status.value} at {_clock(last.completed_at)}, {state} is asked for"
    if within is not None and (view.now - last.completed_at).total_seconds() > within:
        return f"{task} was {state} at {_clock(last.completed_at)}, longer ago than is asked for"
    return None


def _due_since(task: str, view: _View) -> datetime | None:
    if view.due_since is None:
        view.due_since = {}
        for waiting in view.snapshot.waiting:
            since = waiting.execution.scheduled_for
            view.due_since[waiting.task.name] = min(since, view.due_since.get(waiting.task.name, since))
    return view.due_since.get(task)


def _condition_guard(waiting: Waiting, view: _View) -> Verdict:
    conditions = conditions_of(waiting, view.snapshot.openings)
    for condition in conditions:
        against = unmet(condition, view.snapshot.facts)
        if against is not None:
            return Verdict("condition", "refuse" if waiting.by_request else "wait", against)
    return Verdict("condition", "pass", f"{len(conditions)} met" if conditions else "there are none")


def conditions_of(waiting: Waiting, openings: Mapping[str, Opening]) -> tuple[Condition, ...]:
    """What must hold for it: its task's conditions, and those of the open window that it is to run in."""
    opening = openings.get(waiting.execution.window_name or "")
    return waiting.task.conditions if opening is None else (*waiting.task.conditions, *opening.window.conditions)


def _overlap_guard(waiting: Waiting, view: _View) -> Verdict:
    if waiting.task.name in view.tasks:
        return Verdict("previous_running", "refuse", f"{waiting.task.name} is running already")
    return Verdict("previous_running", "pass", f"{waiting.task.name} is not running")


def _window_room_guard(waiting: Waiting, view: _View) -> Verdict:
    name = waiting.execution.window_name
    opening = None if name is None else view.snapshot.openings.get(name)
    if name is None:
        return Verdict("window_concurrency", "pass", "no window is asked for")
    if opening is None:
        return Verdict("window_concurrency", "pass", f"nothing runs in window {name}")
    busy, room = view.by_window.get(name, 0), opening.window.max_concurrent_tasks
    if busy >= room:
        return Verdict("window_concurrency", "wait", f"{busy} of {room} run in window {name}")
    return Verdict("window_concurrency", "pass", f"{busy} of {room} run in window {name}")


def _room(_waiting: Waiting, view: _View) -> Verdict:
    room = view.snapshot.max_concurrent
    verdict = "wait" if view.total >= room else "pass"
    return Verdict("concurrency", verdict, f"{view.total} of {room} executions run")


GUARDS: tuple[Callable[[Waiting, _View], Verdict], ...] = (
    _scheduler_guard,
    _task_guard,
    _window_guard,
    _dependency_guard,
    _condition_guard,
    _overlap_guard,
    _window_room_guard,
    _room,
)


def _clock(moment: datetime | None) -> str:
    return "ever" if moment is None else moment.strftime("%Y-%m-%d %H:%M:%S UTC")
