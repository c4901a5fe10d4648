"""The timetable: which tasks are due by a moment, at a cost of what is due and not of what is defined."""

import heapq
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from jamaint.core.calendar.windows import Window, next_scheduled
from jamaint.core.executions import Execution
from jamaint.core.guards.guard import clock
from jamaint.core.recurrence import next_after
from jamaint.core.recurrence.jitter import delay
from jamaint.core.recurrence.schedule import Schedule
from jamaint.core.tasks import Task

MISSED_LIMIT = 1_000
"""How many missed occurrences are counted: `missed` says `at least` from there on. It bounds the work after a pause."""
CATCH_UP_LIMIT = 100
"""How many occurrences one task that catches up on all of them is given at once: the newest."""
MISSED_ROWS = 100
"""How many of the missed occurrences of a task have a record of their own after one outage: the newest."""
LATE = timedelta(seconds=60)
"""An occurrence that is taken later than this has been missed, by an outage or a clock that was set; what is taken
sooner was only held up."""


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One time a task is due; it may start until `deadline`. `missed` earlier ones are told of in its row.

    `scheduled_for` is when its schedule has it, before any jitter. `late`: it was missed, and is caught up on.
    `given_up`: it is not, for this reason.
    """

    task: Task
    scheduled_for: datetime
    deadline: datetime
    window: Window | None = None
    missed: int = 0
    missed_since: datetime | None = None
    late: bool = False
    given_up: str | None = None


class Timetable:
    """The next due instant of each enabled task, in a heap. `since` is the instant after which a task's next counts.

    `machine` is what sets this machine's jitter apart from that of others.
    """

    def __init__(self, windows: Mapping[str, Window], misfire_grace_seconds: float, machine: str = "") -> None:
        self._windows = dict(windows)
        self._grace = timedelta(seconds=misfire_grace_seconds)
        self._machine = machine
        self._heap: list[tuple[datetime, str]] = []
        self._next: dict[str, datetime] = {}
        """When each is due: what its schedule says, and its jitter."""
        self._nominal: dict[str, datetime] = {}
        self._tasks: dict[str, Task] = {}
        self._followers: dict[str, set[str]] = {}
        self._ends: dict[str, deque[datetime]] = {}
        """Of tasks that follow another: its ends that have had no occurrence yet."""

    def put(self, task: Task, since: datetime) -> None:
        """Adds a task, or replaces it: its first occurrence is the first one after `since`.

        For an interval that counts from an end, `since` is that end.
        """
        self.remove(task.name)
        self._add(task)
        due = self._after(task, since, since) if task.enabled else None
        if due is not None:
            self._push(task, due)

    def keep(self, task: Task, old: "Timetable") -> bool:
        """Adds a task with the next occurrence that it has in `old`, if it is there with the same schedule, and its
        window opens as it did."""
        before = old._tasks.get(task.name)
        if before is None or before.schedule != task.schedule or before.enabled != task.enabled:
            return False
        if _openings_of(old._window(task)) != _openings_of(self._window(task)):
            return False
        due, ends = old._nominal.get(task.name), old._ends.get(task.name)
        self.remove(task.name)
        self._add(task)
        if ends is not None:
            self._ends[task.name] = ends
        if due is not None:
            self._push(task, due)
        return True

    def suspend(self, task: Task) -> None:
        """Adds a task whose next occurrence is not known before what waits or runs of it has ended."""
        self.remove(task.name)
        self._add(task)

    def remove(self, name: str) -> None:
        """Forgets a task; one that is not there is no mistake."""
        task = self._tasks.pop(name, None)
        if task is not None and task.schedule is not None and task.schedule.after is not None:
            self._followers.get(task.schedule.after.task, set()).discard(name)
        for kept in (self._next, self._nominal, self._ends):
            kept.pop(name, None)

    def end(self, execution: Execution) -> None:
        """An execution has ended: its task's interval may count from there, and others may come after it."""
        moment, task = execution.completed_at, self._tasks.get(execution.task_name)
        if moment is None:
            return
        if task is not None and task.enabled and task.schedule is not None and task.schedule.since_end:
            due = self._after(task, moment, moment)
            if due is not None:
                self._push(task, due)
        if execution.started_at is None:  # it never ran: nothing comes after it
            return
        for name in sorted(self._followers.get(execution.task_name, ())):
            self.follow(name, execution.status.value, moment)

    def follow(self, name: str, state: str, moment: datetime) -> None:
        """The task that `name` comes after has ended in that state: it is due, if that is the state it waits for."""
        task = self._tasks[name]
        after = None if task.schedule is None else task.schedule.after
        if after is None or not task.enabled or after.state not in (state, "any"):
            return
        if task.schedule is None or not _within(task.schedule, moment):
            return
        if name in self._next:
            self._ends.setdefault(name, deque(maxlen=MISSED_LIMIT)).append(moment)
        else:
            self._push(task, moment)

    def next_of(self, name: str) -> datetime | None:
        """When the task is due next, or None."""
        return self._next.get(name)

    def wake_at(self) -> datetime | None:
        """When the first of all is due."""
        while self._heap and self._next.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take_due(self, now: datetime) -> Iterable[Occurrence]:
        """Takes what is due at `now`: of several missed ones of a task the newest, with their number, unless it
        catches up on all."""
        found: list[Occurrence] = []
        while (due := self.wake_at()) is not None and due <= now:
            _, name = heapq.heappop(self._heap)
            found += self._take(self._tasks[name], self._nominal[name], now)
        return found

    def missed_by(self, occurrence: Occurrence) -> list[Occurrence]:
        """Return the newest MISSED_ROWS of the occurrences that `occurrence` was taken for and that are given up.

        The oldest comes first, and tells how many more there were; each says what becomes of it.
        """
        task, since, newest = occurrence.task, occurrence.missed_since, occurrence.scheduled_for
        if not occurrence.missed or since is None:
            return []
        moments = self._before(task, since, newest)
        found = [replace(self._occurrence(task, one, newest), late=True) for one in moments]
        found = [replace(one, given_up=_why_missed(one, occurrence)) for one in found]
        more = occurrence.missed - len(found)
        if found and more > 0:
            count = f"at least {more}" if occurrence.missed >= MISSED_LIMIT else str(more)
            rest = f"{count} more since {clock(since)} were missed too, and have no record of their own"
            found[0] = replace(found[0], given_up=f"{found[0].given_up}; {rest}")
        return found

    def _before(self, task: Task, since: datetime, newest: datetime) -> list[datetime]:
        """Return the last MISSED_ROWS occurrences from `since` on and before `newest`, by looking back ever further."""
        reach = timedelta(minutes=MISSED_ROWS)
        while True:
            begin = max(newest - reach, since)
            first = since if begin == since else self._after(task, begin, since)
            kept: deque[datetime] = deque(maxlen=MISSED_ROWS)
            moment = first
            for _ in range(MISSED_LIMIT):
                if moment is None or moment >= newest:
                    break
                kept.append(moment)
                moment = self._after(task, moment, moment)
            if begin == since or len(kept) == MISSED_ROWS:
                return list(kept)
            reach *= 2

    def occurrences(
        self, task: Task, start: datetime, end: datetime, since: datetime | None = None
    ) -> Iterator[tuple[datetime, datetime]]:
        """When the task would come after `start` and until `end`, and when its schedule has it; nothing is taken.

        Those that come before `since` may be left out: they are not reckoned.
        """
        jitter = None if task.schedule is None else task.schedule.jitter
        margin = timedelta(seconds=1 if jitter is None else jitter.up_to_seconds + 1)
        first = start if since is None else max(start, since - margin)
        due = self._after(task, first, start) if task.enabled else None
        while due is not None and due <= end:
            yield self._wake(task, due), due
            due = None if _waits(task) else self._after(task, due, due)

    def _add(self, task: Task) -> None:
        self._tasks[task.name] = task
        if task.schedule is not None and task.schedule.after is not None:
            self._followers.setdefault(task.schedule.after.task, set()).add(task.name)

    def _take(self, task: Task, due: datetime, now: datetime) -> Iterable[Occurrence]:
        newest, missed, following = self._newest(task, due, now)
        if following is None:
            self._next.pop(task.name, None)
            self._nominal.pop(task.name, None)
        else:
            self._push(task, following)
        if missed and task.schedule is not None and task.schedule.catch_up == "all":
            return self._each(task, due, newest, now)
        return (self._occurrence(task, newest, now, missed, due if missed else None),)

    def _each(self, task: Task, due: datetime, newest: datetime, now: datetime) -> list[Occurrence]:
        """All that were missed, as far as they may still start, and at most so many; the rest is told by the first."""
        kept: deque[datetime] = deque(maxlen=CATCH_UP_LIMIT)
        moment: datetime | None = due
        for _ in range(MISSED_LIMIT):
            if moment is None or moment > newest:
                break
            if moment == newest or now < self._occurrence(task, moment, now).deadline:
                kept.append(moment)
            moment = self._after(task, moment, moment)
        if not kept or kept[-1] != newest:
            kept.append(newest)
        found = [self._occurrence(task, one, now) for one in kept]
        if kept[0] != due:
            missed = sum(1 for _ in self._between(task, due, kept[0]))
            found[0] = self._occurrence(task, kept[0], now, missed, due)
        return found

    def _between(self, task: Task, due: datetime, end: datetime) -> Iterator[datetime]:
        moment: datetime | None = due
        for _ in range(MISSED_LIMIT):
            if moment is None or moment >= end:
                return
            yield moment
            moment = self._after(task, moment, moment)

    def _push(self, task: Task, due: datetime) -> None:
        wake, name = self._wake(task, due), task.name
        self._next[name], self._nominal[name] = wake, due
        if len(self._heap) > 2 * len(self._next) + 16:  # most of it is of tasks since replaced or removed
            self._heap = [(moment, known) for known, moment in self._next.items()]
            heapq.heapify(self._heap)
        else:
            heapq.heappush(self._heap, (wake, name))

    def _wake(self, task: Task, due: datetime) -> datetime:
        jitter = None if task.schedule is None else task.schedule.jitter
        return due if jitter is None else due + delay(jitter, self._machine, task.name, due)

    def _newest(self, task: Task, due: datetime, now: datetime) -> tuple[datetime, int, datetime | None]:
        """The newest occurrence up to `now`, how many there were before it from `due` on, and the one after it."""
        if _waits(task):
            ends = self._ends.get(task.name)
            return due, 0, ends.popleft() if ends else None
        for missed in range(MISSED_LIMIT):
            following = self._after(task, due, due)
            if following is None or self._wake(task, following) > now:
                return due, missed, following
            due = following
        latest = self._latest(task, due, now)
        return latest, MISSED_LIMIT, self._after(task, latest, latest)

    def _latest(self, task: Task, due: datetime, now: datetime) -> datetime:
        """The last occurrence up to `now`, by halving the time in which it lies and not going through all."""
        none_after = now
        while (following := self._after(task, due, due)) is not None and self._wake(task, following) <= now:
            middle = following + (none_after - following) / 2
            found = self._after(task, middle, following)
            if found is not None and self._wake(task, found) <= now:
                due = found
            else:
                due, none_after = following, middle
        return due

    def _occurrence(
        self, task: Task, due: datetime, now: datetime, missed: int = 0, since: datetime | None = None
    ) -> Occurrence:
        window, schedule, wake = self._window(task), task.schedule, self._wake(task, due)
        own = None if schedule is None else schedule.misfire_grace_seconds
        deadline = wake + (self._grace if own is None else timedelta(seconds=own))
        late = now - wake > LATE
        if window is not None:
            deadline = due + timedelta(minutes=window.duration_minutes - window.cutoff_minutes)
        given_up = None
        # In a window that is still open, nothing has been missed.
        if late and schedule is not None and schedule.catch_up == "none" and (window is None or now >= deadline):
            given_up = "it was missed, and its task does not catch up (catch_up: none)"
        return Occurrence(task, due, deadline, window, missed, since, late, given_up)

    def _after(self, task: Task, moment: datetime, last: datetime) -> datetime | None:
        schedule = task.schedule
        if schedule is None:
            return None
        if schedule.window is None:
            return next_after(schedule, moment, last)
        window = self._window(task)
        if schedule.start is not None and moment < schedule.start:
            moment = schedule.start - timedelta(microseconds=1)
        opening = None if window is None else next_scheduled(window, moment)
        return opening.start if opening is not None and _within(schedule, opening.start) else None

    def _window(self, task: Task) -> Window | None:
        name = None if task.schedule is None else task.schedule.window
        return None if name is None else self._windows.get(name)


def _openings_of(window: Window | None) -> tuple[Schedule, bool] | None:
    """What says when it opens. (What is due at a skipped opening comes due all the same, and is told of.)"""
    return None if window is None else (window.schedule, window.enabled)


def _why_missed(missed: Occurrence, taken: Occurrence) -> str:
    """What becomes of one that was missed, where `taken` is run, or given up, for all."""
    if taken.given_up is not None:
        return taken.given_up
    catch_up = None if missed.task.schedule is None else missed.task.schedule.catch_up
    if catch_up == "all":
        until = f"it could start until {clock(missed.deadline)}"
        return f"it was missed: {until}, and of those that still can, the newest {CATCH_UP_LIMIT} are caught up on"
    return f"it was missed, and the one of {clock(taken.scheduled_for)} stands for it (catch_up: {catch_up})"


def _waits(task: Task) -> bool:
    return task.schedule is not None and task.schedule.waits_for_an_end


def _within(schedule: Schedule, moment: datetime) -> bool:
    """Whether the moment lies between the schedule's start and its end."""
    return (schedule.start is None or moment >= schedule.start) and (schedule.until is None or moment <= schedule.until)
