"""One execution, from its durable start to its durable end.

The order is what makes it safe: its start is written before anything acts; its plan and the way back before the first
step; each step's begin before the step. So whatever dies when, the next start knows what may have been touched.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar
from uuid import uuid4

import trio
from structlog.typing import FilteringBoundLogger

from jamaint.config import Config
from jamaint.core.estimates import Part, ends_at, fraction_of, keeping_to, seconds_left, weights_of
from jamaint.core.executions import Execution, Progress, State, StepRecord, advance
from jamaint.core.executor_table import ROWS
from jamaint.core.plans import Plan, Step, step_from_json, step_to_json
from jamaint.core.system_cleanup import narrowed, of_execution
from jamaint.core.tasks import Task
from jamaint.daemon.execution import inventories, undo
from jamaint.daemon.execution.inventories import RecordWriter
from jamaint.daemon.execution.rotations import Rotations
from jamaint.daemon.execution.steering import Steering
from jamaint.daemon.execution.stored_plans import Collected, Plans
from jamaint.daemon.state import json_views, password_references
from jamaint.daemon.state.live import Current
from jamaint.daemon.state.recorder import RETRY_SECONDS, Recorder
from jamaint.errors import CONFLICT, UNAVAILABLE, JamaintError, unavailable
from jamaint.host.logging.setup import MESSAGE_IDS
from jamaint.host.processes.output import printable
from jamaint.host.signatures import Seals
from jamaint.protocol.worker import TAKEN
from jamaint.store import cleanup_history, rollback_points
from jamaint.store.executions import LogLine
from jamaint.store.rollback_points import RollbackPoint
from jamaint.worker_client.composite import WorkerHandle
from jamaint.worker_client.session import WorkerLostError, open_worker

T = TypeVar("T")

LAST_WRITE_SECONDS = 20.0
"""How long the end of an execution may take to be written while the daemon is being stopped."""

LOG_LINES = 10_000
"""Lines that are kept of one execution's log."""

WITHOUT_WORKER = frozenset(row.key for row in ROWS if row.worker == "none")
"""Executors that touch nothing outside and so need no process."""

UNTHROTTLED = frozenset(row.key for row in ROWS if not row.can_throttle)
"""Executors whose work is done by others, at their own pace: they can be paused, and not slowed."""


@dataclass(slots=True)
class Stop:
    """A wish that an execution stop: `kind` is timeout, cancelled, window_end or interrupted."""

    asked: trio.Event = field(default_factory=trio.Event)
    kind: str = ""
    detail: str = ""

    def ask(self, kind: str, detail: str) -> None:
        """The first wish counts."""
        if not self.asked.is_set():
            self.kind, self.detail = kind, detail
            self.asked.set()


@dataclass(slots=True)
class _Run:
    """An execution under way: its value now, and what belongs to it."""

    execution: Execution
    task: Task
    stop: Stop
    steering: Steering
    ends_at: datetime | None = None
    worked_until: datetime | None = None
    """When the last step, or its undo, had ended. To write that down can take as long as the database is away."""
    plan: Plan = field(default_factory=lambda: Plan(()))
    planned: bool = False
    point: RollbackPoint | None = None
    begun: int = 0
    index: int = 0
    parts: Sequence[Part] = ()
    """The planned steps, with what is known of how long they take."""
    step_began: datetime | None = None
    step_paused: float = 0.0
    """How long the execution had stood still when the step began, in seconds."""
    lines: int = 0
    record: RecordWriter | None = None
    """What it takes, once it has taken something."""
    error: Mapping[str, Any] | None = None
    reasons: tuple[Mapping[str, Any], ...] = ()

    @property
    def chosen(self) -> str | None:
        """The hash of the stored plan that it is to carry out, if it is one."""
        return self.execution.options.get("plan")


