"""Rollback points: undone when an operator asks, settled after a crash, purged when they expire."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import trio
from structlog.typing import FilteringBoundLogger

from jamaint.core.executions import Execution, Progress, State, StepRecord, advance
from jamaint.core.held_places import KEPT_ELSEWHERE, HoldRecord, places_of, released
from jamaint.core.resources import Resource, touched
from jamaint.core.scheduling.clock_jumps import held_until
from jamaint.core.system_cleanup import of_execution
from jamaint.core.worker_kinds import parts
from jamaint.daemon.execution import inventories
from jamaint.daemon.execution import undo as undoing
from jamaint.daemon.execution.runner import metrics_of
from jamaint.daemon.state.live import Current
from jamaint.daemon.state.password_references import revealed
from jamaint.daemon.state.recorder import Recorder
from jamaint.errors import CONFLICT, JamaintError, refused
from jamaint.host.clock import Clock
from jamaint.host.logging.setup import MESSAGE_IDS
from jamaint.host.processes.run import end_all
from jamaint.host.signatures import Seals
from jamaint.store import cleanup_history, executions, rollback_points
from jamaint.store.postgres import Postgres
from jamaint.store.rollback_points import RollbackPoint
from jamaint.worker_client.session import former_ended

HELD = ("open", "incomplete")
UNDOABLE = (*HELD, "undoing")
PURGE_AGAIN = timedelta(hours=1)


class Rollbacks:
    """What may be undone, and by whom it is being done."""

    def __init__(
        self,
        *,
        postgres: Postgres,
        recorder: Recorder,
        current: Current,
        clock: Clock,
        seals: Seals,
        log: FilteringBoundLogger,
        addresses: Callable[[str], Mapping[str, str]] = lambda _task: {},
        executor_of: Callable[[str], str] = lambda _task: "",
    ) -> None:
        self._executor_of = executor_of
        self._addresses = addresses
        self._postgres = postgres
        self._seals = seals
        self._recorder = recorder
        self._current = current
        self._clock = clock
        self._log = log
        self._in_hand: set[str] = set()
        self._at_work: dict[str, tuple[str, tuple[Resource, ...]]] = {}
        self._on_undone: Callable[[Execution], None] = lambda _execution: None
        self._on_free: Callable[[], None] = lambda: None
        self._blocker: Callable[[Sequence[Resource]], str | None] = lambda _touches: None

    def listen(
        self,
        *,
        on_undone: Callable[[Execution], None],
        on_free: Callable[[], None],
        blocker: Callable[[Sequence[Resource]], str | None],
    ) -> None:
        """Set who is told of an undone execution, and when a rollback works on nothing any more; and who says in words
        what runs and uses one of these."""
        self._on_undone, self._on_free, self._blocker = on_undone, on_free, blocker

    @property
    def at_work(self) -> Sequence[tuple[str, tuple[Resource, ...]]]:
        """The rollbacks that an operator has asked for and are under way: the task's name, and what it works on."""
        return tuple(self._at_work.values())

    def check_free(self, execution: Execution, point: RollbackPoint) -> None:
        """Raise JamaintError while something runs that works on the same: it would take again what is put back."""
        why = self._blocker(_works_on(point))
        if why is not None:
            advice = "wait until it has ended, or cancel it"
            raise refused(f"cannot roll back {execution.id[:8]}: {why}: {advice}", [_reason(why)])

    async def point_of(self, execution: Execution) -> RollbackPoint:
        """The point of an ended execution. Raises JamaintError when there is none, none any more, or it has not
        ended."""
        if execution.status in (State.SCHEDULED, State.RUNNING):
            raise JamaintError(
                CONFLICT,
                f"cannot roll back {execution.id[:8]} while it is {execution.status.value}: cancel it first",
                {"status": execution.status.value},
            )
        point = await self._postgres.run(rollback_points.of_execution, execution.id)
        if point is not None and not self._is_ours(point):
            why = "its rollback point was not written by this daemon, or was changed since: it is not trusted"
            raise refused(f"cannot roll back {execution.id[:8]}: {why}", [_reason(why)])
        if point is None:
            why = "it kept no undo data" if execution.steps else "it changed nothing"
            raise refused(f"cannot roll back {execution.id[:8]}: {why}", [_reason(why)])
        if point.status not in UNDOABLE or point.id in self._in_hand:
            why = {
                "undone": "it has already been rolled back",
                "purging": "its undo data is being purged, and part of it may be gone",
                "purged": _why_purged(point),
            }.get(point.status, "it is being rolled back")
            raise refused(f"cannot roll back {execution.id[:8]}: {why}", [_reason(why)])
        return point

    async def would_undo(self, execution: Execution) -> undoing.Undone:
        """What `undo` would do now; changes nothing."""
        point = await self.point_of(execution)
        return await undoing.undo(self._usable(point), _unheard, self._say_stderr, begin=None)

    async def undo(self, execution: Execution) -> tuple[Execution, undoing.Undone]:
        """Undoes an ended execution. What cannot be put back is told, and the point stays for another try."""
        point = await self.point_of(execution)
        self.check_free(execution, point)
        self._in_hand.add(point.id)
        self._at_work[point.id] = execution.task_name, _works_on(point)  # nothing that meets it starts from now on
        try:
            claimed = await self._recorder.move_point(point.id, UNDOABLE, "undoing")
            if claimed is None:
                raise refused("another rollback has just taken its rollback point", [_reason("rollback point taken")])
            return await self._undo_or_leave(execution, claimed, again=point.status == "undoing")
        finally:
            self._in_hand.discard(point.id)
            del self._at_work[point.id]
            self._on_free()
            self.look_again()

    async def _undo_or_leave(
        self, execution: Execution, point: RollbackPoint, again: bool
    ) -> tuple[Execution, undoing.Undone]:
        """Undo; what fails on the way is left for another try by a person, never for the next start to do unasked."""
        try:
            return await self._undo_claimed(execution, point, again)
        except Exception as error:
            result = undoing.failed(point, error)
            await self._recorder.move_point(point.id, ["undoing"], "incomplete", result.to_store())
            raise

    async def settle(self) -> int:
        """Brings what a daemon that died left behind to an end, before anything new starts. Returns how many."""
        left = [
            execution
            for execution in await self._recorder.run(executions.unfinished)
            if execution.status is State.RUNNING
        ]
        for execution in left:
            await self._settle_one(execution)
        for point in await self._recorder.run(rollback_points.half_way):
            await self._settle_point(point)
        return len(left)

    async def purge_expired(self) -> None:
        """Purges each point when its retention ends, for ever."""
        now = self._clock.now()
        known = await self._recorder.run(rollback_points.latest_known)
        before, at = min(now, known or now), trio.current_time()  # the daemon was down: no time is known to have passed
        held: datetime | None = None
        while True:
            now, elapsed = self._clock.now(), timedelta(seconds=trio.current_time() - at)
            was, held = held, held_until(held, before, elapsed, now)
            if held is not None and held != was:
                self._say_held(before, held)
            before, at = now, trio.current_time()
            expired = [] if held is not None else await self._recorder.run(rollback_points.expired, now)
            for point in expired:
                await self._purge(point)
            if not expired:
                await self._clock.wait(held or await self._recorder.run(rollback_points.next_expiry))

    def _say_held(self, before: datetime, until: datetime) -> None:
        self._log.warning(
            f"the wall clock stands far beyond {before:%Y-%m-%d %H:%M} UTC, the last that is known: no way back is "
            f"purged before {until:%Y-%m-%d %H:%M} UTC, so that a wrong clock can be set right",
            message_id=MESSAGE_IDS["purge_held"],
        )

    def look_again(self) -> None:
        """There may be a new expiry that comes earlier."""
        self._clock.wake()

    def _hear(self, execution: Execution, line: undoing.Line) -> None:
        if line["is"] == "progress":
            total = line["total"]
            fraction = line["done"] / total if total else None
            progress = Progress("rollback", line["done"], total, line["unit"], fraction)
            self._current.put(replace(execution, progress=progress), "progress")

    def _say_stderr(self, text: str) -> None:
        self._log.warning("a worker said", text=text)

    async def _settle_one(self, execution: Execution) -> None:
        """The daemon died while this one ran: end what still lives of it, then undo it where its task says so."""
        await self._end_left(execution.id)
        point = await self._recorder.run(rollback_points.of_execution, execution.id)
        error = {"message": "interrupted: the daemon died while it ran", "kind": "interrupted"}
        ended = advance(
            execution,
            State.FAILED,
            completed_at=self._clock.now(),
            error=error,
            steps=tuple(_interrupted(step) for step in execution.steps),
            reasons=({"guard": "interrupted", "verdict": "refuse", "detail": error["message"]},),
        )
        ended = replace(ended, metrics=metrics_of(ended.steps))
        executor = self._executor_of(execution.task_name) if point is None else point.opening.get("executor")
        cleanup = of_execution(ended, str(executor))
        if cleanup is not None:
            await self._recorder.run(cleanup_history.put, cleanup)
        trusted = point is not None and self._is_ours(point)
        if point is not None and point.status == "undone":  # it died between that and its own last write
            ended = _rolled_back(ended, point)
            await self._recorder.put(ended)
        elif point is None or not trusted or not point.opening.get("auto_rollback") or point.status not in UNDOABLE:
            await self._recorder.put(ended)
        else:
            claimed = await self._recorder.move_point(point.id, UNDOABLE, "undoing")
            ended = await self._undo_settled(ended, claimed or point)
        self._current.put(ended, "ended")
        self._log.warning(
            f"{execution.task_name}: was running when the daemon died, now {ended.status.value.replace('_', ' ')}",
            execution=execution.id,
            task=execution.task_name,
            message_id=MESSAGE_IDS["execution_failed"],
        )

    async def _end_left(self, execution_id: str) -> None:
        """What still lives of an execution of a former daemon is ended, or has ended by itself, as units do."""
        await trio.to_thread.run_sync(end_all, execution_id)
        if not await former_ended():
            self._log.error("a worker of the previous daemon does not exit: systemctl list-units 'jamaint-*'")

    def _usable(self, point: RollbackPoint) -> RollbackPoint:
        """The point with the password that its database has in the configuration now."""
        return replace(
            point, opening=revealed(point.opening, self._addresses((point.opening.get("task") or {}).get("name", "")))
        )

    def _is_ours(self, point: RollbackPoint) -> bool:
        return self._seals.is_whole(rollback_points.sealed(point.opening, point.steps), point.seal)

    async def _settle_point(self, point: RollbackPoint) -> None:
        if not self._is_ours(point):
            self._log.error("a rollback point that is not ours is left alone", point=point.id)
            return
        await self._end_left(point.execution_id)
        if point.status == "purging":
            await self._purge_or_put_off(point, point.status)
            return
        found = await self._recorder.run(executions.by_reference, point.execution_id)
        for execution in found:
            await self._undo_settled(execution, point)

    async def _undo_settled(self, execution: Execution, point: RollbackPoint) -> Execution:
        """Undo at a start: an internal error leaves the point for a person, and keeps the daemon from nothing else."""
        try:
            return (await self._undo_or_leave(execution, point, again=True))[0]
        except JamaintError:  # the store is away
            raise
        except Exception as error:
            self._log.error("internal error in a rollback", execution=execution.id, exc_info=error)
            await self._recorder.put(execution)
            return execution

    async def _undo_claimed(
        self, execution: Execution, point: RollbackPoint, again: bool = False
    ) -> tuple[Execution, undoing.Undone]:
        result = await undoing.undo(
            self._usable(point),
            lambda line: self._hear(execution, line),
            self._say_stderr,
            begin=lambda step: self._recorder.run(rollback_points.begin_undo, point.id, step),
            again=again,
        )
        if result.is_whole:
            execution = _rolled_back(execution, point)
        else:  # what is freed now is known no more: the old figures would be wrong
            left = len(result.kept) + len(result.problems)
            execution = replace(execution, metrics={"restored": result.restored, "left": left})
        # The execution first: if we die between the two, the point is still half way and the undo is done again.
        await self._recorder.put(execution)
        status = "undone" if result.is_whole else "incomplete"
        await self._recorder.move_point(point.id, ["undoing"], status, result=result.to_store())
        if result.is_whole:
            await self._recorder.run(rollback_points.note_bytes, point.id, 0)
            inventories.remove(point.opening)
        self._on_undone(execution)
        self._current.put(execution, "rollback")
        (self._log.info if result.is_whole else self._log.error)(
            f"{execution.task_name}: {result.says()}",
            execution=execution.id,
            task=execution.task_name,
            message_id=MESSAGE_IDS["rollback_done" if result.is_whole else "rollback_incomplete"],
        )
        return execution, result

    async def _purge(self, point: RollbackPoint) -> None:
        if not self._is_ours(point):
            why = "it was not written by this daemon, or was changed since: its trash is not touched; see seal.key"
            self._log.error(f"a rollback point is not purged: {why}", point=point.id, execution=point.execution_id)
            result = {"problems": [{"path": "", "why": why}]}
            until = self._clock.now() + PURGE_AGAIN
            await self._recorder.run(rollback_points.put_off_purge, point.id, until, point.status, result)
            return
        if point.id in self._in_hand:
            await self._clock.wait(None)  # a rollback or a purge has it, and wakes us when it ends
            return
        self._in_hand.add(point.id)
        try:
            claimed = await self._recorder.move_point(point.id, [point.status], "purging")
            if claimed is not None:
                await self._purge_or_put_off(claimed, point.status)
        finally:
            self._in_hand.discard(point.id)

    async def _purge_or_put_off(self, point: RollbackPoint, before: str) -> None:
        """Purge with nobody waiting: an internal error is logged and tried again in an hour, and stops nothing else."""
        try:
            await self._purge_claimed(point, before)
        except JamaintError:  # the store is away
            raise
        except Exception as error:
            self._log.error("internal error in a purge", execution=point.execution_id, exc_info=error)
            result = {"problems": [{"path": "", "why": f"internal error: {error}"}]}
            until = self._clock.now() + PURGE_AGAIN
            await self._recorder.run(rollback_points.put_off_purge, point.id, until, "purging", result)

    async def release(self, point: RollbackPoint, path: str | None) -> Sequence[HoldRecord]:
        """Let what an undo has put back be taken again: all of a point, or one place of it. Returns what is still held.

        Raises JamaintError where somebody has the point in hand, or a worker that has a part of it written down cannot
        forget that: then all of it stays held.
        """
        if point.id in self._in_hand:
            raise refused("it is being rolled back or purged", [_reason("rollback point taken")])
        self._in_hand.add(point.id)
        try:
            records: Sequence[HoldRecord] = (point.result or {}).get("held", ())
            gone = [place for place in places_of(records) if path in (None, place["path"])]
            if any(place["unit"] in KEPT_ELSEWHERE for place in gone):
                why = await undoing.release(self._usable(point), path, self._say_stderr)
                if why is not None:
                    raise refused(f"nothing is released: {why}", [_reason(why)])
            left = released(records, path)
            await self._recorder.run(rollback_points.put_held, point.id, left)
            return left
        finally:
            self._in_hand.discard(point.id)
            self.look_again()

    def standing(self, point: RollbackPoint) -> tuple[bool, bool]:
        """Return whether a point is as this daemon wrote it, and whether it is being undone or purged now."""
        return self._is_ours(point), point.id in self._in_hand

    async def purge_now(self, point: RollbackPoint, by: str) -> tuple[int, list[Mapping[str, Any]]]:
        """Purge a point before its time; the bytes freed, and what could not be purged. `by` is who asks for it, for
        the record. Raises JamaintError when it is in somebody else's hand by now, or is no longer as it was looked at:
        what a rollback has left meanwhile is in its trash alone."""
        if point.id in self._in_hand:
            raise refused("another rollback has just taken its rollback point", [_reason("rollback point taken")])
        self._in_hand.add(point.id)
        try:
            claimed = await self._recorder.move_point(point.id, [point.status], "purging")
            if claimed is None:
                raise refused("another rollback has just taken its rollback point", [_reason("rollback point taken")])
            return await self._purge_claimed(claimed, point.status, by)
        finally:
            self._in_hand.discard(point.id)
            self.look_again()

    async def _purge_claimed(
        self, point: RollbackPoint, before: str, by: str | None = None
    ) -> tuple[int, list[Mapping[str, Any]]]:
        """The bytes freed, and problems. `before` is the status that it had; purging, where an earlier purge may have
        let go of a part. `by` is who asked for it before its time: what is whole still keeps its retention then."""
        freed, problems, whole = await undoing.purge(self._usable(point), _unheard, self._say_stderr)
        result: dict[str, Any] = {"freed_space": freed, "kept": [], "problems": problems}
        if by is not None:
            result["early"] = {"by": by, "at": self._clock.now().isoformat()}
        # The figures first: if we die between the two, the purge is done again and finds nothing more to count.
        for execution in await self._recorder.run(executions.by_reference, point.execution_id):
            await self._note_purged(execution, freed, problems)
        if problems:
            until = point.expires_at if by is not None and whole else self._clock.now() + PURGE_AGAIN
            # What is let go in part can be put back by nobody: a rollback of the rest would be called a whole one.
            status = before if whole else "purging"
            await self._recorder.run(rollback_points.put_off_purge, point.id, until, status, result)
        else:
            held = (point.result or {}).get("held")  # what came back in part stays held
            result |= {"held": held} if held else {}
            await self._recorder.move_point(point.id, ["purging"], "purged", result=result)
            inventories.remove(point.opening)
        if before == "incomplete":
            self._say_let_go(point)
        return freed, problems

    def _say_let_go(self, point: RollbackPoint) -> None:
        """What a rollback could not put back is not let go without a word."""
        left = [*(point.result or {}).get("kept", ()), *(point.result or {}).get("problems", ())]
        first = f", the first of them {left[0].get('path')}: {left[0].get('why')}" if left else ""
        self._log.warning(
            f"what a rollback of {point.execution_id[:8]} could not put back is purged{first}",
            execution=point.execution_id,
            message_id=MESSAGE_IDS["rollback_incomplete"],
        )

    async def _note_purged(self, execution: Execution, freed: int, problems: list[Mapping[str, Any]]) -> None:
        kept = max(0, int(execution.metrics.get("freed_on_purge", 0)) - freed) if problems else 0
        metrics = {
            **execution.metrics,
            "freed_space": int(execution.metrics.get("freed_space", 0)) + freed,
            "freed_on_purge": kept,
        }
        execution = replace(execution, metrics=metrics)
        await self._recorder.put(execution)
        self._current.put(execution, "purged")
        self._current.on_freed(execution.task_name, freed)
        what = "purged what was kept for a rollback"
        if problems:
            first = problems[0]
            why = f"{first.get('path')}: {first.get('why')}"
            what = f"could not purge all that was kept, and tries again in an hour: {why}"
        (self._log.error if problems else self._log.info)(
            f"{execution.task_name}: {what}", execution=execution.id, task=execution.task_name, freed_space=freed
        )


