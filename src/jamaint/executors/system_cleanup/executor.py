"""system.cleanup: several kinds of cleanup as one execution, each an operation that does not stop the next."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

from jamaint.core.cleanup_kinds import KINDS
from jamaint.core.plans import Plan, Step, step_from_json, step_to_json, undo_order
from jamaint.core.safety.deletion_guard import RootObservation
from jamaint.executors import executor_of
from jamaint.executors.shared.executor import Executor, Host, Planned, StepError, StopRequestedError, Tell, Work
from jamaint.executors.shared.subplans import Items, PartOfPlan, items_of, named

SUMS = ("files", "bytes", "freed_space", "freed_on_purge")
SAMPLE = 20


class SystemCleanup:
    """Each kind's own executor does the work; here its steps are one. See executors/shared/executor.py."""

    def __init__(self, work: Work, host: Host) -> None:
        self._work, self._host = work, host
        self._configs: Mapping[str, Mapping[str, Any]] = {one["kind"]: one["config"] for one in work.config["kinds"]}
        self._executors: dict[str, Executor] = {}
        self._is_refused = False

    def plan(self) -> Plan:
        """See Executor. A kind that is refused is a step that says so and fails when its turn comes."""
        planned = [self._plan_kind(kind) for kind in KINDS if kind in self._configs]
        self._is_refused = any("refused" in step.args for step, _ in planned)
        return Plan(
            steps=tuple(step for step, _ in planned),
            warnings=tuple(line for _, plan in planned for line in plan.warnings),
            roots=tuple(root for _, plan in planned for root in plan.roots),
        )

    @property
    def items(self) -> Items | None:
        """See Itemised, which it is where every kind is, and none was refused in the plan just made."""
        return self._items if self._is_itemised and not self._is_refused else None

    def _items(self, step: Step, tell: Tell) -> None:
        items = items_of(self._executor(step.args["kind"]))
        for part in _parts(step.args["steps"]):
            if items is not None:
                items(part, named(tell, part.name))

    def run(self, step: Step) -> dict[str, Any]:
        """See Executor. What a kind had done when it failed or was stopped stands in the details."""
        if "refused" in step.args:
            raise StepError(step.args["refused"], step.args["refusal"])
        details: dict[str, Any] = {**dict.fromkeys(SUMS, 0), "steps": {}}
        for part in _parts(step.args["steps"]):
            try:
                found = self._executor(step.args["kind"]).run(part)
            except StepError as failure:
                _add(details, part, failure.details)
                raise StepError(f"{part.name}: {failure.message}", failure.kind, details) from failure
            except StopRequestedError as stopped:
                if stopped.args:
                    _add(details, part, stopped.args[0])
                raise StopRequestedError(details) from None
            _add(details, part, found)
        return details

    def undo(self, step: Step, dry_run: bool) -> dict[str, Any]:
        """See Executor. A part that cannot be undone is a problem, and keeps no other from coming back."""
        outcome: dict[str, Any] = {"restored": 0, "removed": 0, "kept": [], "problems": [], "held": []}
        undo = step.undo or {"steps": ()}
        for part in undo_order(_parts(undo["steps"])):
            found = _attempt(part, partial(self._executor(undo["kind"]).undo, part, dry_run))
            unit = found.get("unit", "file")
            outcome["unit"] = unit if outcome.get("unit", unit) == unit else "item"
            for key in ("restored", "removed", "kept", "problems", "held"):
                outcome[key] += found.get(key, type(outcome[key])())
        return {key: value for key, value in outcome.items() if key != "held" or value}

    def purge(self, step: Step) -> dict[str, Any]:
        """See Executor. A part that cannot be purged is a problem, and keeps no other."""
        outcome: dict[str, Any] = {"freed_space": 0, "items": 0, "problems": []}
        undo = step.undo or {"steps": ()}
        for part in undo_order(_parts(undo["steps"])):
            found = _attempt(part, partial(self._executor(undo["kind"]).purge, part))
            outcome = {key: value + found.get(key, type(value)()) for key, value in outcome.items()}
        return outcome

    def release(self, step: Step, path: str | None) -> None:
        """See Releases."""
        undo = step.undo or {"steps": ()}
        release: Callable[[Step, str | None], None] | None = (
            getattr(self._executor(undo["kind"]), "release", None) if undo["steps"] else None
        )
        for part in _parts(undo["steps"]) if release is not None else ():
            assert release is not None
            release(part, path)

    def _executor(self, kind: str) -> Executor:
        """The one of that kind; in the trash each has a place of its own, because two kinds may share a directory."""
        if kind not in self._executors:
            planned = self._work.planned if self._is_itemised else None
            part = None if planned is None else PartOfPlan(planned, KINDS[kind].operation)
            self._executors[kind] = self._make(kind, part)
        return self._executors[kind]

    @cached_property
    def _is_itemised(self) -> bool:
        return all(items_of(self._make(kind, None)) is not None for kind in self._configs)

    def _make(self, kind: str, planned: Planned | None) -> Executor:
        execution, config = f"{self._work.execution}.{kind}", self._configs[kind]
        work = replace(self._work, execution=execution, config=config, planned=planned, seen=self._seen_by(kind))
        return executor_of(KINDS[kind].executor)(work, self._host)

    def _seen_by(self, kind: str) -> Mapping[str, RootObservation]:
        """What that kind saw at its last run: in one root another may mean other files. Without its name, what was
        seen before there were such names."""
        seen, mine = self._work.seen, f"{kind}:"
        return dict(seen) | {path.removeprefix(mine): one for path, one in seen.items() if path.startswith(mine)}

    def _plan_kind(self, kind: str) -> tuple[Step, Plan]:
        """Its one step, and what else there is to say. What the guard against mass deletion stands against is not done
        here even if approved: an approval is for the plan of one task of that kind."""
        name = KINDS[kind].operation
        try:
            plan = self._executor(kind).plan()
        except StepError as refusal:
            return _refused(kind, refusal.message, refusal.kind), Plan(())
        if plan.refusals:
            details = "; ".join(str(one["detail"]) for one in plan.refusals)
            why = f"{details} (a task of {KINDS[kind].executor} can do it, by a plan that an admin approves)"
            return _refused(kind, why, "refused"), Plan((), plan.warnings)  # nothing seen: or it would pass next time
        acting = [step for step in plan.steps if step.name != "analysis"]
        undo = {"kind": kind, "steps": [step_to_json(replace(step, sample=())) for step in undo_order(acting)][::-1]}
        step = Step(
            name,
            " ".join(step.says for step in acting) or "Nothing.",
            {"kind": kind, "steps": [step_to_json(replace(step, sample=())) for step in plan.steps]},
            undo if undo["steps"] else None,
            sum(step.items for step in acting),
            sum(step.bytes for step in acting),
            tuple(item for step in acting for item in step.sample)[:SAMPLE],
            independent=True,
        )
        roots = tuple({**root, "path": f"{kind}:{root['path']}"} for root in plan.roots)
        return step, replace(plan, roots=roots, warnings=tuple(f"{kind}: {warning}" for warning in plan.warnings))


def _refused(kind: str, why: str, refusal: str) -> Step:
    args = {"kind": kind, "refused": why, "refusal": refusal}
    return Step(KINDS[kind].operation, f"Nothing, because {why}", args, independent=True)


def _attempt(part: Step, act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What it returns; where the part cannot be done, the figures of what was, and why as a problem."""
    try:
        return act()
    except StepError as failure:
        problems = [*failure.details.get("problems", ()), {"path": part.name, "why": failure.message}]
        return {**failure.details, "problems": problems}


def _parts(steps: Any) -> tuple[Step, ...]:
    return tuple(step_from_json(step) for step in steps)


def _add(details: dict[str, Any], part: Step, found: Mapping[str, Any]) -> None:
    details["steps"][part.name] = dict(found)
    if part.name == "analysis":
        return
    unit = found.get("unit", "row" if "rows" in found else "file")
    details["unit"] = unit if details.get("unit", unit) == unit else "item"
    for key in SUMS:
        details[key] += int(found.get(key, found.get("rows", 0) if key == "files" else 0))
