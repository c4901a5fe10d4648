"""The loop: it sleeps until the next moment or until woken, asks the core what to do, and has it done.

Scheduled and requested executions wait in one queue and go one way. What is due is written down before the next due
moment is reckoned; a request is answered when it is durable, as a row that waits or as one that runs.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import trio
from structlog.typing import FilteringBoundLogger

from jamaint.core.calendar.availability import outlook
from jamaint.core.calendar.windows import Opening, Window
from jamaint.core.conditions import Facts
from jamaint.core.executions import Execution, State, advance
from jamaint.core.guards import catch_up, concurrency, policy
from jamaint.core.guards.condition import conditions_of
from jamaint.core.guards.guard import Occupied, Snapshot, Verdict, Waiting
from jamaint.core.policies.approvals import Approval
from jamaint.core.policies.policies import Policy
from jamaint.core.resources import Resource, meeting
from jamaint.core.scheduling.agenda import Agenda, decide, explain
from jamaint.core.scheduling.retries import failure_of, retry_of
from jamaint.core.scheduling.timetable import Occurrence, Timetable
from jamaint.core.scheduling.while_running import watched
from jamaint.core.tasks import Condition, Task
from jamaint.daemon.execution.runner import Runner
from jamaint.daemon.scheduling.approvals import Approving
from jamaint.daemon.scheduling.calendar import Calendar
from jamaint.daemon.scheduling.condition_facts import Looking
from jamaint.daemon.scheduling.due import Due, of_missed, of_occurrence
from jamaint.daemon.scheduling.queue import Queue
from jamaint.daemon.scheduling.run_statistics import RunStatistics
from jamaint.daemon.scheduling.while_running import Watching
from jamaint.daemon.state import json_views
from jamaint.daemon.state.definitions import Definitions
from jamaint.daemon.state.live import Current
from jamaint.daemon.state.recorder import Recorder
from jamaint.errors import REFUSED, JamaintError, refused
from jamaint.host.clock import Clock, Reading, jump_seconds, slept_seconds
from jamaint.host.logging.setup import MESSAGE_IDS
from jamaint.store import policies
from jamaint.store.postgres import OccurrenceTakenError

QUEUE_LIMIT, QUEUE_OF_TASK = 1000, 100
"""Executions that may wait after they were asked for, of all tasks and of one: more are refused."""
PATIENCE_SECONDS = 0.03
"""A request that has to wait is written down and answered after this: it may start before, and is then written once."""
WHY_SECONDS = 20.0
"""How long who asks why waits for facts: a client waits no longer than 30. What is not known by then is told so."""
HELD_WRITTEN_SECONDS = 60.0
WINDOW = "window"
"""Who pauses what its window's end finds running."""
JUMP_SECONDS = 1.0
"""A clock that is set by less has jumped over nothing that matters."""