def _works_on(point: RollbackPoint) -> tuple[Resource, ...]:
    executor, config = str(point.opening.get("executor")), (point.opening.get("task") or {}).get("config") or {}
    return tuple(touch for part, sub in parts(executor, config) for touch in touched(part, sub))


def _rolled_back(execution: Execution, point: RollbackPoint) -> Execution:
    """As it stands when its point is undone; one that is rolled back already stays so."""
    if execution.status is State.ROLLED_BACK:
        return execution
    steps = undoing.undone_steps(execution.steps, point)
    return advance(execution, State.ROLLED_BACK, steps=steps, metrics=metrics_of(steps))


def _why_purged(point: RollbackPoint) -> str:
    """When what it kept was purged: after its retention, or by whom before that."""
    early = (point.result or {}).get("early")
    if not early:
        return f"what it kept was purged after its retention (until {point.expires_at:%Y-%m-%d %H:%M} UTC)"
    at = datetime.fromisoformat(str(early["at"]))
    return f"what it kept was purged before its time, at {at:%Y-%m-%d %H:%M} UTC, by {early['by']}"


def _reason(detail: str) -> Mapping[str, Any]:
    return {"guard": "rollback_point", "verdict": "refuse", "detail": detail}


def _interrupted(step: StepRecord) -> StepRecord:
    return replace(step, status="failed", error="interrupted") if step.status == "running" else step


def _unheard(_line: undoing.Line) -> None:
    """Nobody listens."""
