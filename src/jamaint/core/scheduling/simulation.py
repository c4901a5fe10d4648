"""Simulation: the same timetable and the same `decide` on a clock that jumps from one event to the next.

Nothing is run: an execution lasts as long as one of its task's own did, drawn with a seed, so that the same question
has the same answer. What the machine will be like is not known: conditions count as met, and every execution completes.
"""

import heapq
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random

from jamaint.core.calendar.windows import Opening
from jamaint.core.executions import Execution, State
from jamaint.core.guards import catch_up
from jamaint.core.guards.guard import Occupied, Snapshot, Verdict, Waiting
from jamaint.core.scheduling import agenda as scheduling
from jamaint.core.scheduling.agenda import decide
from jamaint.core.scheduling.hold_history import Holds
from jamaint.core.scheduling.timetable import Occurrence, Timetable
from jamaint.core.tasks import Task

UNKNOWN_SECONDS = 60.0
"""What has never run, and says nothing of how long it takes, is taken to last so long."""
FULL = 0.9
"""The share of a window's room and time from which it is nearly full."""
CHECKED_EVERY = 200
"""Decisions between two looks at whether the simulation is still wanted."""

ROOM_GUARDS = frozenset(
    {"concurrency", "window_concurrency", "fit", "window", "touches", "previous_running", "misfire"}
)
"""The guards whose skips a longer or wider window would help against; a freeze or a policy is none."""

NO_HOLDS = Holds()

Look = Callable[[datetime], tuple[Snapshot, datetime | None]]
"""What is open, frozen and allowed at a moment, and when that changes next."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is simulated. `durations` are those of each task's executions so far, in milliseconds; `most` bounds the
    runs and skips that are told one by one."""

    tasks: Sequence[Task]
    timetable: Timetable
    look: Look
    start: datetime
    end: datetime
    durations: Mapping[str, Sequence[int]] = field(default_factory=dict)
    seed: int = 1
    most: int = 500
    longest: int = 2_000_000
    """Decisions after which it stops, and says until when it came."""


@dataclass(frozen=True, slots=True)
class Run:
    """One execution as it would be. `ends_at` None: it would be skipped, for `why`."""

    task: str
    window: str | None
    scheduled_for: datetime
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    guard: str | None = None
    why: str | None = None


@dataclass(slots=True)
class TaskForecast:
    """A task's part: how often it would be due, run and be skipped, and which guards stood against it."""

    due: int = 0
    runs: int = 0
    skipped: int = 0
    busy_seconds: float = 0.0
    longest_wait_seconds: float = 0.0
    past_the_end: int = 0
    against: Counter[str] = field(default_factory=Counter)
    example: str | None = None


@dataclass(slots=True)
class WindowForecast:
    """A window's part: its openings, what ran in them, and how full the fullest was (0..1 of its room and time)."""

    openings: int = 0
    runs: int = 0
    skipped: int = 0
    without_room: int = 0
    """Those of the skipped that a guard of ROOM_GUARDS stood against."""
    busy_seconds: float = 0.0
    room_seconds: float = 0.0
    fullest: float = 0.0
    fullest_at: datetime | None = None


@dataclass(slots=True)
class Forecast:
    """What would happen until `until`: all of it in figures, and the first of it one by one."""

    until: datetime
    tasks: dict[str, TaskForecast] = field(default_factory=dict)
    windows: dict[str, WindowForecast] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    decisions: int = 0
    left_out: int = 0
    most_at_once: int = 0


def simulate(scenario: Scenario, checkpoint: Callable[[], None] = lambda: None) -> Forecast:
    """Runs the scenario. `checkpoint` is called again and again: it may raise to end it, or make room for others."""
    return _Simulation(scenario, checkpoint).run()


