"""The timetable: which tasks are due by a moment, at a cost of what is due and not of what is defined."""

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from jamaint.core.recurrence import next_after
from jamaint.core.tasks import Task
from jamaint.core.windows import Window, next_opening

MISSED_LIMIT = 1_000
"""How many missed occurrences are counted: `missed` says `at least` from there on. It bounds the work after a pause."""


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One time a task is due; it may start until `deadline`. `missed` earlier ones are told of in its row."""

    task: Task
    scheduled_for: datetime
    deadline: datetime
    window: Window | None = None
    missed: int = 0
    missed_since: datetime | None = None


class Timetable:
    """The next due instant of each enabled task, in a heap. `since` is the instant after which a task's next counts."""

    def __init__(self, windows: Mapping[str, Window], misfire_grace_seconds: float) -> None:
        self._windows = windows
        self._grace = timedelta(seconds=misfire_grace_seconds)
        self._heap: list[tuple[datetime, str]] = []
        self._next: dict[str, datetime] = {}
        self._tasks: dict[str, Task] = {}

    def put(self, task: Task, since: datetime) -> None:
        """Adds a task, or replaces it: its first occurrence is the first one after `since`."""
        self.remove(task.name)
        due = self._after(task, since, since) if task.enabled else None
        self._tasks[task.name] = task
        if due is not None:
            self._push(task.name, due)

    def put_due(self, task: Task, due: datetime) -> None:
        """Adds a task whose next occurrence is known: one that was due then before something else was changed."""
        self.remove(task.name)
        self._tasks[task.name] = task
        self._push(task.name, due)

    def task(self, name: str) -> Task | None:
        """The task of that name as it is here."""
        return self._tasks.get(name)

    def remove(self, name: str) -> None:
        """Forgets a task; one that is not there is no mistake."""
        self._tasks.pop(name, None)
        self._next.pop(name, None)

    def next_of(self, name: str) -> datetime | None:
        """When the task is due next, or None."""
        return self._next.get(name)

    def wake_at(self) -> datetime | None:
        """When the first of all is due."""
        while self._heap and self._next.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take_due(self, now: datetime) -> Iterable[Occurrence]:
        """Takes what is due at `now`, one occurrence a task: of several missed ones the newest, with their number."""
        found = []
        while (due := self.wake_at()) is not None and due <= now:
            _, name = heapq.heappop(self._heap)
            found.append(self._take(self._tasks[name], due, now))
        return found

    def _take(self, task: Task, due: datetime, now: datetime) -> Occurrence:
        newest, missed = self._newest(task, due, now)
        following = self._after(task, newest, newest)
        if following is None:
            self._next.pop(task.name, None)
        else:
            self._push(task.name, following)
        return self._occurrence(task, newest, missed, due if missed else None)

    def _push(self, name: str, due: datetime) -> None:
        self._next[name] = due
        if len(self._heap) > 2 * len(self._next) + 16:  # most of it is of tasks since replaced or removed
            self._heap = [(moment, known) for known, moment in self._next.items()]
            heapq.heapify(self._heap)
        else:
            heapq.heappush(self._heap, (due, name))

    def _newest(self, task: Task, due: datetime, now: datetime) -> tuple[datetime, int]:
        """The newest occurrence up to `now`, and how many there were before it from `due` on."""
        for missed in range(MISSED_LIMIT):
            following = self._after(task, due, due)
            if following is None or following > now:
                return due, missed
            due = following
        return self._latest(task, due, now), MISSED_LIMIT

    def _latest(self, task: Task, due: datetime, now: datetime) -> datetime:
        """The last occurrence up to `now`, by halving the time in which it lies and not going through all."""
        none_after = now
        while (following := self._after(task, due, due)) is not None and following <= now:
            middle = following + (none_after - following) / 2
            found = self._after(task, middle, following)
            if found is not None and found <= now:
                due = found
            else:
                due, none_after = following, middle
        return due

    def _occurrence(self, task: Task, due: datetime, missed: int, since: datetime | None) -> Occurrence:
        window = self._window(task)
        deadline = due + self._grace
        if window is not None:
            deadline = due + timedelta(minutes=window.duration_minutes - window.cutoff_minutes)
        return Occurrence(task, due, deadline, window, missed, since)

    def _after(self, task: Task, moment: datetime, last: datetime) -> datetime | None:
        schedule = task.schedule
        if schedule is None:
            return None
        if schedule.window is None:
            return next_after(schedule, moment, last)
        window = self._window(task)
        opening = None if window is None else next_opening(window, moment)
        return None if opening is None else opening.start

    def _window(self, task: Task) -> Window | None:
        name = None if task.schedule is None else task.schedule.window
        return None if name is None else self._windows.get(name)
