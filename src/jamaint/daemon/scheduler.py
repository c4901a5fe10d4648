"""The loop: it sleeps until the next moment or until woken, asks the core what to do, and has it done.

Scheduled and requested executions wait in one queue and go one way. What is due is written down before the next due
moment is reckoned; a request is answered when it is durable, as a row that waits or as one that runs.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import trio
from structlog.typing import FilteringBoundLogger

from jamaint.core import scheduling
from jamaint.core.approvals import Approval
from jamaint.core.conditions import Facts
from jamaint.core.executions import Execution, State, advance
from jamaint.core.guards import catch_up, concurrency, policy
from jamaint.core.guards.condition import conditions_of
from jamaint.core.guards.guard import Occupied, Snapshot, Verdict, Waiting
from jamaint.core.outlook import outlook
from jamaint.core.policies import Policy
from jamaint.core.retries import failure_of, retry_of
from jamaint.core.scheduling import Agenda, decide, explain
from jamaint.core.tasks import Condition, Task
from jamaint.core.timetable import MISSED_LIMIT, Occurrence, Timetable
from jamaint.core.watching import watched
from jamaint.core.windows import Opening, Window
from jamaint.daemon import views
from jamaint.daemon.approving import Approving
from jamaint.daemon.calendar import Calendar
from jamaint.daemon.current import Current
from jamaint.daemon.definitions import Definitions
from jamaint.daemon.experience import Experience
from jamaint.daemon.looking import Looking
from jamaint.daemon.recorder import Recorder
from jamaint.daemon.runner import Runner
from jamaint.daemon.watching import Watching
from jamaint.errors import Problem, refused
from jamaint.host.clock import Clock, Reading, jump_seconds, slept_seconds
from jamaint.host.journal import MESSAGE_IDS
from jamaint.host.postgres import OccurrenceTakenError
from jamaint.store import policies

PATIENCE_SECONDS = 0.03
"""A request that has to wait is written down and answered after this: it may start before, and is then written once."""
WINDOW = "window"
"""Who pauses what its window's end finds running."""
JUMP_SECONDS = 1.0
"""A clock that is set by less has jumped over nothing that matters."""


@dataclass(slots=True)
class _Asked:
    """A request that is not written down yet: whoever asked waits for `settled`."""

    settled: trio.Event = field(default_factory=trio.Event)
    refusal: Problem | None = None