class _Simulation:
    def __init__(self, scenario: Scenario, checkpoint: Callable[[], None]) -> None:
        self._scenario = scenario
        self._checkpoint = checkpoint
        self._timetable = scenario.timetable
        self._random = Random(scenario.seed)  # noqa: S311 - it foretells, it guards nothing
        self._forecast = Forecast(scenario.end, {task.name: TaskForecast() for task in scenario.tasks})
        self._waiting: list[Waiting] = []
        self._by_id: dict[str, Waiting] = {}
        self._running: dict[str, Occupied] = {}
        self._ends: list[tuple[datetime, str]] = []
        self._paused: dict[str, tuple[datetime, timedelta]] = {}
        """What stands still, since when, and the work that is left of it."""
        self._stood_still: dict[str, timedelta] = {}
        self._started: dict[str, tuple[Execution, datetime]] = {}
        self._ended: dict[str, Execution] = {}
        self._skipped: dict[str, Execution] = {}
        self._holds: dict[str, Holds] = {}
        self._last_told: dict[str, Sequence[Verdict]] = {}
        self._caught_up: tuple[datetime, ...] = ()
        self._number = 0
        self._snapshot: Snapshot
        self._turns_at: datetime | None = None
        self._open: dict[str, tuple[Opening, float]] = {}

    def run(self) -> Forecast:
        now: datetime | None = self._scenario.start
        self._look(self._scenario.start)
        while now is not None and now <= self._scenario.end:
            if self._forecast.decisions >= self._scenario.longest:
                self._forecast.until = now
                break
            if self._forecast.decisions % CHECKED_EVERY == 0:
                self._checkpoint()
            now = self._turn(now)
        for name in tuple(self._open):
            self._close(name)
        return self._forecast

    def _turn(self, now: datetime) -> datetime | None:
        self._end_what_has_ended(now)
        for occurrence in self._timetable.take_due(now):
            self._take(occurrence, now)
        if self._turns_at is not None and now >= self._turns_at:
            self._look(now)
        self._forecast.decisions += 1
        wake_at = self._decide(now) if self._waiting or self._running else None
        moments = (wake_at, self._timetable.wake_at(), self._turns_at, self._ends[0][0] if self._ends else None)
        following = min((moment for moment in moments if moment is not None), default=None)
        return None if following is None else max(following, now + timedelta(microseconds=1))

    def _decide(self, now: datetime) -> datetime | None:
        agenda = decide(self._snapshot, now)
        for ident, against in agenda.held.items():
            if self._last_told.get(ident) != against:
                self._last_told[ident] = against
                self._holds.setdefault(ident, Holds()).note(against, now)
        for ident in agenda.start:
            self._start(self._remove(self._by_id[ident]), now)
        for ident, against in agenda.skip:
            cause = self._holds.get(ident, NO_HOLDS).of_skipped(against, now)[0]
            self._skip(self._remove(self._by_id[ident]).execution, cause["guard"], cause["detail"], now)
        for ident in (*agenda.stop, *agenda.replace):
            self._stop(ident, now)
        for ident in agenda.pause:
            self._pause(ident, now)
        for ident in agenda.resume:
            self._resume(ident, now)
        return agenda.wake_at

    def _look(self, now: datetime) -> None:
        base, self._turns_at = self._scenario.look(now)
        # What waits, runs and has ended are the very containers, so that a decision needs no new snapshot.
        self._snapshot = replace(
            base,
            waiting=self._waiting,
            running=self._running,
            ended=self._ended,
            skipped=self._skipped,
            caught_up=self._caught_up,
        )
        openings = base.openings
        for name in [name for name, (opening, _) in self._open.items() if openings.get(name) != opening]:
            self._close(name)
        for name, opening in openings.items():
            if name not in self._open:
                self._open[name] = (opening, self._window(name).busy_seconds)

    def _close(self, name: str) -> None:
        opening, before = self._open.pop(name)
        window = self._window(name)
        room = (opening.end - opening.start).total_seconds() * opening.window.max_concurrent_tasks
        share = (window.busy_seconds - before) / room
        window.openings += 1
        window.room_seconds += room
        if share > window.fullest:
            window.fullest, window.fullest_at = share, opening.start

    def _take(self, occurrence: Occurrence, now: datetime) -> None:
        self._number += 1
        window = occurrence.window
        execution = Execution(
            id=f"{self._number:09}",
            task_id=occurrence.task.id,
            task_name=occurrence.task.name,
            status=State.SCHEDULED,
            trigger="schedule",
            scheduled_for=occurrence.scheduled_for,
            window_id=None if window is None else window.id,
            window_name=None if window is None else window.name,
            deadline=occurrence.deadline,
        )
        self._forecast.tasks[occurrence.task.name].due += 1
        if occurrence.given_up is not None:
            self._skip(execution, "misfire", occurrence.given_up, now)
            return
        waiting = Waiting(execution, occurrence.task, None, occurrence.late)
        insort(self._waiting, waiting, key=scheduling.order)
        self._by_id[execution.id] = waiting

    def _remove(self, waiting: Waiting) -> Waiting:
        self._last_told.pop(waiting.execution.id, None)
        self._holds.pop(waiting.execution.id, None)
        del self._waiting[bisect_left(self._waiting, scheduling.order(waiting), key=scheduling.order)]
        return self._by_id.pop(waiting.execution.id)

    def _start(self, waiting: Waiting, now: datetime) -> None:
        execution, task = waiting.execution, waiting.task
        opening = self._snapshot.openings.get(execution.window_name or "")
        self._running[execution.id] = Occupied(
            task, execution.window_name, None if opening is None else opening.runs_until
        )
        ends_at = now + timedelta(seconds=self._duration(task))
        heapq.heappush(self._ends, (ends_at, execution.id))
        self._started[execution.id] = (execution, now)
        if waiting.catches_up:
            self._caught_up = (*catch_up.recent(self._caught_up, now), now)
            self._snapshot = replace(self._snapshot, caught_up=self._caught_up)
        self._forecast.most_at_once = max(self._forecast.most_at_once, len(self._running))

    def _duration(self, task: Task) -> float:
        known = self._scenario.durations.get(task.name)
        declared = task.expected_duration_seconds
        unknown = UNKNOWN_SECONDS if declared is None else declared
        seconds = self._random.choice(known) / 1000 if known else unknown
        return seconds if task.timeout_seconds is None else min(seconds, task.timeout_seconds)

    def _end_what_has_ended(self, now: datetime) -> None:
        while self._ends and self._ends[0][0] <= now:
            moment, ident = heapq.heappop(self._ends)
            if ident in self._running:
                self._end(ident, moment, State.COMPLETED)

    def _stop(self, ident: str, now: datetime) -> None:
        """It is stopped at its next safe point, which is taken to be now."""
        if ident in self._running:
            self._end(ident, now, State.CANCELLED)

    def _pause(self, ident: str, now: datetime) -> None:
        """Note the work that is left; its end is not known before its window opens again."""
        if ident not in self._paused:
            ends_at = next(moment for moment, one in self._ends if one == ident)
            self._ends = [one for one in self._ends if one[1] != ident]
            heapq.heapify(self._ends)
            self._paused[ident] = (now, ends_at - now)

    def _resume(self, ident: str, now: datetime) -> None:
        occupied = self._running[ident]
        opening = self._snapshot.openings[occupied.window or ""]
        self._running[ident] = occupied._replace(opening_end=opening.runs_until)
        if ident in self._paused:
            since, left = self._paused.pop(ident)
            self._stood_still[ident] = self._stood_still.get(ident, timedelta()) + (now - since)
            heapq.heappush(self._ends, (now + left, ident))

    def _end(self, ident: str, moment: datetime, state: State) -> None:
        occupied, (execution, began) = self._running.pop(ident), self._started.pop(ident)
        stood_still = self._stood_still.pop(ident, timedelta())
        if ident in self._paused:
            stood_still += moment - self._paused.pop(ident)[0]
        ended = _as_ended(execution, state, began, moment)
        self._ended[execution.task_name] = ended
        self._timetable.end(ended)
        lasted = (moment - began - stood_still).total_seconds()
        one = self._forecast.tasks[execution.task_name]
        one.runs += 1
        one.busy_seconds += lasted
        one.longest_wait_seconds = max(one.longest_wait_seconds, (began - execution.scheduled_for).total_seconds())
        if occupied.window is not None:
            window = self._window(occupied.window)
            window.runs += 1
            within = moment if occupied.opening_end is None else min(moment, occupied.opening_end)
            window.busy_seconds += (within - began - stood_still).total_seconds()
            one.past_the_end += occupied.opening_end is not None and moment > occupied.opening_end
        self._tell(Run(execution.task_name, occupied.window, execution.scheduled_for, began, moment))

    def _skip(self, execution: Execution, guard: str, why: str, now: datetime) -> None:
        ended = _as_ended(execution, State.CANCELLED, None, now)
        self._skipped[execution.task_name] = ended
        self._timetable.end(ended)
        one = self._forecast.tasks[execution.task_name]
        one.skipped += 1
        one.against[guard] += 1
        one.example = one.example or why
        if execution.window_name is not None:
            window = self._window(execution.window_name)
            window.skipped += 1
            window.without_room += guard in ROOM_GUARDS
        self._tell(Run(execution.task_name, execution.window_name, execution.scheduled_for, guard=guard, why=why))

    def _tell(self, run: Run) -> None:
        if len(self._forecast.runs) < self._scenario.most:
            self._forecast.runs.append(run)
        else:
            self._forecast.left_out += 1

    def _window(self, name: str) -> WindowForecast:
        return self._forecast.windows.setdefault(name, WindowForecast())


