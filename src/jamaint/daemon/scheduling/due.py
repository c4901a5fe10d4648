"""Due: when each task is next, by its schedule and by how it ended last; and the executions that come of it."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import uuid4

from jamaint.core.calendar.windows import Window
from jamaint.core.executions import Execution, State, advance
from jamaint.core.guards.guard import Verdict
from jamaint.core.scheduling.timetable import MISSED_LIMIT, Occurrence, Timetable
from jamaint.core.tasks import Task
from jamaint.daemon.state import json_views
from jamaint.daemon.state.definitions import Definitions


class Due:
    """Owns the timetable. `ended` and `skipped` are each task's newest execution that ran, and that did not.

    `busy` gives the names of the tasks of which something waits or runs.
    """

    def __init__(self, definitions: Definitions, machine: str, busy: Callable[[], Collection[str]]) -> None:
        self._definitions = definitions
        self._machine = machine
        self._busy = busy
        self._timetable = Timetable({}, 0)
        self.ended: dict[str, Execution] = {}
        self.skipped: dict[str, Execution] = {}

    def next_of(self, task: str) -> datetime | None:
        """When the task is due next."""
        return self._timetable.next_of(task)

    def wake_at(self) -> datetime | None:
        """The next moment at which anything is due."""
        return self._timetable.wake_at()

    def take(self, now: datetime) -> list[Occurrence]:
        """What has become due; it is not due again."""
        return list(self._timetable.take_due(now))

    def missed_by(self, occurrence: Occurrence) -> list[Occurrence]:
        """Return those that were missed and are given up for `occurrence`; see Timetable.missed_by."""
        return self._timetable.missed_by(occurrence)

    def note_ended(self, execution: Execution) -> None:
        """One that ran has ended: what counts from an end, or comes after one, may be due now."""
        self.ended[execution.task_name] = execution
        self._timetable.end(execution)

    def note_skipped(self, execution: Execution) -> None:
        """One has ended that did not run."""
        self.skipped[execution.task_name] = execution
        self._timetable.end(execution)

    def note_undone(self, execution: Execution) -> None:
        """An ended execution has been rolled back: what depends on it must see that."""
        last = self.ended.get(execution.task_name)
        if last is not None and last.id == execution.id:
            self.ended[execution.task_name] = execution

    def reckon(self, now: datetime, last: Mapping[str, datetime] | None = None) -> None:
        """Reckons the timetable anew from what is defined now; `last` tells of occurrences that have had their row."""
        old, self._timetable = self._timetable, self.empty(self._definitions.windows)
        for task in self._definitions.effective():
            if last is not None or not self._timetable.keep(task, old):
                self._put(task, self._since(task, last, now), now)

    def reckon_task(self, name: str, now: datetime) -> None:
        """One task was made, changed, switched or deleted; the others stay as they are."""
        if name not in self._definitions.tasks:
            self._timetable.remove(name)
            return
        task = self._definitions.task(name)
        if not self._timetable.keep(task, self._timetable):
            self._put(task, now, now)

    def go_back(self, now: datetime) -> None:
        """The clock was set back to `now`: what is due before it was due, is due then."""
        anew = Timetable(self._definitions.windows, 0, self._machine)
        for task in self._definitions.effective():
            due = self._timetable.next_of(task.name)
            if due is None:
                continue
            anew.put(task, now)
            earlier = anew.next_of(task.name)
            if earlier is not None and earlier < due:
                self._timetable.put(task, now)

    def empty(self, windows: Mapping[str, Window]) -> Timetable:
        """A timetable like our own, with nothing in it."""
        return Timetable(windows, self._definitions.config.scheduler.misfire_grace_seconds, self._machine)

    def _put(self, task: Task, since: datetime, now: datetime) -> None:
        """From `since` on, but never from the future: a clock that was wrong for a while must not silence a task until
        then. One that counts from an end, which what waits or runs of it has not reached, comes due with that."""
        schedule, since = task.schedule, min(since, now)
        if schedule is None or not schedule.waits_for_an_end:
            self._timetable.put(task, since)
        elif schedule.since_end:
            ended = [one for one in (self.ended.get(task.name), self.skipped.get(task.name)) if one is not None]
            ends = [one.completed_at for one in ended if one.completed_at is not None and one.completed_at <= now]
            if task.name in self._busy():
                self._timetable.suspend(task)
            else:
                self._timetable.put(task, max([since, *ends]))
        else:
            self._timetable.put(task, since)
            last = None if schedule.after is None else self.ended.get(schedule.after.task)
            if last is not None and last.completed_at is not None and since < last.completed_at <= now:
                self._timetable.follow(task.name, last.status.value, last.completed_at)

    def _since(self, task: Task, last: Mapping[str, datetime] | None, now: datetime) -> datetime:
        stored = self._definitions.stored.get(task.name)
        if last is None or stored is None:
            return now
        before = last.get(task.id)
        return stored.due_from if before is None else max(stored.due_from, before)


def of_request(
    task: Task, window: Window | None, requested_by: str, now: datetime, options: Mapping[str, Any] | None = None
) -> Execution:
    """A requested execution, not yet written down."""
    return Execution(
        id=str(uuid4()),
        task_id=task.id,
        task_name=task.name,
        status=State.SCHEDULED,
        trigger="request",
        scheduled_for=now,
        window_id=None if window is None else window.id,
        window_name=None if window is None else window.name,
        requested_by=requested_by,
        options=options or {},
    )


def of_occurrence(occurrence: Occurrence, now: datetime) -> Execution:
    """The execution that comes of it, not yet written down; one that is given up has ended at `now`."""
    window = occurrence.window
    execution = Execution(
        id=str(uuid4()),
        task_id=occurrence.task.id,
        task_name=occurrence.task.name,
        status=State.SCHEDULED,
        trigger="schedule",
        scheduled_for=occurrence.scheduled_for,
        window_id=None if window is None else window.id,
        window_name=None if window is None else window.name,
        deadline=occurrence.deadline,
        reasons=_missed(occurrence),
    )
    if occurrence.given_up is None:
        return execution
    reason = Verdict("misfire", "refuse", occurrence.given_up).to_json()
    return advance(execution, State.CANCELLED, completed_at=now, reasons=(reason, *execution.reasons))


def of_missed(occurrence: Occurrence, now: datetime) -> Execution:
    """Return the record of an occurrence that was missed and is given up, not yet written down.

    Its trigger sets it apart: where the clock was wrong for a while and is set back, it comes due in its time.
    """
    return replace(of_occurrence(occurrence, now), trigger="missed")


def _missed(occurrence: Occurrence) -> tuple[dict[str, str], ...]:
    if not occurrence.missed:
        return ()
    count = f"at least {MISSED_LIMIT}" if occurrence.missed >= MISSED_LIMIT else str(occurrence.missed)
    detail = (
        f"{count} earlier occurrences since {json_views.time(occurrence.missed_since)} were missed while the "
        "daemon did not run; this one stands for them"
    )
    return ({"guard": "misfire", "verdict": "wait", "detail": detail},)
