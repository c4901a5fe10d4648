"""Stored plans: made by looking, kept with their items, approved, and carried out exactly; and what was seen of roots.

A plan's hash is over what was asked for (the task, and what of its definition decides what is done) and over every
item. So an approval is for that and nothing else, and the same plan made twice is one.
"""

import os
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import uuid4

import trio
from structlog.typing import FilteringBoundLogger

from jamaint.core.plans import Item, Plan
from jamaint.core.safety.deletion_guard import RootObservation, from_json, to_json, worth_noting
from jamaint.core.safety.plan_contract import broken
from jamaint.core.secrets import without_passwords
from jamaint.core.tasks import Task
from jamaint.daemon.execution import undo
from jamaint.daemon.state import json_views
from jamaint.daemon.state.recorder import Recorder
from jamaint.errors import CONFLICT, UNAVAILABLE, JamaintError, invalid, not_found, refused, unavailable
from jamaint.host import plan_file
from jamaint.host.clock import Clock
from jamaint.host.plan_file import PlanFileError, Writing
from jamaint.host.signatures import Seals
from jamaint.protocol.control import dumps
from jamaint.store import plans as rows
from jamaint.store.plans import StoredPlan
from jamaint.store.postgres import DatabaseAwayError, Postgres

KEPT_DAYS = 7
PLANS, PLANS_BYTES = 1000, 1024**3
"""Stored plans, and bytes of their items, with which no more are taken."""
SHORTEST_PREFIX = 8
SWEEP_SECONDS = 3600.0
ADVICE = (
    "look at it with `jamaintctl plan {task}`, and have an admin approve this plan; or raise mass_deletion on the task"
)


@dataclass(slots=True)
class Collected:
    """The items of a plan while a worker sends them."""

    writing: Writing
    items: int = 0

    async def take(self, line: Mapping[str, Any]) -> None:
        """Appends what one line holds; the worker waits meanwhile, so that no more is in memory than that."""
        block = b64decode(line["block"])
        self.items += int(line["count"])
        await trio.to_thread.run_sync(self.writing.add, block)