@dataclass(slots=True)
class _Asked:
    """A request that is not written down yet: whoever asked waits for `settled`."""

    settled: trio.Event = field(default_factory=trio.Event)
    refusal: JamaintError | None = None


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
        undoing: Callable[[], Sequence[tuple[str, tuple[Resource, ...]]]] = tuple,
    ) -> None:
        self._undoing = undoing
        self._definitions = definitions
        self._recorder = recorder
        self._current = current
        self._runner = runner
        self._looking = looking
        self._watching = watching
        self._clock = clock
        self._log = log
        self._queue = Queue(current)
        self._any_conditions = False
        self._asked: dict[str, _Asked] = {}
        self._asking = trio.Event()
        self._running: dict[str, Occupied] = {}
        self._due = Due(definitions, machine, self._busy)
        self._caught_up: tuple[datetime, ...] = ()
        self.experience = RunStatistics()
        self.calendar = Calendar(definitions, self.experience)
        self.approving = Approving()
        self._over_night: set[str] = set()
        self._backups: tuple[str, ...] = ()
        self._unwritten = 0
        self._draining = self._stopping = False
        self._idle = trio.Event()
        self.wake_at: datetime | None = None

    @property
    def first_due(self) -> datetime | None:
        """When any task is due next. `wake_at` may be earlier: windows close, conditions are looked at again."""
        return self._due.wake_at()

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
        return bool(self._queue)

    def at_work_on(self, touches: Sequence[Resource]) -> str | None:
        """Return what runs and uses one of these, in words; None for nothing."""
        for occupied in self._running.values():
            met = meeting(touches, occupied.task.touches)
            if met is not None:
                return f"{occupied.task.name} runs and uses {met[1]}"
        return None

    def running_in(self, window: str) -> int:
        """How many executions run in a window."""
        return sum(1 for occupied in self._running.values() if occupied.window == window)

    def next_due(self, task: str) -> datetime | None:
        """When the task is due next."""
        return self._due.next_of(task)

    def last_ended(self, task: str) -> Execution | None:
        """The task's newest execution that ran and has ended, as it ended."""
        return self._due.ended.get(task)

    def note_undone(self, execution: Execution) -> None:
        """An ended execution has been rolled back: what depends on it must see that."""
        self._due.note_undone(execution)

    def load(
        self,
        last: Mapping[str, datetime],
        ended: Mapping[str, Execution],
        skipped: Mapping[str, Execution],
        waiting: list[Execution],
    ) -> None:
        """Takes over what the store knows: each task's last occurrence, how each ended, and what still waits."""
        self._due.ended, self._due.skipped = dict(ended), dict(skipped)
        for execution in ended.values():
            self.experience.note_steps(execution)
        for execution in waiting:
            try:
                task = self._definitions.task(execution.task_name)
            except JamaintError:
                continue  # the task is gone: `settle_orphans` tells it
            # What has waited over a restart is late, and no better than what became due meanwhile.
            self._enqueue(execution, task, catches_up=execution.trigger == "schedule")
        self.take_definitions(last)

    def take_definitions(self, last: Mapping[str, datetime] | None = None) -> None:
        """Reckons the timetable anew from what is defined now; `last` tells of occurrences that have had their row."""
        self._due.reckon(self._clock.now(), last)
        self._queue.change(self._as_defined_now)
        self._note_conditions()
        self.calendar.forget()
        self._clock.wake()

    def take_task(self, name: str) -> None:
        """Takes over one task that was made, changed, switched or deleted; the others stay as they are."""
        self._due.reckon_task(name, self._clock.now())
        self._queue.change(self._as_defined_now, name)
        self._note_conditions()
        self._clock.wake()

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

    def end_drain(self) -> int:
        """Start tasks again; return the number of running ones. Raises JamaintError(REFUSED) while the daemon stops."""
        if self._stopping:
            raise JamaintError(REFUSED, "jamaintd is stopping: nothing starts until it has been started again")
        self._draining = False
        self._clock.wake()
        return len(self._running)

    def stop(self) -> int:
        """Drain for good, for the daemon stops; return the number of running executions."""
        self._stopping = True
        return self.drain()

    async def drained(self) -> None:
        """Returns when nothing runs, and the end of what ran is written."""
        while self._unwritten:
            self._idle = trio.Event()
            await self._idle.wait()

    async def request(self, execution: Execution, task: Task) -> None:
        """Takes a requested execution; returns when it is durable, waiting or running. Raises JamaintError(REFUSED)."""
        self._refuse_when_full(task)
        waiting = Waiting(execution, self._in_force(task, execution), self._definitions.paused_until(task.name))
        asked = _Asked()
        self._asked[execution.id] = asked
        self._queue.add(waiting)
        self._asking.set()
        if len(self._running) < self._definitions.config.scheduler.max_concurrent_tasks:
            self._clock.wake()  # without room there is nothing to decide until something ends
        await asked.settled.wait()
        if asked.refusal is not None:
            raise asked.refusal

    def _refuse_when_full(self, task: Task) -> None:
        count, of_task = self._queue.requested(), self._queue.requested(task.name)
        if count < QUEUE_LIMIT and of_task < QUEUE_OF_TASK:
            return
        waits = f"{of_task} executions of it" if of_task >= QUEUE_OF_TASK else f"{count} executions"
        detail = f"{waits} that were asked for wait already: cancel some, or wait until they have run"
        raise refused(f"cannot run {task.name}: {detail}", [Verdict("queue", "refuse", detail).to_json()])

    async def verdicts(self, execution: Execution, task: Task, moment: datetime) -> tuple[Verdict, ...]:
        """What each guard says of `execution` if it were to start at `moment`; facts are those of now."""
        waiting = Waiting(execution, self._in_force(task, execution), self._definitions.paused_until(task.name))
        openings, freezes = self.calendar.openings_at(moment), self.calendar.freezes_at(moment)
        conditions = (*conditions_of(waiting, openings), *policy.conditions_of(waiting, self._policies))
        found = await self._looking.facts(conditions, patience=WHY_SECONDS)
        others = tuple(one for one in self._queue if one.execution.id != execution.id)
        snapshot = replace(self._snapshot(found, others), openings=openings, freezes=freezes)
        snapshot = replace(snapshot, frozen=self.calendar.frozen_at(moment))
        return explain(replace(snapshot, unable=self._unable([waiting])), waiting, moment)

    def empty_timetable(self, windows: Mapping[str, Window]) -> Timetable:
        """A timetable like the scheduler's own, with nothing in it: to reckon with somewhere else."""
        return self._due.empty(windows)

    def surroundings(self) -> Callable[[datetime], tuple[Snapshot, datetime | None]]:
        """What is open, frozen and allowed at any moment, by what is defined now: for a simulation."""
        windows, freezes = dict(self._definitions.windows), tuple(self._definitions.freezes.values())
        of_policies = [one for policy in self._definitions.policies_in_order for one in policy.rules.freezes]
        needed = {dependency.task for task in self._definitions.tasks.values() for dependency in task.dependencies}
        unable = {name: why for name in needed if (why := self._definitions.unable(name)) is not None}
        durations = dict(self.experience.durations)
        now = replace(
            self._snapshot(Facts(), ()), unable=unable, durations=durations, enabled=True, draining=False, running={}
        )

        def look(moment: datetime) -> tuple[Snapshot, datetime | None]:
            found, ruled = outlook(windows, freezes, moment), outlook({}, of_policies, moment)
            frozen = {state.freeze.name: state for state in ruled.freezes}
            turns = [turn for turn in (found.turns_at, ruled.turns_at) if turn is not None]
            then = replace(now, openings=found.openings, freezes=found.freezes, frozen=frozen, windows=windows)
            return then, min(turns, default=None)

        return look

    async def cancel(self, execution_id: str, reason: str) -> bool:
        """Cancels an execution that waits, or asks one that runs to stop; False if it does neither."""
        if self._queue.get(execution_id) is not None:
            await self._give_up(*self._taken_out(execution_id, (Verdict("cancelled", "refuse", reason),)))
            return True
        return self._runner.stop(execution_id, "cancelled", reason)

    async def give_up(self, execution_id: str, guard: str, reason: str) -> bool:
        """Gives up an execution that waits, in the name of that guard; False if it does not wait."""
        if self._queue.get(execution_id) is None:
            return False
        await self._give_up(*self._taken_out(execution_id, (Verdict(guard, "refuse", reason),)))
        return True

    async def serve(self) -> None:
        """Runs until it is cancelled; what runs is asked to stop first by whoever cancels."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self._looking.serve)
            nursery.start_soon(self._write_asked)
            nursery.start_soon(self._write_held)
            while True:
                self.wake_at = await self._turn(nursery)
                before = self._clock.read()
                if await self._clock.wait(self.wake_at) == "clock_set":
                    self._take_clock_change(before, self._clock.read())

    async def _turn(self, nursery: trio.Nursery) -> datetime | None:
        now = self._clock.now()
        due = self._due.take(now)
        if due:
            await self._write_due(due)
        found = await self._looking.facts(self._conditions())
        now = self._clock.now()  # those two may have taken their time
        self._turn_windows(now)
        if self._recorder.away is not None:
            self._queue.hold_all(
                Verdict("database", "wait", "the database is away: no start could be written down"), now
            )
            return self.calendar.turns_at  # nothing could be written down: woken when the database is back
        snapshot = self._snapshot(found, tuple(self._queue))
        agenda = decide(snapshot, now)
        self._carry_out(agenda, nursery)
        moments = (agenda.wake_at, self._due.wake_at(), self.calendar.turns_at)
        return min((moment for moment in moments if moment is not None), default=None)

    def _carry_out(self, agenda: Agenda, nursery: trio.Nursery) -> None:
        now = self._clock.now()
        for ident in agenda.start:
            waited_for = self._queue.reasons_at_start(ident, now)
            waiting = self._queue.remove(ident)
            waiting = replace(waiting, execution=replace(waiting.execution, reasons=waited_for))
            self._running[ident] = self._occupied(waiting)
            self.experience.note_start(waiting.task.name, now, self._reach_seconds())
            if waiting.catches_up:
                self._caught_up = (*catch_up.recent(self._caught_up, now), now)
            nursery.start_soon(self._run, waiting)
        for ident, against in agenda.skip:
            nursery.start_soon(self._give_up, *self._taken_out(ident, against))
        for ident, against in agenda.held.items():
            self._queue.hold(ident, against, now)
        if agenda.crowded is not None:
            self._queue.hold_all(agenda.crowded, now, but=agenda.held)
        for ident in agenda.stop:
            self._runner.stop(ident, "window_end", "its window has ended (on_window_end: cancel)")
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
            self._runner.pause(
                ident, f"window {window} has closed; it resumes when the window opens again", WINDOW, WINDOW
            )
        except JamaintError as problem:
            self._log.warning(problem.message, execution=ident)

    def _resume(self, ident: str) -> None:
        """Resume what stood still at its window's end: the end of the opening that has come counts from now on."""
        occupied = self._running[ident]
        ends_at = self.openings[str(occupied.window)].runs_until
        self._running[ident] = occupied._replace(opening_end=ends_at)
        self._runner.move_end(ident, ends_at)  # first: work that went on before would find its window ended
        if ident in self._over_night:
            self._over_night.discard(ident)
            with suppress(JamaintError):  # it has just ended
                self._runner.resume(ident, WINDOW, WINDOW)

    def _note_conditions(self) -> None:
        tasks, windows = self._definitions.tasks.values(), self._definitions.windows.values()
        self._any_conditions = any(one.conditions for each in (tasks, windows, self._policies) for one in each)
        self._backups = tuple(task.name for task in tasks if task.type == "backup") if self._policies else ()

    def _conditions(self) -> list[Condition]:
        """What must be looked at for those that wait; nothing in the common case that no task has conditions, and
        nothing while nothing could start anyway."""
        if not self._any_conditions or len(self._running) >= self._definitions.config.scheduler.max_concurrent_tasks:
            return []
        return [
            condition
            for waiting in self._queue
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
            waiting = [one for ident in asked if ident in self._asked and (one := self._queue.get(ident)) is not None]
            if waiting:
                await self._write_waiting(waiting)

    async def _write_held(self) -> None:
        """Write down now and then what holds those that wait, so that a restart forgets a minute of it at most."""
        while True:
            await trio.sleep(HELD_WRITTEN_SECONDS)
            await self.write_held()

    async def write_held(self) -> None:
        """Write down what has held those that wait so far; while the database is away, that is left for later."""
        if self._recorder.away is None:
            held = [one for one in self._queue.to_write(self._clock.now()) if one.id not in self._asked]
            if held:
                await self._recorder.put(*held)

    async def _write_waiting(self, asked: Sequence[Waiting]) -> None:
        idents = [waiting.execution.id for waiting in asked]
        settled = [self._asked.pop(ident).settled for ident in idents]
        room = concurrency.room(len(self._running), self._definitions.config.scheduler.max_concurrent_tasks)
        for waiting in asked:
            if not waiting.execution.reasons and room.verdict != "pass":  # nobody has looked at it, and so it waits
                self._queue.hold(waiting.execution.id, (room,), self._clock.now())
        found = map(self._queue.get, idents)
        await self._recorder.put(*(one.execution for one in found if one is not None))
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
            ended = await self._run_watched(
                waiting, ends_at, started=lambda: None if asked is None else asked.settled.set()
            )
            self._due.note_ended(ended)
            self._clock.wake()
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
        self._enqueue(again, task)
        self._clock.wake()
        self._log.info(
            f"{task.name} is tried again at {json_views.time(again.scheduled_for)}",
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

    def _taken_out(self, ident: str, against: tuple[Verdict, ...]) -> tuple[Waiting, tuple[dict[str, Any], ...]]:
        """Take one out of the queue that is given up, with the reasons for its record."""
        reasons = self._queue.reasons_to_skip(ident, against, self._clock.now())
        return self._queue.remove(ident), reasons

    async def _give_up(self, waiting: Waiting, reasons: tuple[dict[str, Any], ...]) -> None:
        execution = waiting.execution
        asked = self._asked.pop(execution.id, None)
        if asked is not None:  # it was never promised: whoever asked is told, and the audit log
            asked.refusal = refused(f"cannot run {waiting.task.name}: {reasons[0]['detail']}", reasons)
            asked.settled.set()
            return
        ended = advance(execution, State.CANCELLED, completed_at=self._clock.now(), reasons=reasons)
        self._due.note_skipped(ended)
        self._clock.wake()
        await self._recorder.put(ended)
        self._current.put(ended, "ended")
        self._log.warning(
            f"{waiting.task.name} was skipped: {reasons[0]['detail']}",
            execution=execution.id,
            task=waiting.task.name,
            guard=reasons[0]["guard"],
            message_id=MESSAGE_IDS["execution_skipped"],
        )

    async def _write_due(self, due: list[Occurrence]) -> None:
        """A row for each, before anything else: from here on none is lost."""
        async with trio.open_nursery() as nursery:
            for occurrence in due:
                nursery.start_soon(self._write_occurrence, occurrence)

    async def _write_occurrence(self, occurrence: Occurrence) -> None:
        now = self._clock.now()
        execution = of_occurrence(occurrence, now)
        missed = [of_missed(one, now) for one in self._due.missed_by(occurrence)]
        try:
            await self._recorder.put(*missed, execution)
        except OccurrenceTakenError:
            self._log.info(
                f"{occurrence.task.name} has had its occurrence of {json_views.time(occurrence.scheduled_for)} already",
                task=occurrence.task.name,
            )
            return
        finally:
            for one in missed:
                self._current.put(one, "ended")
        if occurrence.given_up is not None:
            self._say_given_up(execution, occurrence.given_up)
            return
        self._enqueue(execution, occurrence.task, occurrence.late)
        self._current.put(execution, "scheduled")

    def _say_given_up(self, ended: Execution, why: str) -> None:
        self._due.note_skipped(ended)
        self._clock.wake()
        self._current.put(ended, "ended")
        self._log.warning(
            f"{ended.task_name} was skipped: {why}",
            execution=ended.id,
            task=ended.task_name,
            guard="misfire",
            message_id=MESSAGE_IDS["execution_skipped"],
        )

    def _enqueue(self, execution: Execution, task: Task, catches_up: bool = False) -> None:
        task = self._in_force(task, execution)
        waiting = Waiting(execution, task, self._definitions.paused_until(task.name), catches_up)
        self._queue.add(waiting)
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
            ended=self._due.ended,
            skipped=self._due.skipped,
            unable=self._unable(waiting),
            facts=found,
            caught_up=self._caught_up,
            catch_ups_per_minute=settings.catch_ups_per_minute,
            max_concurrent=settings.max_concurrent_tasks,
            enabled=settings.enabled,
            draining=self._draining,
            undoing=self._undoing(),
        )

    def _busy(self) -> set[str]:
        return {one.task.name for one in self._queue} | {one.task.name for one in self._running.values()}

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
        self._current.publish(f"window.{what}", window=json_views.opening(opening))
        self._log.info(f"window {opening.window.name} {what}", window=opening.window.name)

    def _take_clock_change(self, before: Reading, after: Reading) -> None:
        """Set back, a task is due again from the new now on; what has had its row is not written twice."""
        slept, jump = slept_seconds(before, after), jump_seconds(before, after)
        if slept > JUMP_SECONDS:
            self._log.info(f"the machine was suspended for {slept:.0f} s", slept_seconds=round(slept, 1))
        if abs(jump) < JUMP_SECONDS:
            return  # a correction of the kind that keeps clocks right
        self._log.warning(
            f"the wall clock was changed by {jump:+.1f} s: the next due times are recalculated",
            jump_seconds=round(jump, 1),
        )
        self.calendar.forget()
        if jump < 0:
            self._due.go_back(after.wall)
