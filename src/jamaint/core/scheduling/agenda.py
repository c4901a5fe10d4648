"""What starts now, why each other execution waits, and when to look again: the only place that decides it.

`decide` and `explain` go through one list of guards, so the words an operator reads in `why` are those of the
decision itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from jamaint.core.calendar.windows import Opening
from jamaint.core.executions import Execution
from jamaint.core.guards import catch_up, concurrency, verdicts
from jamaint.core.guards.guard import Occupied, Snapshot, Verdict, View, Waiting, clock

CONDITION_RETRY_SECONDS = 60.0
"""How often a condition that does not hold is looked at again while something waits for it."""


@dataclass(frozen=True, slots=True)
class Agenda:
    """What to do now. `skip` and `held` carry reasons; `stop` are running ones whose window has ended.

    `replace` are running ones that make way for a newer execution of the same task, which waits in `held`.
    """

    start: tuple[str, ...] = ()
    skip: tuple[tuple[str, tuple[Verdict, ...]], ...] = ()
    held: Mapping[str, tuple[Verdict, ...]] = field(default_factory=dict)
    stop: tuple[str, ...] = ()
    pause: tuple[str, ...] = ()
    """Running ones whose window has ended, and that are to go on when it opens again."""
    resume: tuple[str, ...] = ()
    """Those of them whose window is open again."""
    replace: tuple[str, ...] = ()
    wake_at: datetime | None = None
    crowded: Verdict | None = None
    """Why all those wait that are in none of the above: there is no room for any more, so they were not looked at."""


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
            crowded = crowded or concurrency.judge(waiting, view)
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
    outlived = {
        ident: _opens_again(occupied, snapshot.openings, now)
        for ident, occupied in snapshot.running.items()
        if _outlived(occupied, now, "pause")
    }
    return Agenda(
        start=tuple(start),
        skip=tuple(skip),
        held=held,
        stop=tuple(ident for ident, occupied in snapshot.running.items() if _outlived(occupied, now)),
        pause=tuple(ident for ident, is_open in outlived.items() if not is_open),
        resume=tuple(ident for ident, is_open in outlived.items() if is_open),
        replace=_replaced(snapshot, held),
        wake_at=_wake_at(snapshot, held, [one for one in deadlines if one > now] if any_late else deadlines, now),
        crowded=crowded,
    )


def explain(snapshot: Snapshot, waiting: Waiting, now: datetime) -> tuple[Verdict, ...]:
    """Every guard's verdict on `waiting`, as if it were to start at `now`."""
    return verdicts(waiting, _view(snapshot, now))


_FREED_BY_ITS_END = {"previous_running", "window_concurrency", "concurrency"}


def _replaced(snapshot: Snapshot, held: Mapping[str, Sequence[Verdict]]) -> tuple[str, ...]:
    """What runs of the tasks that say so, and of which a newer one waits for nothing but that and its room."""
    waiting = {one.execution.id: one.task for one in snapshot.waiting if one.task.overlap == "cancel_older"}
    names = {
        waiting[ident].name
        for ident, against in held.items()
        if ident in waiting and {verdict.guard for verdict in against} <= _FREED_BY_ITS_END
    }
    return tuple(ident for ident, occupied in snapshot.running.items() if occupied.task.name in names)


def _view(snapshot: Snapshot, now: datetime) -> View:
    view = View(snapshot, now, len(snapshot.running), {}, set())
    view.caught_up = len(catch_up.recent(snapshot.caught_up, now))
    for occupied in snapshot.running.values():
        view.tasks.add(occupied.task.name)
        if occupied.task.touches:
            view.touched.append((occupied.task.name, occupied.task.touches))
        if occupied.window is not None:
            view.by_window[occupied.window] = view.by_window.get(occupied.window, 0) + 1
    return view


def _occupy(view: View, waiting: Waiting) -> None:
    view.total += 1
    view.started.append(waiting)
    view.caught_up += waiting.catches_up
    view.tasks.add(waiting.task.name)
    if waiting.task.touches:
        view.touched.append((waiting.task.name, waiting.task.touches))
    window = waiting.execution.window_name
    if window is not None:
        view.by_window[window] = view.by_window.get(window, 0) + 1


def _is_late(execution: Execution, now: datetime) -> bool:
    return execution.deadline is not None and now >= execution.deadline


def _too_late(execution: Execution) -> Verdict:
    return Verdict("misfire", "refuse", f"it could start until {clock(execution.deadline)}, and had not")


def _outlived(occupied: Occupied, now: datetime, says: str = "cancel") -> bool:
    ends = occupied.opening_end
    return ends is not None and now >= ends and occupied.task.on_window_end == says


def _opens_again(occupied: Occupied, openings: Mapping[str, Opening], now: datetime) -> bool:
    opening = openings.get(occupied.window or "")
    return opening is not None and now < opening.runs_until


def _wake_at(
    snapshot: Snapshot, held: Mapping[str, Sequence[Verdict]], deadlines: Sequence[datetime], now: datetime
) -> datetime | None:
    """The next moment at which time alone changes this agenda."""
    moments = [min(deadlines)] if deadlines else []
    moments += [
        occupied.opening_end
        for occupied in snapshot.running.values()
        if occupied.task.on_window_end != "finish" and occupied.opening_end is not None and occupied.opening_end > now
    ]
    moments += [one.execution.scheduled_for for one in snapshot.waiting if one.execution.scheduled_for > now]
    if held:  # one that was triggered by hand has no deadline: it is refused at its window's cutoff
        moments += [one.starts_until for one in snapshot.openings.values() if one.starts_until > now]
    if held:  # what waits for a freeze to end starts then
        moments += [one.changes_at for one in snapshot.freezes if one.changes_at is not None and one.changes_at > now]
    if any(verdict.guard in ("condition", "dependency", "policy") for against in held.values() for verdict in against):
        moments.append(now + timedelta(seconds=CONDITION_RETRY_SECONDS))
    if any(verdict.guard == "catch_up" for against in held.values() for verdict in against):
        moments.append(min(catch_up.recent(snapshot.caught_up, now), default=now) + catch_up.SPREAD)
    return min(moments, default=None)
