"""The way back: the one mechanism that a failure, an operator and a crash's settlement all take."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from jamaint.core.executions import StepRecord
from jamaint.core.executor_table import row_of
from jamaint.core.held_places import HoldRecord, places_of
from jamaint.core.plans import step_to_json, undo_order
from jamaint.daemon.execution import inventories
from jamaint.daemon.state import json_views
from jamaint.store.rollback_points import RollbackPoint
from jamaint.worker_client.session import WorkerLostError, open_worker

Line = Mapping[str, Any]
BEGUN_BEFORE = (
    "its undo was under way when the daemon died, and may have ended: it is not run again by itself; "
    "look, and roll back again if it must"
)


class UndoRefusedError(Exception):
    """An executor will not do what is asked; `kind` says which guard, `reasons` are {guard, verdict, detail, …}."""

    def __init__(self, message: str, kind: str, reasons: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__(message)
        self.kind = kind
        self.reasons = tuple(reasons) or ({"guard": kind, "verdict": "refuse", "detail": message},)


@dataclass(slots=True)
class Undone:
    """What an undo has put back, removed, and left where it was."""

    restored: int = 0
    removed: int = 0
    kept: list[Mapping[str, Any]] = field(default_factory=list)
    problems: list[Mapping[str, Any]] = field(default_factory=list)
    held: list[HoldRecord] = field(default_factory=list)
    missing: list[Mapping[str, Any]] = field(default_factory=list)
    """Those of the problems that no other undo can mend."""
    compared: bool = False
    """Whether every step has been compared with what was taken."""
    unit: str = "file"
    """What is counted."""

    @property
    def is_whole(self) -> bool:
        """Nothing is left to put back."""
        return not self.kept and not self.problems

    def add(self, details: Mapping[str, Any]) -> None:
        """Adds one step's figures."""
        unit = str(details.get("unit", self.unit))
        self.unit = unit if not self.restored or unit == self.unit else "item"
        self.restored += int(details.get("restored", 0))
        self.removed += int(details.get("removed", 0))
        self.kept += details.get("kept", ())
        self.problems += details.get("problems", ())
        self.held += details.get("held", ())
        self.missing += details.get("missing", ())

    def to_json(self) -> dict[str, Any]:
        """As it is stored and sent."""
        return {
            "restored": self.restored,
            "removed": self.removed,
            "kept": self.kept,
            "problems": self.problems,
            "unit": self.unit,
            "held": [json_views.held_place(place) for place in places_of(self.held)],
        }

    def to_store(self) -> dict[str, Any]:
        """As it is stored: with what was put back, for cleanings to leave it alone."""
        more = {"missing": self.missing, "compared": self.compared, "held": self.held}
        told = {key: value for key, value in self.to_json().items() if key != "held"}
        return {**told, **{key: value for key, value in more.items() if value}}

    def says(self) -> str:
        """In a sentence."""
        if self.is_whole:
            return f"rolled back: {self.restored} restored, {self.removed} removed"
        left = len(self.kept) + len(self.problems)
        return f"rollback incomplete: {self.restored} restored, {left} left, the first is {self._first()}"

    def _first(self) -> str:
        first = [*self.kept, *self.problems][0]
        return f"{first.get('path')}: {first.get('why')}"