def _as_ended(execution: Execution, state: State, began: datetime | None, moment: datetime) -> Execution:
    """Made anew: `replace` takes ten times as long, and this is done for every execution of a year."""
    return Execution(
        execution.id,
        execution.task_id,
        execution.task_name,
        state,
        execution.trigger,
        execution.scheduled_for,
        execution.window_id,
        execution.window_name,
        execution.deadline,
        began,
        moment,
    )


def unconditional(tasks: Iterable[Task]) -> list[Task]:
    """The tasks without what depends on the machine: in the future nothing is known of it."""
    return [replace(task, conditions=()) if task.conditions else task for task in tasks]


def never_run(found: Forecast) -> list[tuple[str, str]]:
    """The tasks that would be due and never run, each with what stood against them."""
    return [
        (name, one.example or "it would always wait")
        for name, one in sorted(found.tasks.items())
        if one.due and not one.runs and one.skipped
    ]


def too_full(found: Forecast) -> list[tuple[str, str]]:
    """The windows in which there is not room enough, each with how that shows."""
    full = []
    for name, one in sorted(found.windows.items()):
        if one.without_room:
            openings = "1 opening" if one.openings == 1 else f"{one.openings} openings"
            of = f"{one.without_room} of {one.runs + one.skipped}"
            full.append((name, f"{of} would be skipped for lack of room in {openings}"))
        elif one.fullest >= FULL:
            full.append((name, f"its fullest opening is {one.fullest:.0%} full"))
    return full
