"""Simulation, calendar, `next`, `why` and the act agree: over random configurations they tell one and the same story.

The act is played here on a clock that ticks, and looks at everything at each tick; the simulation jumps from event to
event and looks only at what it expects to turn. Whatever one of them forgets shows as a difference.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from core_examples import MINUTE, NOON, execution, task, window
from jamaint.core.calendar.availability import frozen, outlook
from jamaint.core.calendar.freezes import Freeze, state_at
from jamaint.core.calendar.periods import Periods
from jamaint.core.calendar.windows import Window, all_joined, next_opening, opening_at
from jamaint.core.estimates import HISTORY_LEAST
from jamaint.core.executions import State
from jamaint.core.guards.guard import Occupied, Snapshot, Waiting
from jamaint.core.policies.policies import Policy, Rules
from jamaint.core.recurrence import Schedule
from jamaint.core.scheduling.agenda import decide, explain, order
from jamaint.core.scheduling.simulation import Run, Scenario, simulate
from jamaint.core.scheduling.timetable import Timetable
from jamaint.core.scopes import Scope
from jamaint.core.tasks import Task

TICK = 5 * MINUTE
LASTS = timedelta(days=2)
END = NOON + LASTS
GRACE = 1800
AHEAD = {"window", "freeze", "fit", "policy"}
"""Guards that know what will be."""


@dataclass(frozen=True)
class World:
    """What is defined. `minutes` is how long each task takes; `known`: there are enough executions to foretell that."""

    windows: Mapping[str, Window]
    tasks: Sequence[Task]
    freezes: Sequence[Freeze]
    policies: Sequence[Policy]
    minutes: Mapping[str, int]
    room: int
    known: bool

    @property
    def durations(self) -> dict[str, list[int]]:
        return {
            name: [minutes * 60_000] * (HISTORY_LEAST if self.known else 1) for name, minutes in self.minutes.items()
        }

    def seen(self, moment: datetime, **more: Any) -> Snapshot:
        """Everything as it is at that moment, looked at without any memory."""
        found = [one for each in self.windows.values() if (one := opening_at(each, moment)) is not None]
        openings = {one.window.name: one for one in all_joined(found, self.windows.values())}
        ruled = [freeze for policy in self.policies for freeze in policy.rules.freezes]
        return Snapshot(
            **{
                "waiting": (),
                "openings": openings,
                "windows": self.windows,
                "freezes": [state_at(freeze, moment) for freeze in self.freezes],
                "frozen": {freeze.name: state_at(freeze, moment) for freeze in ruled},
                "policies": self.policies,
                "durations": self.durations,
                "max_concurrent": self.room,
                **more,
            }
        )

    def timetable(self) -> Timetable:
        made = Timetable(self.windows, GRACE)
        for one in self.tasks:
            made.put(one, NOON)
        return made


@dataclass
class Act:
    """The scheduler as it acts, looked at on every tick."""

    world: World
    running: dict[str, Occupied] = field(default_factory=dict)
    waiting: list[Waiting] = field(default_factory=list)
    left: dict[str, timedelta] = field(default_factory=dict)
    paused: set[str] = field(default_factory=set)
    began: dict[str, tuple[datetime, datetime]] = field(default_factory=dict)
    story: set[tuple[Any, ...]] = field(default_factory=set)

    def play(self) -> set[tuple[Any, ...]]:
        timetable, now = self.world.timetable(), NOON
        while now <= END:
            for ident in [one for one in self.running if one not in self.paused]:
                if not self.left[ident]:
                    self._end(ident, now)
            for due in timetable.take_due(now):
                name = None if due.window is None else due.window.name
                one = execution(
                    f"{due.task.name} {due.scheduled_for}",
                    task_name=due.task.name,
                    scheduled_for=due.scheduled_for,
                    window_name=name,
                    deadline=due.deadline,
                    status=State.SCHEDULED,
                )
                self.waiting.append(Waiting(one, due.task, None, due.late))
            self._decide(now)
            for ident in self.running.keys() - self.paused:
                self.left[ident] -= TICK
            now += TICK
        return self.story

    def _decide(self, now: datetime) -> None:
        seen = self.world.seen(now, waiting=sorted(self.waiting, key=order), running=self.running)
        agenda = decide(seen, now)
        known = {one.execution.id: one for one in self.waiting}
        self.waiting = [one for one in self.waiting if one.execution.id not in {*agenda.start, *dict(agenda.skip)}]
        for ident in agenda.start:
            one = known[ident]
            opening = seen.openings.get(one.execution.window_name or "")
            self.running[ident] = Occupied(
                one.task, one.execution.window_name, None if opening is None else opening.runs_until
            )
            self.left[ident] = self.world.minutes[one.task.name] * MINUTE
            self.began[ident] = (one.execution.scheduled_for, now)
        for ident, _ in agenda.skip:
            self.story.add((known[ident].task.name, known[ident].execution.scheduled_for, "skipped"))
        for ident in (*agenda.stop, *agenda.replace):
            if ident in self.running:
                self._end(ident, now)
        self.paused |= set(agenda.pause) & self.running.keys()
        for ident in agenda.resume:
            self.running[ident] = self.running[ident]._replace(
                opening_end=seen.openings[self.running[ident].window or ""].runs_until
            )
            self.paused.discard(ident)

    def _end(self, ident: str, now: datetime) -> None:
        occupied = self.running.pop(ident)
        self.paused.discard(ident)
        due, began = self.began[ident]
        self.story.add((occupied.task.name, due, began, now))


def told(run: Run) -> tuple[Any, ...]:
    if run.starts_at is None:
        return (run.task, run.scheduled_for, "skipped")
    return (run.task, run.scheduled_for, run.starts_at, run.ends_at)


def simulated(world: World) -> list[Run]:
    ruled = [freeze for policy in world.policies for freeze in policy.rules.freezes]
    base = world.seen(NOON)

    def look(moment: datetime) -> tuple[Snapshot, datetime | None]:
        """As daemon.scheduling.scheduler.surroundings."""
        found, of_policies = outlook(world.windows, world.freezes, moment), outlook({}, ruled, moment)
        turns = [turn for turn in (found.turns_at, of_policies.turns_at) if turn is not None]
        states = {state.freeze.name: state for state in of_policies.freezes}
        then = replace(base, openings=found.openings, freezes=found.freezes, frozen=states, windows=world.windows)
        return then, min(turns, default=None)

    scenario = Scenario(world.tasks, world.timetable(), look, NOON, END, world.durations, most=100_000)
    return simulate(scenario).runs


def hours(low: int, high: int) -> st.SearchStrategy[int]:
    return st.integers(low, high)


@st.composite
def freezes(draw: st.DrawFn, name: str, scope: Scope) -> Freeze:
    begins = NOON + draw(hours(0, 40)) * 60 * MINUTE + draw(st.integers(0, 11)) * TICK
    return Freeze(name, (Periods(((begins, begins + draw(st.integers(1, 100)) * TICK),)),), scope=scope)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    windows = {}
    for name in ("w0", "w1")[: draw(st.integers(0, 2))]:
        cron = f"{draw(st.integers(0, 11)) * 5} {draw(st.sampled_from(['2', '3', '*/6', '14']))} * * *"
        minutes = draw(st.sampled_from([30, 60, 120, 300, 400]))
        made = window(
            name,
            schedule=Schedule(cron=cron),
            duration_minutes=minutes,
            cutoff_minutes=draw(st.sampled_from([0, 10, 25])),
            max_concurrent_tasks=draw(st.integers(1, 3)),
        )
        first = next_opening(made, NOON)
        if first is not None and draw(st.integers(0, 4)) == 0:
            made = replace(made, skipped={first.start: "ana"})
        if first is not None and draw(st.integers(0, 4)) == 0:
            cut = (first.start + 2 * TICK, first.start + 4 * TICK)
            made = replace(made, exclusions=(Periods((cut,)),))
        windows[name] = made
    tasks = []
    for name in ("a", "b", "c", "d")[: draw(st.integers(1, 4))]:
        schedules = [Schedule(window=one) for one in windows]
        schedules += [Schedule(cron="30 */4 * * *"), Schedule(cron="0 3 * * *"), Schedule(at=NOON + 7 * TICK)]
        tasks.append(
            task(
                name,
                schedule=draw(st.sampled_from(schedules)),
                type=draw(st.sampled_from(["cleanup", "update"])),
                priority=draw(st.sampled_from(["low", "high"])),
                on_window_end=draw(st.sampled_from(["finish", "pause", "cancel"])),
                overlap=draw(st.sampled_from(["skip", "queue"])),
            )
        )
    scopes = st.sampled_from([Scope(), Scope(types=("update",)), Scope(tasks=("a",))])
    found = [draw(freezes(f"f{number}", draw(scopes))) for number in range(draw(st.integers(0, 2)))]
    policies = [
        Policy(
            id="p",
            name="p",
            scope=draw(scopes),
            rules=Rules(freezes=(draw(freezes("of p", Scope())),)),
            decision=draw(st.sampled_from(["deny", "defer"])),
        )
        for _ in range(draw(st.integers(0, 1)))
    ]
    lengths = {one.name: draw(st.sampled_from([5, 25, 60, 130, 350])) for one in tasks}
    return World(windows, tasks, found, policies, lengths, draw(st.integers(1, 3)), draw(st.booleans()))


@given(worlds())
@settings(derandomize=True, deadline=None, max_examples=150)
def test_the_simulation_tells_what_the_act_does(world: World) -> None:
    assert {told(run) for run in simulated(world)} == Act(world).play()


@given(worlds())
@settings(derandomize=True, deadline=None, max_examples=150)
def test_what_runs_is_let_by_why_and_lies_in_what_calendar_and_next_tell(world: World) -> None:
    by_name = {one.name: one for one in world.tasks}
    openings: dict[str, list[tuple[datetime, datetime]]] = {}
    for name, one in world.windows.items():
        opening = opening_at(one, NOON) or next_opening(one, NOON)
        while opening is not None and opening.start <= END:
            openings.setdefault(name, []).append((opening.start, opening.end))
            opening = next_opening(one, opening.start)
    for run in simulated(world):
        its_task = by_name[run.task]
        one = Waiting(
            execution(task_name=run.task, scheduled_for=run.scheduled_for, window_name=run.window), its_task, None
        )
        if run.starts_at is None:
            continue
        at = run.starts_at
        against = [verdict for verdict in explain(world.seen(at), one, at) if verdict.guard in AHEAD]
        assert [verdict for verdict in against if verdict.verdict != "pass"] == []
        if run.window is not None:
            assert any(start <= at < end for start, end in openings[run.window])
        for freeze in world.freezes:
            if freeze.scope.covers(its_task, run.window):
                assert not any(start <= at < end for start, end in frozen(freeze, NOON, END))


@given(worlds())
@settings(derandomize=True, deadline=None, max_examples=150)
def test_what_is_skipped_is_not_let_by_why_at_the_guard_that_is_told(world: World) -> None:
    """At its deadline, or when it was refused, the guard that is given as the reason did stand against it before."""
    by_name = {one.name: one for one in world.tasks}
    for run in simulated(world):
        if run.starts_at is not None or run.guard not in ("freeze", "policy"):
            continue
        one = Waiting(
            execution(task_name=run.task, scheduled_for=run.scheduled_for, window_name=run.window), by_name[run.task]
        )
        moments = [run.scheduled_for + number * TICK for number in range(int(timedelta(hours=7) / TICK))]
        verdicts = [
            verdict.verdict
            for at in moments
            for verdict in explain(world.seen(at), one, at)
            if verdict.guard == run.guard
        ]
        assert set(verdicts) != {"pass"}
