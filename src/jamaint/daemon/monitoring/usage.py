"""Usage: measured by a worker when somebody asks and once in a while by itself, so that growth can be told."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import trio
from structlog.typing import FilteringBoundLogger

from jamaint.core.capacity import (
    Advice,
    Measurer,
    Sample,
    Target,
    Trend,
    cleaned_by,
    disk_of,
    full_on,
    gain,
    most_urgent,
    of_kind,
    of_storage,
    of_task,
    targets,
    tended_by,
    trend,
)
from jamaint.core.cleanup_kinds import KINDS, SYSTEM
from jamaint.core.plans import Plan, Step, step_to_json
from jamaint.core.safety.sandbox import APPLY
from jamaint.core.secrets import told
from jamaint.core.tasks import Task
from jamaint.daemon.execution import undo
from jamaint.daemon.execution.runner import Runner
from jamaint.daemon.monitoring.measurers import assigned, given, not_measured, opening
from jamaint.daemon.state import json_views
from jamaint.daemon.state.definitions import Definitions
from jamaint.daemon.state.recorder import Recorder
from jamaint.errors import JamaintError, unavailable
from jamaint.host.disk_space import disk, each_disk_once, without_number
from jamaint.probes.local import LookError, ProbeContext
from jamaint.store import usage_samples
from jamaint.store.postgres import DatabaseAwayError, Postgres
from jamaint.worker_client.session import Message, WorkerLostError, open_worker

EVERY = timedelta(hours=6)
KEPT = timedelta(days=400)
LOOKED_BACK = timedelta(days=60)
DAY = timedelta(days=1)
TASK = "cleanup"
PLANS_SECONDS = 15.0
"""For the plans of all tasks together: whoever asks waits no longer than 30."""
DISK_SECONDS = 10.0
"""How long a disk may keep us waiting for its figures."""
SILENCE_SECONDS = 60.0
"""A worker that measures says at least once a second that it lives; its unit's start may take longer."""
_SILENT = (
    "the worker for {kind} does not answer; if a directory that is bound into it is on a mount whose server is gone, "
    f"mount that anew, or {APPLY}, which leaves it out"
)