async def undo(
    point: RollbackPoint,
    hear: Callable[[Line], Awaitable[str] | None],
    on_stderr: Callable[[str], None],
    begin: Callable[[str], Awaitable[None]] | None,
    again: bool = False,
) -> Undone:
    """Undoes every step that was begun, the last first, in a worker of its own. Never raises for what it finds.

    `begin` writes down that a step's undo begins; None is a dry run. `again`: an earlier undo was cut short by a crash,
    so that a step whose undo may only run once, and has begun, is left and told.
    """
    result, before = Undone(unit=_unit_of(str(point.opening.get("executor")))), point.result or {}
    # What has been put back is used again: an undo that is repeated does not look for it once more.
    record = {} if before.get("compared") else inventories.given(point.opening)
    result.missing += before.get("missing", ())
    result.problems += before.get("missing", ())
    result.held += before.get("held", ())  # what an undo in part has put back stays held
    steps, answered = undo_order(point.steps[: point.begun]), 0
    try:
        async with open_worker({**point.opening, "do": "open", **record}, on_line=hear, on_stderr=on_stderr) as worker:
            for step in steps:
                if again and step.name in point.undoing and (step.undo or {}).get("once"):
                    result.problems.append({"path": step.name, "why": BEGUN_BEFORE})
                    if not step.independent:
                        break
                    continue
                if begin is not None:
                    await begin(step.name)
                answer = await worker.ask({"do": "undo", "step": step_to_json(step), "dry_run": begin is None})
                result.add(answer.get("details", {}))
                answered += answer["is"] == "done"
                if answer["is"] != "done":
                    result.problems.append({"path": step.name, "why": why(answer)})
                    if not step.independent:
                        break  # an earlier step may only be undone when the later ones are
    except WorkerLostError as error:
        result.problems.append({"path": "", "why": str(error)})
    result.compared = bool(before.get("compared")) or answered == len(steps)
    return result


def failed(point: RollbackPoint, error: Exception) -> Undone:
    """Return the outcome of an undo that ended in an internal error: what was held stays held."""
    problem = {"path": "", "why": f"internal error ({type(error).__name__}), see the journal; roll back again"}
    return Undone(problems=[problem], held=list((point.result or {}).get("held", ())))


async def purge(
    point: RollbackPoint, hear: Callable[[Line], None], on_stderr: Callable[[str], None]
) -> tuple[int, list[Mapping[str, Any]], bool]:
    """Lets the way back go; the bytes that freed, what could not be purged, and whether all of it is still there."""
    freed, problems, whole, asked = 0, list[Mapping[str, Any]](), True, False
    try:
        async with open_worker({**point.opening, "do": "open"}, on_line=hear, on_stderr=on_stderr) as worker:
            for step in undo_order(point.steps):
                asked = True
                answer = await worker.ask({"do": "purge", "step": step_to_json(step)})
                details = answer.get("details", {})
                freed += int(details.get("freed_space", 0))
                problems += details.get("problems", ())
                if answer["is"] != "done" or details.get("items") or details.get("freed_space"):
                    whole = False  # one that has failed may have let go of some
                if answer["is"] != "done":
                    problems.append({"path": step.name, "why": why(answer)})
    except WorkerLostError as error:
        problems.append({"path": "", "why": str(error)})
        whole = not asked
    return freed, problems, whole


async def release(point: RollbackPoint, path: str | None, on_stderr: Callable[[str], None]) -> str | None:
    """Let go of what is held where a worker has written it down; why not, or None.

    `path`: only what is held of that table or server.
    """
    try:
        async with open_worker({**point.opening, "do": "open"}, on_line=_unheard, on_stderr=on_stderr) as worker:
            for step in undo_order(point.steps):
                answer = await worker.ask({"do": "release", "step": step_to_json(step), "path": path})
                if answer["is"] != "done":
                    return why(answer)
    except WorkerLostError as error:
        return str(error)
    return None


def _unheard(_line: Line) -> None:
    """Nobody listens."""


def _unit_of(executor: str) -> str:
    """What an executor counts where its answer does not say."""
    return row_of(executor).counts


def why(answer: Line) -> str:
    """Why a worker did not do it."""
    return str((answer.get("error") or {}).get("message", "it was stopped"))


def undone_steps(steps: tuple[StepRecord, ...], point: RollbackPoint) -> tuple[StepRecord, ...]:
    """The records of an execution whose point has been undone; a step that changes nothing stays as it ended."""
    undone = {step.name for step in undo_order(point.steps[: point.begun])}
    return tuple(replace(step, status="undone") if step.name in undone else step for step in steps)