class Runner:
    """Runs executions; each call of `run` is one of them."""

    def __init__(
        self,
        *,
        recorder: Recorder,
        current: Current,
        now: Callable[[], datetime],
        config: Callable[[], Config],
        seals: Seals,
        plans: Plans,
        log: FilteringBoundLogger,
        rotations: Rotations | None = None,
    ) -> None:
        self._recorder = recorder
        self._rotations = rotations or Rotations(recorder, lambda: ())
        self._plans = plans
        self._seals = seals
        self._current = current
        self._now = now
        self._config = config
        self._log = log
        self._stops: dict[str, Stop] = {}
        self._runs: dict[str, _Run] = {}
        self.on_point: Callable[[], None] = lambda: None
        self.steps_of: Callable[[str], Mapping[str, float]] = lambda _task: {}
        """How many seconds each step of a task took of late."""

    def stop(self, execution_id: str, kind: str, detail: str) -> bool:
        """Asks a running execution to stop at its next safe point; False if it does not run."""
        stop = self._stops.get(execution_id)
        if stop is not None:
            stop.ask(kind, detail)
        return stop is not None

    def stop_all(self, kind: str, detail: str) -> int:
        """Asks every running execution to stop; returns how many there are."""
        for stop in self._stops.values():
            stop.ask(kind, detail)
        return len(self._stops)

    def pause(self, execution_id: str, why: str, holder: str = "daemon", by: str | None = None) -> None:
        """Lets a running execution stand still at its next safe point, until `holder` resumes it.

        `by` is who or what is shown as doing so, the holder where it is not given. A pause that is in force already is
        no mistake. Raises JamaintError(CONFLICT) for one that does not run, or cannot stand still.
        """
        run = self._steered(execution_id, "paused")
        began = run.steering.pause(holder, by or holder, why)
        self._note_steering(run, "paused" if began else None, f"paused by {by or holder}: {why}")

    def resume(self, execution_id: str, holder: str = "daemon", by: str | None = None) -> bool:
        """Takes `holder`'s pause back; false if there is none. It goes on when nobody else pauses it."""
        run = self._steered(execution_id, "resumed")
        before = run.steering.paused
        goes_on = run.steering.resume(holder)
        after = run.steering.paused
        if before == after and not goes_on:
            return False
        self._note_steering(run, "resumed" if goes_on else "paused", f"resumed by {by or holder}")
        return True

    def throttle(self, execution_id: str, ratio: float, by: str = "daemon") -> None:
        """Lets a running execution rest `ratio` seconds for each second of work; 0 for no rest. Raises as `pause`."""
        run = self._steered(execution_id, "throttled")
        if run.task.executor in UNTHROTTLED:
            raise JamaintError(
                CONFLICT, f"{run.task.name} cannot be throttled: its command runs at its own pace; pause it instead"
            )
        run.steering.throttle(ratio)
        says = (
            f"throttled by {by}: {ratio:g} s of rest for each second of work" if ratio else f"throttle lifted by {by}"
        )
        self._note_steering(run, "throttled", says)

    def move_end(self, execution_id: str, ends_at: datetime) -> None:
        """Have a running execution keep to a later end of its window; one that has ended needs none."""
        run = self._runs.get(execution_id)
        if run is not None:
            run.steering.move_end(ends_at)

    async def stands_still(self, execution_id: str) -> None:
        """Returns when a paused execution has come to a safe point, or has ended."""
        run = self._runs.get(execution_id)
        if run is not None:
            await run.steering.reached()

    async def run(
        self,
        execution: Execution,
        task: Task,
        started: Callable[[], None],
        done: Callable[[], None],
        ends_at: datetime | None = None,
    ) -> Execution:
        """Runs `execution` and returns it as it ended, which is durable then.

        `started` is called when its start is durable, `done` when nothing of it acts any more. `ends_at`: the end of
        its window, for what can leave the rest for the next one.
        """
        steering = Steering(task.timeout_seconds, self._now, ends_at)
        run = _Run(advance(execution, State.RUNNING, started_at=self._now()), task, Stop(), steering, ends_at)
        self._stops[execution.id], self._runs[execution.id] = run.stop, run
        try:
            await self._recorder.put(run.execution)
            started()
            self._current.put(run.execution, "started")
            self._say_started(run)
            await self._perform(run)
            done()
            await self._end(run)
        except* trio.Cancelled:  # out of the worker's nursery it comes as a group
            run.stop.ask("interrupted", "the daemon was stopped")
            # The runner's last write: without it the next start would have to find out what is known here.
            with (
                trio.CancelScope(shield=True, deadline=trio.current_time() + LAST_WRITE_SECONDS),
                suppress(JamaintError),
            ):
                await self._end(run)
            raise
        finally:
            del self._stops[execution.id], self._runs[execution.id]
            if run.record is not None:
                run.record.close()
        return run.execution

    async def plan(
        self, execution_id: str, task: Task, chosen: str | None = None, collected: Collected | None = None
    ) -> tuple[Plan, bool]:
        """What `task` would do now, or would of the stored plan `chosen`, and whether it can tell each item.

        Changes nothing; the items go to `collected`. Raises UndoRefusedError when its executor refuses,
        WorkerLostError, and JamaintError(UNAVAILABLE) while the database is away: what undos have put back is not
        known then.
        """
        if task.executor in WITHOUT_WORKER:
            return Plan(()), False
        if self._recorder.away is not None:
            raise unavailable(f"the database is away, nothing can be planned: {self._recorder.away}", 5)

        async def hear(line: Mapping[str, Any]) -> None:
            if line["is"] == "items" and collected is not None:
                await collected.take(line)

        opening = self._opening(execution_id, task) | await self._learned(task, chosen)
        async with open_worker(opening, on_line=hear, on_stderr=self._say_stderr(execution_id)) as worker:
            answer = await worker.ask({"do": "plan", "items": collected is not None})
            return _plan_of(answer), bool(answer.get("itemised"))

    async def purge_of(self, execution_id: str, task: Task, step: Step) -> Mapping[str, Any]:
        """Have a worker of that task let go of what the step names; its answer. Raises WorkerLostError."""
        opening = self._opening(execution_id, task)
        async with open_worker(opening, on_line=_unheard, on_stderr=self._say_stderr(execution_id)) as worker:
            return await worker.ask({"do": "purge", "step": step_to_json(step)})

    async def _perform(self, run: _Run) -> None:
        if run.task.executor in WITHOUT_WORKER:
            run.planned = True
            return
        try:
            await self._perform_in_worker(run)
        except WorkerLostError as error:  # it could not even be started
            run.error = {"message": str(error), "kind": "lost"}
        except undo.UndoRefusedError as error:  # nor what it would have needed
            self._note_refusal(run, error)
        run.steering.end()
        run.execution = replace(run.execution, paused=None, throttle=0.0)
        failed = run.error is not None or (run.stop.kind == "timeout" and _was_stopped(run))
        if failed and run.task.rollback.auto_rollback and run.point is not None:
            await self._roll_back(run, run.point)

    async def _perform_in_worker(self, run: _Run) -> None:
        task = narrowed(run.task, run.execution.options)
        opening = {
            **self._opening(run.execution.id, task),
            "ends_at": json_views.time(run.ends_at),
            "pauses": task.on_window_end == "pause",
        }
        on_stderr = self._say_stderr(run.execution.id)
        whole = opening | await self._learn(run, lambda: self._learned(run.task, run.chosen))
        async with (
            open_worker(whole, on_line=lambda line: self._hear(run, line), on_stderr=on_stderr) as worker,
            trio.open_nursery() as nursery,
        ):
            run.steering.start_clock()
            nursery.start_soon(self._watch, run, worker)
            nursery.start_soon(run.steering.serve, worker)
            try:
                await self._go_through(run, worker, opening)
            except WorkerLostError as error:
                if not run.stop.asked.is_set():
                    run.error = {"message": str(error), "kind": "lost"}
            except undo.UndoRefusedError as error:
                self._note_refusal(run, error)
            except Exception as error:
                run.error = self._internal(run, error)
            nursery.cancel_scope.cancel()

    async def _go_through(self, run: _Run, worker: WorkerHandle, opening: Mapping[str, Any]) -> None:
        answer = await worker.ask({"do": "plan"})
        plan, from_items = _plan_of(answer), bool(answer.get("from_items"))
        await self._learn(run, lambda: self._plans.check(run.task, plan, run.chosen, from_items))
        await self._plans.note_roots(run.task, plan)
        run.plan, run.planned = plan, True
        took = self.steps_of(run.task.name)
        run.parts = [_part(step, took.get(step.name)) for step in plan.steps]
        await self._write_plan(run, opening)
        for index, step in enumerate(run.plan.steps):
            if run.stop.asked.is_set() or (run.error is not None and not step.independent):
                return
            run.index = index
            await self._run_step(run, worker, step)

    async def _learn(self, run: _Run, ask: Callable[[], Awaitable[T]]) -> T:
        """Return what `ask` learns from the store, asked again until that answers: what is done depends on it.

        Raises UndoRefusedError when the execution is asked to stop meanwhile.
        """
        attempt = 0
        while True:
            try:
                return await _unless_stopped(run.stop, ask)
            except JamaintError as problem:
                if problem.code != UNAVAILABLE:
                    raise undo.UndoRefusedError(
                        problem.message, "refused", problem.data.get("reasons", ())
                    ) from problem
                if attempt == 0:
                    self._set_waiting(run, "plan", problem.message)
                    self._write_line(run, "warning", None, f"waits, nothing has been changed: {problem.message}")
                self._log.warning("an execution waits for the store", execution=run.execution.id, why=problem.message)
            await _unless_stopped(run.stop, partial(trio.sleep, RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)]))
            attempt += 1

    def _note_refusal(self, run: _Run, refusal: undo.UndoRefusedError) -> None:
        if not run.stop.asked.is_set():
            run.error, run.reasons = {"message": str(refusal), "kind": refusal.kind}, refusal.reasons

    def _internal(self, run: _Run, error: Exception) -> Mapping[str, Any]:
        ident = uuid4().hex[:8]
        self._log.error("internal error in an execution", error_id=ident, execution=run.execution.id, exc_info=error)
        return {"message": f"internal error {ident} ({type(error).__name__}): see the journal", "kind": "internal"}

    async def _watch(self, run: _Run, worker: WorkerHandle) -> None:
        """Hands a wish to stop on to the worker, and makes one of a timeout."""
        timeout = run.task.timeout_seconds
        with run.steering.timeout:
            await run.stop.asked.wait()
        run.stop.ask("timeout", f"it had not finished after {timeout:g} seconds" if timeout else "")
        await worker.cancel()

    async def _write_plan(self, run: _Run, opening: Mapping[str, Any]) -> None:
        for warning in run.plan.warnings:
            self._write_line(run, "warning", None, warning)
        records = tuple(StepRecord(step.name) for step in run.plan.steps)
        if any(step.undo is not None for step in run.plan.steps):
            opening = password_references.hidden({**opening, "auto_rollback": run.task.rollback.auto_rollback})
            steps = tuple(replace(step, sample=()) for step in run.plan.steps)
            run.point = RollbackPoint(
                id=str(uuid4()),
                execution_id=run.execution.id,
                status="open",
                created_at=self._now(),
                expires_at=self._now() + timedelta(seconds=self._config().rollback.retention_seconds),
                opening=opening,
                steps=steps,
                seal=self._seals.of(rollback_points.sealed(opening, steps)),
            )
            await self._recorder.run(rollback_points.create, run.point)
            self.on_point()
        run.execution = replace(
            run.execution, steps=records, rollback_point=None if run.point is None else run.point.id
        )
        await self._recorder.put(run.execution)

    async def _run_step(self, run: _Run, worker: WorkerHandle, step: Step) -> None:
        began, run.worked_until, paused_before = self._now(), None, run.steering.paused_seconds
        run.begun = run.index + 1
        run.step_began, run.step_paused = began, paused_before
        if run.point is not None:
            await self._recorder.run(rollback_points.begin_step, run.point.id, run.begun)
        await self._rotations.begin(run.execution.id, run.task, step, began)
        self._set_step(run, StepRecord(step.name, "running", began))
        run.execution = replace(run.execution, eta=self._foretold(run))
        if run.execution.progress is not None and run.execution.progress.waiting is not None:
            run.execution = replace(run.execution, progress=replace(run.execution.progress, waiting=None))
        await self._recorder.put(run.execution)
        self._current.put(run.execution, "step", run.execution.steps[run.index])
        # Asked here or, from the next line on, heard by the worker: nothing is awaited in between.
        asked = run.stop.asked.is_set()
        answer: Mapping[str, Any] = (
            {"is": "cancelled"} if asked else await worker.ask({"do": "run", "step": step_to_json(step)})
        )
        run.worked_until = self._now()
        await self._sync_record(run)
        failed = answer.get("error")
        retention = self._config().rollback.retention_seconds
        details = await self._rotations.report(run.task, answer.get("details", {}), run.worked_until, retention)
        status = {"done": "completed", "cancelled": "cancelled"}.get(answer["is"], "failed")
        paused_seconds = run.steering.paused_seconds - paused_before
        self._set_step(
            run,
            StepRecord(
                name=step.name,
                status=status,
                started_at=began,
                duration_ms=round((run.worked_until - began).total_seconds() * 1000 - paused_seconds * 1000),
                details=details,
                error=None if failed is None else failed["message"],
            ),
        )
        if failed is not None and not run.stop.asked.is_set():
            run.error = run.error or {
                "message": f"{step.name}: {failed['message']}",
                "kind": failed.get("kind", "failed"),
            }
        await self._recorder.put(run.execution)
        self._current.put(run.execution, "step", run.execution.steps[run.index])

    async def _roll_back(self, run: _Run, point: RollbackPoint) -> None:
        # Claimed first, as an operator's is: if it is cut short, the next start finishes it.
        point = replace(point, begun=run.begun)
        if await self._recorder.move_point(point.id, ["open", "undoing"], "undoing") is None:
            self._log.error("the rollback point of a failed execution is gone", execution=run.execution.id)
            return
        try:
            opening = password_references.revealed(point.opening, password_references.known((run.task,)))
            result = await undo.undo(
                replace(point, opening=opening),
                lambda line: self._hear(run, line),
                self._say_stderr(run.execution.id),
                begin=lambda step: self._recorder.run(rollback_points.begin_undo, point.id, step),
            )
        except Exception as error:
            self._log.error("internal error in a rollback", execution=run.execution.id, exc_info=error)
            result = undo.failed(point, error)
        run.worked_until = self._now()
        status = "undone" if result.is_whole else "incomplete"
        await self._recorder.move_point(point.id, ["undoing"], status, result=result.to_store())
        if result.is_whole:
            run.execution = replace(run.execution, steps=undo.undone_steps(run.execution.steps, point))
            run.execution = advance(run.execution, State.ROLLED_BACK)
        if result.is_whole:
            inventories.remove(point.opening)
        self._say_rolled_back(run.execution, result)

    async def _end(self, run: _Run) -> None:
        changes: dict[str, Any] = {
            "completed_at": run.worked_until or self._now(),
            "metrics": metrics_of(run.execution.steps),
            "error": _error(run, self._now()),
            "progress": None,
            "eta": None,
            "paused": None,
            "throttle": 0.0,
            "paused_ms": _paused_ms(run),
        }
        if run.execution.status is State.RUNNING:
            run.execution = advance(run.execution, _end_state(run), reasons=_reasons(run), **changes)
        else:  # rolled back: what failed stays told
            run.execution = replace(run.execution, **changes)
        kept = int(run.execution.metrics.get("freed_on_purge", 0))
        if run.point is not None and kept:
            await self._recorder.run(rollback_points.note_bytes, run.point.id, kept)
        cleanup = of_execution(run.execution, run.task.executor)
        if cleanup is not None:  # first: if we die between the two, the execution is settled, and this with it
            await self._recorder.run(cleanup_history.put, cleanup)
        await self._recorder.put(run.execution)
        self._current.put(run.execution, "ended")
        self._say_ended(run.execution)

    async def _learned(self, task: Task, chosen: str | None) -> dict[str, Any]:
        """Return what a worker is told and its rollback point does not keep: the chosen plan, what undos put back."""
        found = await self._plans.opening_of(task, chosen)
        found |= await self._rotations.opening_of(task)
        return found | {"held": await self._recorder.run(rollback_points.held, self._now())}

    def _opening(self, execution_id: str, task: Task) -> dict[str, Any]:
        return {
            "do": "open",
            "execution": execution_id,
            "executor": task.executor,
            "task": {
                "name": task.name,
                "config": dict(task.config),
                "rollback": task.rollback.enabled,
                "when_full": task.rollback.when_full,
                "mass_deletion": {"share": task.mass_deletion.share, "items": task.mass_deletion.items},
                "timeout_seconds": task.timeout_seconds,
            },
            "now": json_views.time(self._now()),
            "user": task.config.get("user") if task.executor != "command" else None,
            "trust": list(self._config().trusted_groups),
            "limits": {
                "low_space": self._config().rollback.low_space,
                "operations_per_second": task.limits.operations_per_second,
                "bytes_per_second": task.limits.bytes_per_second,
                "kept_directory": f"{self._config().state_dir}/kept",
            },
        }

    def _say_stderr(self, execution_id: str) -> Callable[[str], None]:
        return lambda text: self._log.warning("a worker said", execution=execution_id, text=text)

    def _hear(self, run: _Run, line: Mapping[str, Any]) -> Awaitable[str] | None:
        step = run.plan.steps[run.index].name if run.index < len(run.plan.steps) else None
        if line["is"] == "log":
            self._write_line(run, line["level"], step, line["message"])
        elif line["is"] == "progress" and step is not None:
            self._set_progress(run, step, line)
        elif line["is"] == "waiting" and step is not None:
            self._set_waiting(run, step, line["why"])
        elif line["is"] == TAKEN:
            return self._record(run, line["block"])
        elif line["is"] == "held":
            run.steering.note_held(line["number"])
            self._note_steering(run, "paused", None)
        return None

    async def _record(self, run: _Run, block: str) -> str:
        """Write down what is about to be taken; why it cannot be, and then nothing is taken, or nothing."""
        if run.point is None:
            return "there is no rollback point it belongs to"
        if run.record is None:
            run.record = RecordWriter(inventories.path_of(run.point.opening))
        return await run.record.append(block)

    async def _sync_record(self, run: _Run) -> None:
        """Make durable what a step has taken, before it is written down that it has ended."""
        if run.record is None:
            return
        try:
            await run.record.sync()
        except OSError as error:
            what = f"the record of what it has taken may not be durable: {error.strerror}"
            self._write_line(run, "warning", None, what)

    def _steered(self, execution_id: str, what: str) -> _Run:
        run = self._runs.get(execution_id)
        if run is None:
            raise JamaintError(CONFLICT, f"{execution_id[:8]} cannot be {what}: it does not run")
        if run.task.executor in WITHOUT_WORKER or not run.steering.open:
            raise JamaintError(CONFLICT, f"{run.task.name} cannot be {what}: its work has ended, or is being undone")
        if run.stop.asked.is_set():
            raise JamaintError(CONFLICT, f"{run.task.name} cannot be {what}: it is being stopped ({run.stop.detail})")
        return run

    def _note_steering(self, run: _Run, event: str | None, says: str | None) -> None:
        paused = run.steering.paused
        eta = None if paused is not None else run.execution.eta or self._foretold(run)
        run.execution = replace(
            run.execution, paused=paused, throttle=run.steering.ratio, eta=eta, paused_ms=_paused_ms(run)
        )
        if says is not None:
            self._log.info(f"{run.task.name}: {says}", execution=run.execution.id, task=run.task.name)
            self._write_line(run, "info", None, says)
        if event is not None:
            self._current.put(run.execution, event)

    def _write_line(self, run: _Run, level: str, step: str | None, message: str) -> None:
        run.lines += 1
        message = printable(message)  # names of files and what a command says may be any bytes
        if run.lines > LOG_LINES:
            return
        if run.lines == LOG_LINES:
            level, message = "warning", f"this is the last line that is kept of more than {LOG_LINES}: {message}"
        self._recorder.log_line(LogLine(run.execution.id, run.lines, self._now(), level, step, message))
        self._current.say(run.execution, level, step, message)

    def _set_progress(self, run: _Run, step: str, line: Mapping[str, Any]) -> None:
        fraction = fraction_of(weights_of(run.parts), run.index, line["done"], line["total"])
        progress = Progress(step, line["done"], line["total"], line["unit"], fraction)
        began = (run.execution.started_at or self._now()) + timedelta(seconds=run.steering.paused_seconds)
        before = run.execution.progress
        begun = before.done if before is not None and (before.step, before.unit) == (step, progress.unit) else 0
        limited = keeping_to(run.task.limits, progress.unit, begun, progress.total, self._now())
        left = self._foretold(run, line["done"], line["total"])
        ends = left or ends_at(began, fraction, self._now()), limited
        eta = None if run.steering.paused else max((end for end in ends if end is not None), default=None)
        run.execution = replace(run.execution, progress=progress, eta=eta)
        self._current.put(run.execution, "progress")

    def _foretold(self, run: _Run, done: int = 0, total: int | None = None) -> datetime | None:
        """When the execution ends, as far as the step under way and what its steps took of late tell."""
        if run.step_began is None or run.steering.paused is not None:
            return None
        now = self._now()
        elapsed = (now - run.step_began).total_seconds() - (run.steering.paused_seconds - run.step_paused)
        left = seconds_left(run.parts, run.index, elapsed, done, total)
        return None if left is None else now + timedelta(seconds=left)

    def _set_waiting(self, run: _Run, step: str, why: str) -> None:
        progress = run.execution.progress
        if progress is None or progress.step != step:
            progress = Progress(step, 0, None, "items", None if progress is None else progress.fraction)
        eta = None if why else run.execution.eta
        run.execution = replace(run.execution, progress=replace(progress, waiting=why or None), eta=eta)
        self._current.put(run.execution, "progress")

    def _set_step(self, run: _Run, record: StepRecord) -> None:
        steps = (*run.execution.steps[: run.index], record, *run.execution.steps[run.index + 1 :])
        run.execution = replace(run.execution, steps=steps)

    def _say_started(self, run: _Run) -> None:
        self._log.info(
            f"{run.task.name} started",
            execution=run.execution.id,
            task=run.task.name,
            trigger=run.execution.trigger,
            message_id=MESSAGE_IDS["execution_started"],
        )

    def _say_ended(self, execution: Execution) -> None:
        failed = execution.status is State.FAILED
        (self._log.error if failed else self._log.info)(
            f"{execution.task_name} {execution.status.value.replace('_', ' ')}"
            + (f": {execution.error['message']}" if execution.error else ""),
            execution=execution.id,
            task=execution.task_name,
            status=execution.status.value,
            duration_ms=execution.duration_ms,
            message_id=MESSAGE_IDS["execution_failed" if failed else "execution_ended"],
            **execution.metrics,
        )

    def _say_rolled_back(self, execution: Execution, result: undo.Undone) -> None:
        key = "rollback_done" if result.is_whole else "rollback_incomplete"
        (self._log.info if result.is_whole else self._log.error)(
            f"{execution.task_name}: {result.says()}",
            execution=execution.id,
            task=execution.task_name,
            message_id=MESSAGE_IDS[key],
        )