class Usage:
    """What the machine's disks, directories, databases and caches hold."""

    def __init__(
        self,
        *,
        definitions: Definitions,
        recorder: Recorder,
        postgres: Postgres,
        runner: Runner,
        now: Callable[[], datetime],
        log: FilteringBoundLogger,
    ) -> None:
        self._definitions = definitions
        self._recorder = recorder
        self._postgres = postgres
        self._runner = runner
        self._now = now
        self._log = log
        self._measuring = trio.Lock()
        self._outside = ProbeContext()

    async def serve(self) -> None:
        """Takes a sample every few hours, for ever; a daemon that idles wakes for nothing else."""
        while True:
            await trio.sleep(EVERY.total_seconds())
            if not self._definitions.config.samples_usage:
                continue
            try:
                await self.measure()
            except (JamaintError, DatabaseAwayError) as error:
                self._log.warning("no sample of the usage could be taken", why=str(error))

    async def measure(self) -> list[dict[str, Any]]:
        """Measures everything now, keeps the sizes, and returns each with how it grows. Raises JamaintError."""
        return [one for _, one in await self._measured()]

    async def _measured(self) -> list[tuple[Target, dict[str, Any]]]:
        """As `measure`; each with what it is of, whose name may hold a password."""
        async with self._measuring:
            wanted = targets(self._definitions.tasks.values(), self._definitions.config.state_dir)
            asked = await self._ask(wanted)
            found = _all_named(asked)
            now = self._now()
            sizes = [(Target(one["kind"], one["name"]), int(one["bytes"])) for one in found if one["bytes"] is not None]
            kept: Mapping[Target, Sequence[Sample]] = {}
            if self._recorder.away is None:
                await self._recorder.run(usage_samples.add, now, sizes, now - KEPT)
                with suppress(DatabaseAwayError):
                    kept = await self._postgres.run(usage_samples.since, now - LOOKED_BACK, now - DAY, now)
        whose = [Target(one["kind"], one["name"]) for one in asked]
        return [(target, self._grown(one, kept)) for target, one in zip(whose, found, strict=True)]

    async def analysis(self) -> dict[str, Any]:
        """What is used, what could be freed now, and what to do about it. Plans the cleanup; changes nothing."""
        measured = await self._measured()
        plans = await self._plans({target for target, one in measured if one.get("silent")})
        found = [one for _, one in measured]
        task = self._definitions.tasks.get(TASK)
        helps = cleaned_by(task) if task is not None and task.executor == SYSTEM else {}
        inodes = {str(one["name"]): one.get("inodes_share") for one in found if one["kind"] == "storage"}
        others = await self._planned_tasks({target for target, one in measured if one.get("silent")} | helps.keys())
        advice = [
            _advice(one, target, plans, helps.get(target), inodes=inodes, others=others.get(target, ()))
            for target, one in measured
            if target.kind != "storage"
        ]
        disks = [one for one in found if one["kind"] == "storage" and one["bytes"] is not None]
        names = [str(one["name"]) for one in disks]
        on_disk = [(disk_of(one.name, names), one) for one in advice if one.kind in ("logs", "temp", "files")]
        storage = [self._of_storage(one, [help_ for disk, help_ in on_disk if disk == one["name"]]) for one in disks]
        return {
            "timestamp": json_views.time(self._now()),
            **{kind: [one for one in found if one["kind"] == kind] for kind in _KINDS},
            "reclaimable": {kind: _reclaimable(step) for kind, step in plans.items()},
            "recommendations": [_advice_to_json(one) for one in (*storage, *advice)],
        }

    async def _ask(self, wanted: Sequence[Target]) -> list[dict[str, Any]]:
        """Each disk once, then all others in their order: each by a worker of the kind that does its task's work."""
        disks, hidden = await self._disks([one.name for one in wanted if one.kind == "storage"])
        others = [one for one in wanted if one.kind != "storage"]
        groups, answers = assigned([*hidden, *others], self._definitions.tasks.values(), given())
        failures = []
        for measurer, some in groups.items():
            try:
                answers |= await self._ask_worker(some, measurer)
            except WorkerLostError as error:
                failures.append(error)
                answers |= {one: not_measured(f"could not be measured: {error}") for one in some}
        if failures and len(failures) == len(groups):
            raise unavailable(f"the usage could not be measured: {failures[0]}", 60) from failures[0]
        found = {**disks, **answers}
        told = [
            {"kind": one.kind, "name": one.name, **found[one]} for one in (*disks, *hidden, *others) if one in found
        ]
        return without_number(each_disk_once(told))  # a worker may look where we may not, at a disk that we have seen

    async def _ask_worker(self, wanted: Sequence[Target], who: Measurer) -> dict[Target, dict[str, Any]]:
        """Raises WorkerLostError, also when it cannot do it or is not heard of for SILENCE_SECONDS."""
        step = Step("usage", "", {"targets": [list(target) for target in wanted]})
        answer: Message | None = None
        with trio.move_on_after(SILENCE_SECONDS) as patience:

            def hear(_line: Message) -> None:
                patience.deadline = trio.current_time() + SILENCE_SECONDS

            first = opening(wanted, who, self._now(), self._definitions.config.trusted_groups)
            async with open_worker(first, on_line=hear, on_stderr=self._say, kind=who.kind or None) as worker:
                answer = await worker.ask({"do": "run", "step": step_to_json(step)})
        if answer is None:
            raise WorkerLostError(_SILENT.format(kind=who.kind or "the usage"))
        if answer["is"] != "done":
            raise WorkerLostError(str((answer.get("error") or {}).get("message")))
        return {Target(one.pop("kind"), one.pop("name")): one for one in answer["details"]["targets"]}

    async def _disks(self, paths: Sequence[str]) -> tuple[dict[Target, dict[str, Any]], list[Target]]:
        """The disks that these paths are on, each once, and the paths at which we may not look."""
        found: dict[Target, dict[str, Any]] = {}
        hidden: list[Target] = []

        async def look(path: str) -> None:
            target = Target("storage", path)
            try:
                with trio.fail_after(DISK_SECONDS):
                    found[target] = await self._outside.apart(f"disk {path}", disk, path)
            except PermissionError:
                hidden.append(target)
            except (trio.TooSlowError, LookError):
                found[target] = not_measured("it does not answer", silent=True)
            except OSError as error:
                found[target] = not_measured(f"cannot be measured: {error.strerror or error}")

        async with trio.open_nursery() as nursery:
            for path in paths:
                nursery.start_soon(look, path)
        ordered = [{"name": path, **found[one]} for path in paths if (one := Target("storage", path)) in found]
        return {Target("storage", one.pop("name")): one for one in each_disk_once(ordered)}, sorted(hidden)

    async def _plans(self, silent: Set[Target]) -> dict[str, Step]:
        """What the section `cleanup` would do now, by kind; a kind with a place that does not answer is left out."""
        task = self._definitions.tasks.get(TASK)
        if task is None or task.executor != SYSTEM:
            return {}
        hung = {kind for target, kind in cleaned_by(task).items() if target in silent}
        kinds = [one for one in task.config["kinds"] if one["kind"] not in hung]
        if not kinds:
            return {}
        plan = await self._plan(replace(task, config={**task.config, "kinds": kinds}))
        by_operation = {kind.operation: name for name, kind in KINDS.items()}
        return {by_operation[step.name]: step for step in plan.steps}

    async def _planned_tasks(self, but: Set[Target]) -> dict[Target, list[tuple[Task, Sequence[Step] | str]]]:
        """Return, by target, what the ordinary tasks that work on it would do now: the steps, or why there are none.

        Those that work on nothing but `but` are left out. What cannot be planned in time says so.
        """
        tended = tended_by(self._definitions.effective())
        wanted = {task.name: task for target, tasks in tended.items() if target not in but for task in tasks}
        planned: dict[str, Sequence[Step] | str] = dict.fromkeys(wanted, "its plan was not made in time")
        with trio.move_on_after(PLANS_SECONDS):
            for name, task in wanted.items():
                try:
                    plan, _ = await self._runner.plan(str(uuid4()), task)
                    planned[name] = plan.steps
                except (undo.UndoRefusedError, WorkerLostError, JamaintError) as error:
                    planned[name] = str(error)
        return {
            target: [(task, planned[task.name]) for task in tasks if task.name in planned]
            for target, tasks in tended.items()
        }

    async def _plan(self, task: Task) -> Plan:
        try:
            plan, _ = await self._runner.plan(str(uuid4()), task)
        except (undo.UndoRefusedError, WorkerLostError, JamaintError) as error:
            self._log.warning("the cleanup could not be planned for the analysis", why=str(error))
            return Plan(())
        return plan

    def _grown(self, one: dict[str, Any], kept: Mapping[Target, Sequence[Sample]]) -> dict[str, Any]:
        growth = trend(kept.get(Target(one["kind"], one["name"]), ()))
        full = full_on(int(one["free"]), growth, self._now()) if one.get("free") is not None else None
        return {
            **one,
            "growth_per_day": None if growth.per_day is None else round(growth.per_day),
            "growth_unknown": growth.why or None,
            "full_on": json_views.time(full),
        }

    def _of_storage(self, one: Mapping[str, Any], advice: Sequence[Advice]) -> Advice:
        now = self._now()
        free, used = int(one["free"]), int(one["bytes"])
        growth = Trend(one["growth_per_day"])
        full = full_on(free, growth, now)
        inodes = one.get("inodes_share")
        return of_storage(one["name"], used, used + free, full=full, helps=advice, now=now, inodes=inodes)

    def _say(self, text: str) -> None:
        self._log.warning("a worker said", text=text)