@dataclass(slots=True)
class Plans:
    """The keeper of stored plans and of observations."""

    recorder: Recorder
    postgres: Postgres
    seals: Seals
    clock: Clock
    log: FilteringBoundLogger
    state_dir: str
    _roots: dict[str, dict[str, RootObservation]] = field(default_factory=dict)

    @property
    def directory(self) -> str:
        """Where the files are; only the daemon's user may look in."""
        return os.path.join(self.state_dir, "plans")

    async def load(self) -> None:
        """Takes over what the store knows of roots."""
        self._roots = await self.recorder.run(rows.roots)

    async def serve(self) -> None:
        """Removes what has expired, until it is cancelled."""
        while True:
            try:
                kept = await self.recorder.run(rows.expire, self.clock.now())
                now = self.clock.now().timestamp()
                await trio.to_thread.run_sync(plan_file.remove_others, self.directory, frozenset(kept), now)
            except OSError as error:
                self.log.warning("expired plans could not be removed", why=str(error))
            await trio.sleep(SWEEP_SECONDS)

    async def opening_of(self, task: Task, plan: str | None) -> dict[str, Any]:
        """Return what a worker gets beside the task: what was seen of its roots, and the items of the chosen plan.

        A plan without items is carried out only if a new one has the same steps. Raises JamaintError(UNAVAILABLE) while
        the store does not answer, and UndoRefusedError when the chosen plan cannot be used: a chosen plan is never
        replaced by a fresh one.
        """
        seen = [to_json(observation) for observation in self._roots.get(task.name, {}).values()]
        given: dict[str, Any] = {"seen": seen} if seen else {}
        if plan is None:
            return given
        stored = await self._chosen(plan, task)
        return given | {"plan": os.path.join(self.directory, stored.hash)} if stored.itemised else given

    async def check(self, task: Task, plan: Plan, chosen: str | None, from_items: bool) -> None:
        """Raise UndoRefusedError when `plan` may not be carried out: a guard refuses it, or it is not `chosen`.

        `from_items`: the worker has made it from the items of the stored plan, not by looking. Raises
        JamaintError(UNAVAILABLE) while the store does not answer.
        """
        if chosen is None:
            if plan.refusals:
                why = "; ".join(str(one["detail"]) for one in plan.refusals)
                asks = " " if why.endswith("?") else ": "
                raise undo.UndoRefusedError(f"{why}{asks}{ADVICE.format(task=task.name)}", "refused", plan.refusals)
            return
        stored = await self._chosen(chosen, task)
        changed = broken(stored.steps, json_views.plan(plan)["steps"], stored.itemised)
        if not stored.itemised and _details(plan.refusals) != _details(stored.refusals):
            changed = changed or "the guard against mass deletion says something else of it"
        if stored.itemised and not from_items:
            changed = "the worker has not been given its items"
        if changed is not None:
            detail = f"it would no longer do what the plan says: {changed}; make a new plan"
            raise undo.UndoRefusedError(detail, "refused", [{"guard": "plan", "verdict": "refuse", "detail": detail}])

    async def note_roots(self, task: Task, plan: Plan) -> None:
        """Keeps what a run that may go on has seen, for the next one to compare with."""
        known = self._roots.setdefault(task.name, {})
        found = [from_json(root) for root in plan.roots]
        fresh = [one for one in found if worth_noting(one, known.get(one.path), task.mass_deletion)]
        if fresh:
            await self.recorder.run(rows.put_roots, task.name, fresh)
            known.update({one.path: one for one in fresh})

    def collect(self) -> Collected:
        """Begins to collect a plan's items. Raises JamaintError when there is no room for them."""
        kept, count = plan_file.size_of(self.directory)
        if kept > PLANS_BYTES or count >= PLANS:
            raise JamaintError(
                CONFLICT,
                f"{count} plans with {kept // 1024**2} MiB are stored, as many as may be: they go {KEPT_DAYS} days "
                "after they were made; `execute --dry-run` shows the same, and stores nothing",
            )
        try:
            return Collected(Writing(self.directory, uuid4().hex))
        except OSError as error:
            raise _no_room(error) from error

    def emptied(self, collected: Collected) -> Collected:
        """Begins anew: the items of a plan that cannot tell all of them are of no use. Raises JamaintError as
        `collect`."""
        collected.writing.close()
        return self.collect()

    async def keep(self, task: Task, plan: Plan, collected: Collected, by: str, itemised: bool) -> StoredPlan:
        """Stores a plan with its items."""
        steps = json_views.plan(plan)["steps"]
        header = header_of(task, steps)
        try:
            name = await trio.to_thread.run_sync(collected.writing.keep, canonical(header))
        except OSError as error:
            raise _no_room(error) from error
        now = self.clock.now()
        stored = StoredPlan(
            hash=name,
            task_name=task.name,
            header=header,
            created_at=now,
            created_by=by,
            expires_at=now + timedelta(days=KEPT_DAYS),
            steps=tuple(steps),
            warnings=plan.warnings,
            refusals=plan.refusals,
            items=collected.items,
            bytes=sum(step.bytes for step in plan.steps if step.name != "analysis"),
            itemised=itemised,
        )
        return await self.recorder.run(rows.put, stored)

    async def find(self, reference: str) -> StoredPlan:
        """The plan with that hash, or the only one whose hash begins so. Raises JamaintError."""
        if len(reference) < SHORTEST_PREFIX or not all(char in "0123456789abcdef" for char in reference):
            raise invalid("plan", f"must be a plan's hash, or its first {SHORTEST_PREFIX} characters or more")
        found = await self._read(rows.by_prefix, reference, self.clock.now())
        if not found:
            raise not_found("plan", f"{reference} (plans are kept {KEPT_DAYS} days)")
        if len(found) > 1:
            raise invalid("plan", f"more than one plan begins with {reference}: give more of its hash")
        plan: StoredPlan = found[0]
        return plan

    async def listed(self, before: tuple[datetime, str] | None, limit: int) -> Sequence[StoredPlan]:
        """Plans that can still be used, the newest first."""
        found: Sequence[StoredPlan] = await self._read(rows.page, self.clock.now(), before, limit)
        return found

    async def usable(self, reference: str, task: Task) -> StoredPlan:
        """The plan if `task` may be carried out by it now. Raises JamaintError, refused with the reasons."""
        plan = await self.find(reference)
        name = plan.hash[:12]
        if plan.task_name != task.name:
            raise JamaintError(CONFLICT, f"plan {name} is one of {plan.task_name}, not of {task.name}")
        if plan.header.get("task") != header_of(task, ()).get("task"):
            raise _refused(f"{task.name} has been changed since plan {name} was made: make a new one", "plan")
        if plan.refusals and not self.is_approved(plan):
            why = "; ".join(str(one["detail"]) for one in plan.refusals)
            message = f"plan {name} has to be approved before: {why}"
            raise refused(
                f"{message}; an admin does that by `jamaintctl plan approve {name}`",
                [dict(one) for one in plan.refusals],
            )
        path = os.path.join(self.directory, plan.hash)
        try:
            found = await trio.to_thread.run_sync(plan_file.hash_of, path, canonical(plan.header))
        except OSError as error:
            raise _refused(f"the items of plan {name} cannot be read ({error}): make a new one", "plan") from error
        if found != plan.hash:
            raise _refused(f"the items of plan {name} are not those it was made with: make a new one", "plan")
        return plan

    def is_approved(self, plan: StoredPlan) -> bool:
        """Whether somebody has approved it through this daemon."""
        return self.seals.is_whole({"plan": plan.hash, "approved_by": plan.approved_by}, plan.approval_seal)

    async def approve(self, reference: str, by: str) -> StoredPlan:
        """Lets a plan be carried out that a guard refuses."""
        plan = await self.find(reference)
        seal = self.seals.of({"plan": plan.hash, "approved_by": by})
        approved = await self.recorder.run(rows.approve, plan.hash, by, self.clock.now(), seal)
        if approved is None:
            raise not_found("plan", reference)
        self.log.warning("a plan was approved", plan=plan.hash, task=plan.task_name, by=by)
        return approved

    async def page(
        self, plan: StoredPlan, offset: int, skip: int, limit: int
    ) -> tuple[list[tuple[str, Item]], tuple[int, int] | None]:
        """Some of a plan's items, and where the next ones begin. Raises JamaintError."""
        path = os.path.join(self.directory, plan.hash)
        try:
            return await trio.to_thread.run_sync(plan_file.page, path, offset, skip, limit)
        except (OSError, PlanFileError) as error:
            raise invalid("cursor", f"the items of plan {plan.hash[:12]} cannot be read from there: {error}") from error

    async def _chosen(self, reference: str, task: Task) -> StoredPlan:
        try:
            return await self.usable(reference, task)
        except JamaintError as problem:
            if problem.code == UNAVAILABLE:
                raise
            raise undo.UndoRefusedError(problem.message, "refused", problem.data.get("reasons", ())) from problem

    async def _read(self, query: Any, *args: Any) -> Any:
        try:
            return await self.postgres.run(query, *args)
        except DatabaseAwayError as error:
            raise unavailable(f"the database is away: {error}", 5) from error