async def _unless_stopped(stop: Stop, ask: Callable[[], Awaitable[T]]) -> T:
    """Await `ask()`. Raises UndoRefusedError when `stop` comes before its answer."""
    found: list[T] = []
    problem: JamaintError | undo.UndoRefusedError | None = None

    async def cancel_when_stopped(scope: trio.CancelScope) -> None:
        await stop.asked.wait()
        scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(cancel_when_stopped, nursery.cancel_scope)
        try:
            found.append(await ask())
        except (JamaintError, undo.UndoRefusedError) as error:  # out of the nursery they would come as a group
            problem = error
        nursery.cancel_scope.cancel()
    if problem is not None:
        raise problem
    if not found:
        raise undo.UndoRefusedError(stop.detail, stop.kind)
    return found[0]


def metrics_of(steps: tuple[StepRecord, ...]) -> dict[str, Any]:
    """An execution's figures: the sums of its steps', as far as they have any (bytes; files, rows as processed_items).

    What was undone has freed nothing.
    """
    details = [step.details for step in steps if step.name != "analysis" and step.status != "undone"]
    sums = {
        metric: sum(int(one.get(key, 0)) for one in details)
        for metric, key in (("freed_space", "freed_space"), ("freed_on_purge", "freed_on_purge"))
        if any(key in one for one in details)
    }
    if left := sum(int(one.get("left_rows", 0)) for one in details):
        sums["left_items"] = left
    if any("files" in one or "rows" in one for one in details):
        sums["processed_items"] = sum(int(one.get("files", one.get("rows", 0))) for one in details)
    return sums