_KINDS = ("storage", "database", "cache", "logs", "temp", "files")


def _advice(
    one: Mapping[str, Any],
    target: Target,
    plans: Mapping[str, Step],
    kind: str | None,
    *,
    inodes: Mapping[str, float | None],
    others: Sequence[tuple[Task, Sequence[Step] | str]],
) -> Advice:
    """`kind` of the cleanup works on it, or the tasks of `others`, each with its plan, or none does. `inodes` are the
    used shares of the disks, by name."""
    if one["bytes"] is None:
        light = "red" if target.kind in ("database", "cache") else "yellow"
        return Advice(one["kind"], one["name"], light, str(one.get("problem") or "it could not be measured"))
    step = None if kind is None else plans.get(kind)
    refusal = None if step is None else step.args.get("refused")
    found = None if step is None or refusal is not None else gain(step, target)
    helps = None if kind is None else f"cleanup run {kind}"
    disk_name = disk_of(one["name"], inodes) if target.kind in ("logs", "temp", "files") else None
    share = None if disk_name is None else inodes[disk_name]
    if kind is None:
        by_task = [of_task(target, one["name"], one["bytes"], task, steps, inodes=share) for task, steps in others]
        if (told_first := most_urgent(by_task)) is not None:
            return told_first
    return of_kind(one["kind"], one["name"], one["bytes"], found, helps, refusal=refusal, inodes=share)


def _all_named(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """By names that may be shown; those of two databases of one name with the address, so that they are not one."""
    named = [_named(one) for one in found]
    often = Counter((one["kind"], one["name"]) for one in named)
    return [
        {**one, "name": f"{one['name']} ({_address(raw['name'])})"}
        if one["kind"] == "database" and often[one["kind"], one["name"]] > 1
        else one
        for one, raw in zip(named, found, strict=True)
    ]


def _address(name: str) -> str:
    return told(json.loads(name) if name.startswith("{") else name)


def _named(one: Mapping[str, Any]) -> dict[str, Any]:
    """By the name that may be shown: an address can hold a password."""
    hidden = one["kind"] in ("database", "cache")
    name = one.get("label") or (one["name"] if not hidden else f"a {one['kind']} that cannot be reached")
    return {**{key: value for key, value in one.items() if key != "label"}, "name": name}


def _reclaimable(step: Step | None) -> int | None:
    return None if step is None or "refused" in step.args else gain(step).bytes


def _advice_to_json(one: Advice) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "name": one.name,
        "light": one.light,
        "reason": one.reason,
        "task": one.task,
        "frees": one.frees,
    }
