"""What the executors that clean by age have in common: the plan of a step by rules, the step, and its way back."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jamaint.core.plans import Item, Plan, Step
from jamaint.core.safety.deletion_guard import RootObservation, refusals, to_json
from jamaint.executors.shared.executor import Host, Planned, StepError, StopRequestedError, Work
from jamaint.executors.shared.removal_methods import room_for
from jamaint.executors.shared.unknown_use import refused_if_use_unknown
from jamaint.executors.shared.wording import KEPT, amount, going, left_alone
from jamaint.files.access.root import RootRefusedError
from jamaint.files.access.skip_report import Skipped, words
from jamaint.files.cleanup.eligibility import Rule
from jamaint.files.cleanup.survey_step import StepReporter
from jamaint.files.cleanup.sweep_items import Remaining, list_items
from jamaint.files.cleanup.sweep_step import Area, Bounds, SweepStep, look
from jamaint.files.rules.ages import nanoseconds
from jamaint.files.rules.trash_room import TrashRoom
from jamaint.files.trash.purge import purge
from jamaint.files.trash.recently_restored import Restored, noted
from jamaint.files.trash.restore import undo
from jamaint.files.trash.stops import DiskError
from jamaint.files.trash.trash import TrashBusyError
from jamaint.files.use.in_use import in_use
from jamaint.files.use.open_files import open_files

CLEANUP = "cleanup"
OF_THE_PLAN = "of the plan"
_HIDDEN = (
    "the open files of other users' processes cannot be seen with these rights: whether one of them still uses a file "
    "is told by its age and its locks alone"
)


@dataclass(frozen=True, slots=True)
class Place:
    """One path of a task with its rule; `seconds` is the age, `reasons` what else makes a file go, for people.

    `still` tells why a file stays though a stored plan has it, as Rule.also does. `note` is a sentence for the plan;
    `full`: its disk is to get room, so that what goes to a trash is of no use. `hold`: for how many seconds what an
    undo puts back is left alone where there is no age.
    """

    path: str
    rule: Rule
    seconds: float | None
    reasons: Sequence[str] = ()
    still: Callable[[Any, str, int], str] | None = None
    note: str = ""
    full: bool = False
    hold: float | None = None

    @property
    def hold_seconds(self) -> float | None:
        """For how long is left alone what an undo puts back there: `hold`, else the age."""
        return self.hold if self.seconds is None else self.seconds


class Aged:
    """One step that removes what is old below some paths."""

    def __init__(self, work: Work, host: Host, name: str = CLEANUP) -> None:
        self._work, self._host, self._name = work, host, name
        self._areas: Sequence[Area] | None = None
        self._room = TrashRoom()
        self._changed = Skipped()

    @refused_if_use_unknown()
    def plan(self, places: Sequence[Place]) -> tuple[Step, list[str], Sequence[RootObservation]]:
        """The step, warnings, and what was seen of each root. StepError is unsafe when every root is.

        Where a stored plan is carried out, nothing but its items that are as they were is looked for.
        """
        opened, skipped = open_files(), Skipped()
        if self._work.planned is not None:
            remaining = self._remaining(self._work.planned)
            places = [
                Place(
                    one.path,
                    replace(remaining.rule(one.rule), also=one.still),
                    None,
                    [OF_THE_PLAN],
                    hold=one.hold_seconds,
                )
                for one in places
            ]
            self._changed = remaining.skipped
            skipped.merge(self._changed)
        areas: list[Area] = []
        refused: list[RootRefusedError] = []
        now_ns = nanoseconds(self._work.now)
        for place in places:
            try:
                areas.append(
                    look(
                        place.path,
                        place.rule,
                        held=opened,
                        checkpoint=self._host.checkpoint,
                        alone=self._host.alone,
                        now_ns=now_ns,
                    )
                )
            except RootRefusedError as refusal:
                refused.append(refusal)
        room = self._room = room_for(
            self._work,
            [(area.path, area.tally.files) for area in areas],
            {place.path for place in places if place.full},
        )
        refused += [RootRefusedError(path, why, "full") for path, why in room.refused.items()]
        self._areas = areas = [area for area in areas if area.path not in room.refused]
        for area in areas:
            skipped.merge(area.skipped)
        warnings = [*(refusal.why for refusal in refused), *room.warnings]
        if refused and not areas and any(refusal.kind == "full" for refusal in refused):
            raise StepError("; ".join(warnings), kind="refused")
        if refused and not areas and all(refusal.kind == "unsafe" for refusal in refused):
            raise StepError("; ".join(warnings), kind="unsafe")
        if opened.hidden:
            warnings.append(_HIDDEN)
        warnings += [f"{item['path']} is left alone: {item['why']}" for item in skipped.problems]
        if self._work.planned is not None:  # it has passed the guard or been approved
            return self._step(areas, places, skipped), warnings, []
        at = self._work.now.isoformat(timespec="seconds")
        seen = [RootObservation(refusal.path, 0, None, at=at) for refusal in refused if refusal.kind == "missing"]
        seen += [area.observation(at) for area in areas]
        return self._step(areas, places, skipped), warnings, seen

    @property
    def areas(self) -> Sequence[Area]:
        """What the plan just made has found, root by root."""
        return self._areas or ()

    @refused_if_use_unknown()
    def items(self, tell: Callable[[Item], None]) -> None:
        """Tells what the step of the plan just made would take, a directory after all that is in it."""
        held = open_files()
        for area in self.areas:
            try:
                with area.reopen() as root:
                    use = in_use(root.stat.st_dev, held)
                    list_items(root, area.rule, use, tell, self._host.checkpoint)
            except RootRefusedError:
                continue  # the plan has told it, or it has gone since

    @refused_if_use_unknown()
    def run(self, step: Step, places: Sequence[Place]) -> dict[str, Any]:
        """Does it; its details. Raises StepError, StopRequestedError."""
        if self._areas is None:  # another worker has planned
            self.plan(places)
        self._areas = self._as_planned(step)
        telling = StepReporter(self._host.checkpoint, self._host.progress, self._host.portion, self._host.taken)
        bounds = Bounds(self._host.paused, self._host.alone)
        clearing = SweepStep(self.areas, step.undo, step.items, telling, bounds)
        clearing.skipped.merge(self._changed)
        try:
            with clearing:
                clearing.clear()
        except StopRequestedError:
            raise StopRequestedError(clearing.details()) from None
        except (DiskError, TrashBusyError) as reason:
            raise StepError(str(reason), details=clearing.details()) from None
        except OSError as error:
            raise StepError(words(error), details=clearing.details()) from error
        details = clearing.details()
        for item in details["problems"]:
            self._host.log("warning", f"{item['path']} is left alone: {item['why']}")
        if details["problems"] and not details["files"] and not details["directories"]:
            first = details["problems"][0]
            raise StepError(f"nothing could be done: {first['path']}: {first['why']}", details=details)
        return details

    @refused_if_use_unknown()
    def undo(self, step: Step, dry_run: bool) -> dict[str, Any]:
        """See Executor. `kept` is what others have put in a place or changed; `problems` what went wrong."""
        if step.undo is None:
            return {"restored": 0, "removed": 0, "kept": [], "problems": []}
        tally = Restored()
        checkpoint, taken = self._host.checkpoint, self._work.taken
        outcome = self._in_trash(lambda way, told: undo(way, dry_run, checkpoint, told, taken=taken, tally=tally), step)
        return noted(outcome, tally, step.undo)

    def purge(self, step: Step) -> dict[str, Any]:
        """See Executor. freed_space is what the disk got back, in bytes."""
        if step.undo is None:
            return {"freed_space": 0, "items": 0, "problems": []}
        return self._in_trash(lambda way, told: purge(way, self._host.checkpoint, told), step)

    def _step(self, areas: Sequence[Area], places: Sequence[Place], skipped: Skipped) -> Step:
        direct = self._room.direct
        holds = {place.path: place.hold_seconds for place in places}
        roots = {
            area.path: {"path": area.path, "times": area.times, "shared": True, "hold": holds.get(area.path)}
            for area in areas
            if area.path not in direct
        }
        why = {id(place.rule): going(place.seconds, place.reasons) for place in places}
        parts = [
            f"{amount(area.tally.files, area.tally.directories)} {why[id(area.rule)]} from {area.path}"
            for area in areas
        ]
        says = [f"Remove {', '.join(parts)}." if parts else "There is nothing to look through."]
        if skipped.first is not None:
            says.append(left_alone(skipped.count, skipped.first["path"], skipped.first["why"]))
        says += [place.note for place in places if place.note]
        says += [KEPT] if roots else []
        says += [f"{why}: removed there at once and not restorable." for why in sorted(set(direct.values()))]
        undoing = {"trash": self._work.execution, "step": self._name, "roots": list(roots.values())} if roots else None
        return Step(
            self._name,
            " ".join(says),
            {
                "direct": direct,
                "frees": {area.path: area.tally.bytes for area in areas if area.tally.bytes},
                "files": {area.path: area.tally.files for area in areas if area.tally.files},
            },
            undoing,
            sum(area.tally.files for area in areas),
            sum(area.tally.bytes for area in areas),
            tuple(item for area in areas for item in area.sample)[:20],
        )

    def _as_planned(self, step: Step) -> Sequence[Area]:
        """Those of which the plan says what becomes of their files: nothing of any other goes, least of all at once."""
        planned = {entry["path"] for entry in (step.undo or {}).get("roots", ())} | set(step.args["direct"])
        for area in self.areas:
            if area.path not in planned:
                self._changed.add(area.path, "the plan did not have it", problem=True)
        return [area for area in self.areas if area.path in planned]

    def _remaining(self, planned: Planned) -> Remaining:
        items = (item for step, item in planned.items() if step == self._name)
        return Remaining(items, self._host.checkpoint)

    def _in_trash(
        self, act: Callable[[Mapping[str, Any], Callable[[int], None]], dict[str, Any]], step: Step
    ) -> dict[str, Any]:
        try:
            return act(step.undo or {}, lambda done: self._host.progress(done, step.items, "items"))
        except TrashBusyError as busy:
            raise StepError(str(busy), kind="refused") from None
        except OSError as error:
            raise StepError(words(error)) from error


def plan_of(work: Work, steps: Sequence[Step], warnings: Sequence[str], seen: Sequence[RootObservation]) -> Plan:
    """The plan of these steps, with what the guard against mass deletion has to say."""
    refused = refusals(seen, work.seen, work.mass_deletion, "files")
    return Plan(tuple(steps), tuple(dict.fromkeys(warnings)), refused, tuple(map(to_json, seen)))


def nested(path: str, paths: Sequence[str]) -> frozenset[str]:
    """Which of these paths lie below one, from there on: they have rules of their own."""
    return frozenset(other[len(path) + 1 :] for other in paths if other.startswith(path + os.sep))