class Scheduler:
    """Owns what waits and what runs."""

    def __init__(
        self,
        *,
        definitions: Definitions,
        recorder: Recorder,
        current: Current,
        runner: Runner,
        looking: Looking,
        watching: Watching,
        clock: Clock,
        log: FilteringBoundLogger,
        machine: str = "",
    ) -> None:
        self._definitions = definitions
        self._recorder = recorder
        self._current = current
        self._runner = runner
        self._looking = looking
        self._watching = watching
        self._clock = clock
        self._machine = machine
        self._log = log
        self._waiting: list[Waiting] = []  # in the order of starting
        self._by_id: dict[str, Waiting] = {}
        self._any_conditions = False
        self._asked: dict[str, _Asked] = {}
        self._asking = trio.Event()
        self._running: dict[str, Occupied] = {}
        self._ended: dict[str, Execution] = {}
        self._skipped: dict[str, Execution] = {}
        self._timetable = Timetable({}, 0)
        self._caught_up: tuple[datetime, ...] = ()
        self.experience = Experience()
        self.calendar = Calendar(definitions, self.experience)
        self.approving = Approving()
        self._over_night: set[str] = set()
        self._backups: tuple[str, ...] = ()
        self._unwritten = 0
        self._draining = False
        self._idle = trio.Event()
        self.wake_at: datetime | None = None

    @property
    def state(self) -> str:
        """active, disabled or draining."""
        if self._draining:
            return "draining"
        return "active" if self._definitions.config.scheduler.enabled else "disabled"

    @property
    def openings(self) -> Mapping[str, Opening]:
        """The windows that are open, by name."""
        return self.calendar.openings

    def has_waiting(self) -> bool:
        """Whether anything waits to start."""
        return bool(self._waiting)

    def running_in(self, window: str) -> int:
        """How many executions run in a window."""
        return sum(1 for occupied in self._running.values() if occupied.window == window)

    def next_due(self, task: str) -> datetime | None:
        """When the task is due next."""
        return self._timetable.next_of(task)

    def last_ended(self, task: str) -> Execution | None:
        """The task's newest execution that ran and has ended, as it ended."""
        return self._ended.get(task)

    def note_undone(self, execution: Execution) -> None:
        """An ended execution has been rolled back: what depends on it must see that."""
        last = self._ended.get(execution.task_name)
        if last is not None and last.id == execution.id:
            self._ended[execution.task_name] = execution

    def load(
        self,
        last: Mapping[str, datetime],
        ended: Mapping[str, Execution],
        skipped: Mapping[str, Execution],
        waiting: list[Execution],
    ) -> None:
        """Takes over what the store knows: each task's last occurrence, how each ended, and what still waits."""
        self._ended, self._skipped = dict(ended), dict(skipped)
        for execution in waiting:
            try:
                task = self._definitions.task(execution.task_name)
            except Problem:
                continue  # the task is gone: `settle_orphans` tells it
            # What has waited over a restart is late, and no better than what became due meanwhile.
            self._queue(execution, task, catches_up=execution.trigger == "schedule")
        self.take_definitions(last)

    def take_definitions(self, last: Mapping[str, datetime] | None = None) -> None:
        """Reckons the timetable anew from what is defined now; `last` tells of occurrences that have had their row."""
        now = self._clock.now()
        grace = self._definitions.config.scheduler.misfire_grace_seconds
        old, self._timetable = self._timetable, Timetable(self._definitions.windows, grace, self._machine)
        for task in self._definitions.effective():
            if last is not None or not self._timetable.keep(task, old):
                self._put(task, self._since(task, last, now), now)
        for waiting in tuple(self._waiting):
            self._remove(waiting)
            self._insert(self._as_defined_now(waiting))
        self._note_conditions()
        self.calendar.forget()
        self._clock.wake()

    def take_task(self, name: str) -> None:
        """Takes over one task that was made, changed, switched or deleted; the others stay as they are."""
        if name not in self._definitions.tasks:
            self._timetable.remove(name)
        else:
            task, now = self._definitions.task(name), self._clock.now()
            if not self._timetable.keep(task, self._timetable):
                self._put(task, now, now)
        for waiting in [one for one in self._waiting if one.task.name == name]:
            self._remove(waiting)
            self._insert(self._as_defined_now(waiting))
        self._note_conditions()
        self._clock.wake()

    def _put(self, task: Task, since: datetime, now: datetime) -> None:
        """From `since` on, but never from the future: a clock that was wrong for a while must not silence a task until
        then. One that counts from an end, which what waits or runs of it has not reached, comes due with that."""
        schedule, since = task.schedule, min(since, now)
        if schedule is None or not schedule.waits_for_an_end:
            self._timetable.put(task, since)
        elif schedule.since_end:
            ended = [one for one in (self._ended.get(task.name), self._skipped.get(task.name)) if one is not None]
            ends = [one.completed_at for one in ended if one.completed_at is not None and one.completed_at <= now]
            busy = {one.task.name for one in self._waiting} | {one.task.name for one in self._running.values()}
            if task.name in busy:
                self._timetable.suspend(task)
            else:
                self._timetable.put(task, max([since, *ends]))
        else:
            self._timetable.put(task, since)
            last = None if schedule.after is None else self._ended.get(schedule.after.task)
            if last is not None and last.completed_at is not None and since < last.completed_at <= now:
                self._timetable.follow(task.name, last.status.value, last.completed_at)

    def _since(self, task: Task, last: Mapping[str, datetime] | None, now: datetime) -> datetime:
        stored = self._definitions.stored.get(task.name)
        if last is None or stored is None:
            return now
        before = last.get(task.id)
        return stored.due_from if before is None else max(stored.due_from, before)

    def _as_defined_now(self, waiting: Waiting) -> Waiting:
        """What waits starts as it is defined when it starts; what is not defined any more does not."""
        name = waiting.task.name
        defined = name in self._definitions.tasks
        task = self._definitions.task(name) if defined else replace(waiting.task, enabled=False)
        task = self._in_force(task, waiting.execution)
        return replace(waiting, task=task, paused_until=self._definitions.paused_until(name))

    @property
    def _policies(self) -> tuple[Policy, ...]:
        return self._definitions.policies_in_order

    def _in_force(self, task: Task, execution: Execution) -> Task:
        """The task with what policies set of it."""
        return self._definitions.in_force(task, execution.window_name)

    async def take_policies(self) -> None:
        """Takes over policies that have changed."""
        await self.load_starts()
        self.take_definitions()

    async def load_starts(self) -> None:
        """Asks the store how often what policies limit has started of late."""
        reach = self._reach_seconds()
        if reach:
            since = self._clock.now() - timedelta(seconds=reach)
            self.experience.load_starts(await self._recorder.run(policies.starts, since))

    def _reach_seconds(self) -> float:
        return max((rate.reach_seconds for one in self._policies for rate in one.rules.rates), default=0.0)

    def take_approval(self, approval: Approval) -> None:
        """Somebody has approved."""
        self.approving.add(approval)
        self._clock.wake()

    def drain(self) -> int:
        """Lets nothing start any more; returns how many run."""
        self._draining = True
        self._clock.wake()
        return len(self._running)

    async def drained(self) -> None:
        """Returns when nothing runs, and the end of what ran is written."""
        while self._unwritten:
            self._idle = trio.Event()
            await self._idle.wait()

    async def request(self, execution: Execution, task: Task) -> None:
        """Takes a requested execution; returns when it is durable, waiting or running. Raises Problem(REFUSED)."""
        waiting = Waiting(execution, self._in_force(task, execution), self._definitions.paused_until(task.name))
        asked = _Asked()
        self._asked[execution.id] = asked
        self._insert(waiting)
        self._asking.set()
        if len(self._running) < self._definitions.config.scheduler.max_concurrent_tasks:
            self._clock.wake()  # without room there is nothing to decide until something ends
        await asked.settled.wait()
        if asked.refusal is not None:
            raise asked.refusal

    async def verdicts(self, execution: Execution, task: Task, moment: datetime) -> tuple[Verdict, ...]:
        """What each guard says of `execution` if it were to start at `moment`; facts are those of now."""
        waiting = Waiting(execution, self._in_force(task, execution), self._definitions.paused_until(task.name))
        openings, freezes = self.calendar.openings_at(moment), self.calendar.freezes_at(moment)
        conditions = (*conditions_of(waiting, openings), *policy.conditions_of(waiting, self._policies))
        found = await self._looking.facts(conditions, patience=float("inf"))
        others = tuple(one for one in self._waiting if one.execution.id != execution.id)
        snapshot = replace(self._snapshot(found, others), openings=openings, freezes=freezes)
        snapshot = replace(snapshot, frozen=self.calendar.frozen_at(moment))
        return explain(replace(snapshot, unable=self._unable([waiting])), waiting, moment)

    def empty_timetable(self, windows: Mapping[str, Window]) -> Timetable:
        """A timetable like the scheduler's own, with nothing in it: to reckon with somewhere else."""
        return Timetable(windows, self._definitions.config.scheduler.misfire_grace_seconds, self._machine)

    def surroundings(self) -> Callable[[datetime], tuple[Snapshot, datetime | None]]:
        """What is open, frozen and allowed at any moment, by what is defined now: for a simulation."""
        windows, freezes = dict(self._definitions.windows), tuple(self._definitions.freezes.values())
        needed = {dependency.task for task in self._definitions.tasks.values() for dependency in task.dependencies}
        unable = {name: why for name in needed if (why := self._definitions.unable(name)) is not None}
        durations = dict(self.experience.durations)
        now = replace(
            self._snapshot(Facts(), ()), unable=unable, durations=durations, enabled=True, draining=False, running={}
        )

        def look(moment: datetime) -> tuple[Snapshot, datetime | None]:
            found = outlook(windows, freezes, moment)
            return replace(now, openings=found.openings, freezes=found.freezes, windows=windows), found.turns_at

        return look

    async def cancel(self, execution_id: str, reason: str) -> bool:
        """Cancels an execution that waits, or asks one that runs to stop; False if it does neither."""
        waiting = self._by_id.get(execution_id)
        if waiting is not None:
            await self._give_up(self._remove(waiting), (Verdict("cancelled", "refuse", reason),))
            return True
        return self._runner.stop(execution_id, "cancelled", reason)

    async def give_up(self, execution_id: str, guard: str, reason: str) -> bool:
        """Gives up an execution that waits, in the name of that guard; False if it does not wait."""
        waiting = self._by_id.get(execution_id)
        if waiting is None:
            return False
        await self._give_up(self._remove(waiting), (Verdict(guard, "refuse", reason),))
        return True

    async def serve(self) -> None:
        """Runs until it is cancelled; what runs is asked to stop first by whoever cancels."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self._looking.serve)
            nursery.start_soon(self._write_asked)
            while True:
                self.wake_at = await self._turn(nursery)
                before = self._clock.read()
                if await self._clock.wait(self.wake_at) == "clock_set":
                    self._take_clock_change(before, self._clock.read())

    async def _turn(self, nursery: trio.Nursery) -> datetime | None:
        now = self._clock.now()
        due = list(self._timetable.take_due(now))
        if due:
            await self._write_due(due)
        found = await self._looking.facts(self._conditions())
        now = self._clock.now()  # those two may have taken their time
        self._turn_windows(now)
        if self._recorder.away is not None:
            self._hold_all(Verdict("database", "wait", "the database is away: no start could be written down"))
            return self.calendar.turns_at  # nothing could be written down: woken when the database is back
        snapshot = self._snapshot(found, tuple(self._waiting))
        agenda = decide(snapshot, now)
        self._carry_out(agenda, nursery)
        moments = (agenda.wake_at, self._timetable.wake_at(), self.calendar.turns_at)
        return min((moment for moment in moments if moment is not None), default=None)

    def _carry_out(self, agenda: Agenda, nursery: trio.Nursery) -> None:
        for ident in agenda.start:
            waiting = self._remove(self._by_id[ident])
            self._running[ident] = self._occupied(waiting)
            self.experience.note_start(waiting.task.name, self._clock.now(), self._reach_seconds())
            if waiting.catches_up:
                now = self._clock.now()
                self._caught_up = (*catch_up.recent(self._caught_up, now), now)
            nursery.start_soon(self._run, waiting)
        for ident, against in agenda.skip:
            nursery.start_soon(self._give_up, self._remove(self._by_id[ident]), against)
        for ident, against in agenda.held.items():
            self._hold(self._by_id[ident], against)
        if agenda.crowded is not None:
            self._hold_all(agenda.crowded, but=agenda.held)
        for ident in agenda.stop:
            self._runner.stop(ident, "window_end", "its window has ended, and the task says to stop then")
        for ident in agenda.pause:
            self._pause(ident)
        for ident in agenda.resume:
            self._resume(ident)
        for ident in agenda.replace:
            self._runner.stop(ident, "replaced", "a newer execution of it is due, and the task says to stop the older")

    def _pause(self, ident: str) -> None:
        """Its window has closed: it stands still until that opens again. What cannot, goes on."""
        if ident in self._over_night:
            return
        self._over_night.add(ident)
        window = self._running[ident].window
        try:
            self._runner.pause(ident, f"window {window} has closed, it goes on when that opens again", WINDOW, WINDOW)
        except Problem as problem:
            self._log.warning(problem.message, execution=ident)

    def _resume(self, ident: str) -> None:
        """Its window is open again, and its end counts from now on."""
        occupied = self._running[ident]
        self._running[ident] = occupied._replace(opening_end=self.openings[str(occupied.window)].runs_until)
        if ident in self._over_night:
            self._over_night.discard(ident)
            with suppress(Problem):  # it has just ended
                self._runner.resume(ident, WINDOW, WINDOW)

    def _hold_all(self, verdict: Verdict, but: Collection[str] = ()) -> None:
        """All that wait, wait for the same, but for those that are told what they wait for."""
        same = (verdict.to_json(),)
        for waiting in tuple(self._waiting):
            if waiting.execution.reasons != same and waiting.execution.id not in but:
                self._hold(waiting, (verdict,))

    def _hold(self, waiting: Waiting, against: tuple[Verdict, ...]) -> None:
        """Notes why it waits; the same reasons are not told again."""
        reasons = tuple(verdict.to_json() for verdict in against)
        if reasons != waiting.execution.reasons:
            held = replace(waiting, execution=replace(waiting.execution, reasons=reasons))
            self._remove(waiting)
            self._insert(held)
            self._current.put(held.execution, "scheduled")

    def _insert(self, waiting: Waiting) -> None:
        insort(self._waiting, waiting, key=scheduling.order)
        self._by_id[waiting.execution.id] = waiting

    def _note_conditions(self) -> None:
        tasks, windows = self._definitions.tasks.values(), self._definitions.windows.values()
        self._any_conditions = any(one.conditions for each in (tasks, windows, self._policies) for one in each)
        self._backups = tuple(task.name for task in tasks if task.type == "backup") if self._policies else ()

    def _remove(self, waiting: Waiting) -> Waiting:
        del self._waiting[bisect_left(self._waiting, scheduling.order(waiting), key=scheduling.order)]
        return self._by_id.pop(waiting.execution.id)

    def _conditions(self) -> list[Condition]:
        """What must be looked at for those that wait; nothing in the common case that no task has conditions, and
        nothing while nothing could start anyway."""
        if not self._any_conditions or len(self._running) >= self._definitions.config.scheduler.max_concurrent_tasks:
            return []
        return [
            condition
            for waiting in self._waiting
            for found in (conditions_of(waiting, self.openings), policy.conditions_of(waiting, self._policies))
            for condition in found
        ]

    async def _write_asked(self) -> None:
        """Requests that have to wait: they are answered as soon as that is durable."""
        while True:
            await self._asking.wait()
            self._asking = trio.Event()
            asked = tuple(self._asked)
            await trio.sleep(PATIENCE_SECONDS)
            waiting = [self._by_id[ident] for ident in asked if ident in self._asked and ident in self._by_id]
            if waiting:
                await self._write_waiting(waiting)

    async def _write_waiting(self, asked: Sequence[Waiting]) -> None:
        idents = [waiting.execution.id for waiting in asked]
        settled = [self._asked.pop(ident).settled for ident in idents]
        room = concurrency.room(len(self._running), self._definitions.config.scheduler.max_concurrent_tasks)
        for waiting in asked:
            if not waiting.execution.reasons and room.verdict != "pass":  # nobody has looked at it, and so it waits
                self._hold(waiting, (room,))
        await self._recorder.put(*(self._by_id[ident].execution for ident in idents))
        for event in settled:
            event.set()

    async def _run(self, waiting: Waiting) -> None:
        execution = waiting.execution
        asked = self._asked.pop(execution.id, None)
        occupied = self._running.get(execution.id)
        ends_at = None if occupied is None else occupied.opening_end
        self._unwritten += 1
        try:
            for approval in self.approving.use(waiting, self._policies, self._clock.now()):
                await self._recorder.run(policies.use_approval, approval.id, execution.id)
                if approval.plan is not None:  # what was approved is what is done
                    options = {**execution.options, "plan": approval.plan}
                    waiting = replace(waiting, execution=replace(execution, options=options))
            ended = self._ended[waiting.task.name] = await self._run_watched(
                waiting, ends_at, started=lambda: None if asked is None else asked.settled.set()
            )
            self._note_end(ended)
            self.experience.note(ended)
            await self._retry(ended, waiting.task)
        finally:
            self._free(execution.id)
            self._unwritten -= 1
            if not self._unwritten:
                self._idle.set()

    async def _run_watched(self, waiting: Waiting, ends_at: datetime | None, started: Callable[[], None]) -> Execution:
        """Runs it; meanwhile its conditions are looked at, where it says so."""
        execution, conditions = waiting.execution, watched(conditions_of(waiting, self.openings))
        async with trio.open_nursery() as nursery:
            if conditions:
                nursery.start_soon(self._watching.watch, execution, conditions)
            ended = await self._runner.run(
                execution, waiting.task, started=started, done=lambda: self._free(execution.id), ends_at=ends_at
            )
            nursery.cancel_scope.cancel()
        return ended

    async def _retry(self, ended: Execution, task: Task) -> None:
        """What failed is tried again, where its task says so; what the daemon's end cut short, at the next start."""
        grace = timedelta(seconds=self._definitions.config.scheduler.misfire_grace_seconds)
        again = None if failure_of(ended) == "interrupted" else retry_of(ended, task, grace)
        if again is None:
            return
        await self._recorder.put(again)
        self._queue(again, task)
        self._clock.wake()
        self._log.info(
            f"{task.name} is tried again at {views.time(again.scheduled_for)}",
            execution=again.id,
            task=task.name,
            attempt=again.attempt,
            retry_of=ended.id,
        )

    def _free(self, execution_id: str) -> None:
        """Its work has ended: another one may start, whose start is then written together with this one's end."""
        self._over_night.discard(execution_id)
        if self._running.pop(execution_id, None) is not None:
            self._clock.wake()

    async def _give_up(self, waiting: Waiting, against: tuple[Verdict, ...]) -> None:
        reasons = tuple(verdict.to_json() for verdict in against)
        execution = waiting.execution
        asked = self._asked.pop(execution.id, None)
        if asked is not None:  # it was never promised: whoever asked is told, and the audit log
            asked.refusal = refused(f"cannot run {waiting.task.name}: {against[0].detail}", reasons)
            asked.settled.set()
            return
        ended = advance(execution, State.CANCELLED, completed_at=self._clock.now(), reasons=reasons)
        self._skipped[waiting.task.name] = ended
        self._note_end(ended)
        await self._recorder.put(ended)
        self._current.put(ended, "ended")
        self._log.warning(
            f"{waiting.task.name} was skipped: {against[0].detail}",
            execution=execution.id,
            task=waiting.task.name,
            guard=against[0].guard,
            message_id=MESSAGE_IDS["execution_skipped"],
        )

    async def _write_due(self, due: list[Occurrence]) -> None:
        """A row for each, before anything else: from here on none is lost."""
        async with trio.open_nursery() as nursery:
            for occurrence in due:
                nursery.start_soon(self._write_occurrence, occurrence)

    async def _write_occurrence(self, occurrence: Occurrence) -> None:
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
        if occurrence.given_up is not None:
            reason = Verdict("misfire", "refuse", occurrence.given_up).to_json()
            now = self._clock.now()
            execution = advance(execution, State.CANCELLED, completed_at=now, reasons=(reason, *execution.reasons))
        try:
            await self._recorder.put(execution)
        except OccurrenceTakenError:
            self._log.info(
                f"{occurrence.task.name} has had its occurrence of {views.time(occurrence.scheduled_for)} already",
                task=occurrence.task.name,
            )
            return
        if occurrence.given_up is not None:
            self._say_given_up(execution, occurrence.given_up)
            return
        self._queue(execution, occurrence.task, occurrence.late)
        self._current.put(execution, "scheduled")

    def _say_given_up(self, ended: Execution, why: str) -> None:
        self._skipped[ended.task_name] = ended
        self._note_end(ended)
        self._current.put(ended, "ended")
        self._log.warning(
            f"{ended.task_name} was skipped: {why}",
            execution=ended.id,
            task=ended.task_name,
            guard="misfire",
            message_id=MESSAGE_IDS["execution_skipped"],
        )

    def _note_end(self, execution: Execution) -> None:
        """What counts from an end, or comes after one, may be due now."""
        self._timetable.end(execution)
        self._clock.wake()

    def _queue(self, execution: Execution, task: Task, catches_up: bool = False) -> None:
        task = self._in_force(task, execution)
        waiting = Waiting(execution, task, self._definitions.paused_until(task.name), catches_up)
        self._insert(waiting)
        if self._current.get(execution.id) is None:
            self._current.put(execution, "scheduled")

    def _snapshot(self, found: Facts, waiting: Sequence[Waiting]) -> Snapshot:
        settings = self._definitions.config.scheduler
        return Snapshot(
            waiting=waiting,
            running=self._running,
            openings=self.openings,
            windows=self._definitions.windows,
            durations=self.experience.durations,
            freezes=self.calendar.freezes,
            frozen=self.calendar.frozen,
            policies=self._policies,
            approvals=self.approving.approvals,
            completed=self.experience.completed,
            starts=self.experience.starts,
            backups=self._backups,
            defined=self._definitions.tasks,
            ended=self._ended,
            skipped=self._skipped,
            unable=self._unable(waiting),
            facts=found,
            caught_up=self._caught_up,
            catch_ups_per_minute=settings.catch_ups_per_minute,
            max_concurrent=settings.max_concurrent_tasks,
            enabled=settings.enabled,
            draining=self._draining,
        )

    def _unable(self, waiting: Sequence[Waiting]) -> dict[str, str]:
        """Of what those that wait depend on: the tasks that cannot run, and why."""
        names = {dependency.task for one in waiting for dependency in one.task.dependencies}
        return {name: why for name in names if (why := self._definitions.unable(name)) is not None}

    def _occupied(self, waiting: Waiting) -> Occupied:
        name = waiting.execution.window_name
        opening = None if name is None else self.openings.get(name)
        return Occupied(waiting.task, name, None if opening is None else opening.runs_until)

    def _turn_windows(self, now: datetime) -> None:
        """Opens and closes windows; costs nothing until the next one does."""
        before = self.openings
        self.calendar.turn(now)
        for name in self.openings.keys() - before.keys():
            self._say_window(self.openings[name], "opened")
        for name in before.keys() - self.openings.keys():
            self._say_window(before[name], "closed")

    def _say_window(self, opening: Opening, what: str) -> None:
        self._current.publish(f"window.{what}", window=views.opening(opening))
        self._log.info(f"window {opening.window.name} {what}", window=opening.window.name)

    def _take_clock_change(self, before: Reading, after: Reading) -> None:
        """Set back, a task is due again from the new now on; what has had its row is not written twice."""
        slept, jump = slept_seconds(before, after), jump_seconds(before, after)
        if slept > JUMP_SECONDS:
            self._log.info(f"the machine was suspended for {slept:.0f} s", slept_seconds=round(slept, 1))
        if abs(jump) < JUMP_SECONDS:
            return  # a correction of the kind that keeps clocks right
        self._log.warning(
            f"the wall clock was set by {jump:+.1f} s: what is due next is reckoned anew",
            jump_seconds=round(jump, 1),
        )
        self.calendar.forget()
        if jump < 0:
            self._go_back(after.wall)

    def _go_back(self, now: datetime) -> None:
        anew = Timetable(self._definitions.windows, 0, self._machine)
        for task in self._definitions.effective():
            due = self._timetable.next_of(task.name)
            if due is None:
                continue
            anew.put(task, now)
            earlier = anew.next_of(task.name)
            if earlier is not None and earlier < due:
                self._timetable.put(task, now)


def new_execution(
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


def _missed(occurrence: Occurrence) -> tuple[dict[str, str], ...]:
    if not occurrence.missed:
        return ()
    count = f"at least {MISSED_LIMIT}" if occurrence.missed >= MISSED_LIMIT else str(occurrence.missed)
    detail = (
        f"{count} earlier occurrences since {views.time(occurrence.missed_since)} were missed while the "
        "daemon did not run; this one stands for them"
    )
    return ({"guard": "misfire", "verdict": "wait", "detail": detail},)