def _plan_of(answer: Mapping[str, Any]) -> Plan:
    if answer["is"] != "plan":
        error = answer.get("error") or {"message": "it was stopped before it had made a plan", "kind": "cancelled"}
        raise undo.UndoRefusedError(error["message"], error["kind"])
    steps = tuple(step_from_json(step) for step in answer["steps"])
    return Plan(steps, tuple(answer["warnings"]), tuple(answer["refusals"]), tuple(answer["roots"]))


def _part(step: Step, took: float | None) -> Part:
    """An analysis has its figures when it begins: with a weight it would be half of the bar, and none of the time."""
    return Part(0, 0) if step.name == "analysis" else Part(step.bytes, step.items, took)


def _paused_ms(run: _Run) -> int:
    return round(run.steering.paused_seconds * 1000)


def _was_stopped(run: _Run) -> bool:
    """A wish to stop that came when all was done has stopped nothing."""
    done = run.planned and all(step.status == "completed" for step in run.execution.steps)
    return run.stop.asked.is_set() and not done


def _end_state(run: _Run) -> State:
    if _was_stopped(run):
        return State.FAILED if run.stop.kind == "timeout" else State.CANCELLED
    return State.COMPLETED if run.error is None else State.FAILED


def _error(run: _Run, now: datetime) -> Mapping[str, Any] | None:
    """What went wrong, and when it showed: the end of the step that failed, or now."""
    error = run.error
    if error is None and _was_stopped(run):
        error = {"message": run.stop.detail, "kind": run.stop.kind}
    return None if error is None else {**error, "at": json_views.time(run.worked_until or now)}


def _reasons(run: _Run) -> tuple[Mapping[str, Any], ...]:
    if not _was_stopped(run):
        return run.reasons or run.execution.reasons
    return ({"guard": run.stop.kind, "verdict": "refuse", "detail": run.stop.detail},)


async def _unheard(_line: Mapping[str, Any]) -> None:
    """Nobody listens."""