def header_of(task: Task, steps: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What a hash is over beside the items: what decides what is done, as a digest, and the steps' figures."""
    decides = {
        "executor": task.executor,
        "config": without_passwords(task.config),
        "rollback": task.rollback.enabled,
        **({"when_full": task.rollback.when_full} if task.rollback.when_full != "keep" else {}),
        "mass_deletion": [task.mass_deletion.share, task.mass_deletion.items],
    }
    digest = sha256(canonical(decides)).hexdigest()
    figures = [[step[key] for key in ("name", "undo", "at_once", "items", "bytes")] for step in steps]
    return {"task": [task.name, digest], "steps": figures}


def canonical(value: Mapping[str, Any]) -> bytes:
    """The same bytes for the same keys and values, also when they have been in the store."""
    return dumps(_sorted(value)).encode("utf-8", "surrogatepass")


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _sorted(value[key]) for key in sorted(value)}
    return [_sorted(one) for one in value] if isinstance(value, (list, tuple)) else value


def _details(refusals: Sequence[Mapping[str, Any]]) -> list[Any]:
    return [one["detail"] for one in refusals]


def _refused(message: str, guard: str) -> JamaintError:
    return refused(message, [{"guard": guard, "verdict": "refuse", "detail": message}])


def _no_room(error: OSError) -> JamaintError:
    return JamaintError(CONFLICT, f"the plan cannot be kept: {error}")
