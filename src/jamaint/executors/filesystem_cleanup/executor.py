"""filesystem.cleanup: removes old files and those beyond a limit, and empty directories, broken links, duplicates."""

import stat
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from jamaint.core.plans import Plan, Step
from jamaint.executors.shared.age_cleanup import Aged, Place, plan_of
from jamaint.executors.shared.directory_rules import FilePlaces
from jamaint.executors.shared.executor import Host, Tell, Work
from jamaint.executors.shared.unknown_use import refused_if_use_unknown
from jamaint.files.access.root import Root, RootRefusedError, open_root
from jamaint.files.cleanup.eligibility import Judge
from jamaint.files.cleanup.limits_and_duplicates import Duplicates, First, duplicates
from jamaint.files.rules.ages import old
from jamaint.files.use.in_use import in_use
from jamaint.files.use.open_files import OpenFiles, open_files

CLEANUP, DUPLICATES = "cleanup", "duplicates"
_BY = ("modification",)
"""Of a config that was made before there was `age_by` here."""
Also = Callable[[Any, str, int], str]


class FilesystemCleanup:
    """The executor of filesystem.cleanup; executors/shared/executor.py says what each method promises."""

    def __init__(self, work: Work, host: Host) -> None:
        self._work, self._host = work, host
        self._cleanup, self._duplicates = Aged(work, host, CLEANUP), Aged(work, host, DUPLICATES)
        self._places: list[Place] | None = None
        self._twins: list[Place] = []

    @refused_if_use_unknown()
    def plan(self) -> Plan:
        """See Executor. StepError is unsafe when every root is."""
        held = open_files()
        looked = FilePlaces(self._work, held, self._host.checkpoint)
        self._places = looked.places()
        step, warnings, seen = self._cleanup.plan(self._places)
        warnings += looked.refused  # also where the plan's own look was let in a moment later
        steps = [step]
        if self._work.config["duplicates"]:
            steps.append(self._plan_duplicates(self._places, held, warnings))
            gone = {area.path: area.tally.files for area in self._duplicates.areas}
            seen = [replace(one, doomed=one.doomed + gone.get(one.path, 0)) for one in seen]
        return plan_of(self._work, steps, warnings, seen)

    def items(self, step: Step, tell: Tell) -> None:
        """See Itemised."""
        if step.name == CLEANUP:
            self._cleanup.items(tell)
        elif not step.args.get("only_report"):
            self._duplicates.items(tell)

    def run(self, step: Step) -> dict[str, Any]:
        """See Executor. A step in which some files could not be dealt with is done; `problems` has them."""
        if self._places is None:  # another worker has planned
            self.plan()
        if step.name == CLEANUP:
            return self._cleanup.run(step, self._places or [])
        if step.args.get("only_report"):
            return {"files": 0, "freed_space": 0, "found": step.args["found"], "found_bytes": step.args["found_bytes"]}
        return self._duplicates.run(step, self._twins)

    def undo(self, step: Step, dry_run: bool) -> dict[str, Any]:
        """See Executor. `kept` is what others have put in a place or changed; `problems` what went wrong."""
        return self._cleanup.undo(step, dry_run)

    def purge(self, step: Step) -> dict[str, Any]:
        """See Executor. freed_space is what the disk got back, in bytes."""
        return self._cleanup.purge(step)

    def _plan_duplicates(self, places: list[Place], held: OpenFiles, warnings: list[str]) -> Step:
        found: list[Duplicates] = []
        twins: list[Place] = []
        for place in places:
            try:
                with open_root(place.path, shared=True) as root:
                    one = self._look_for_duplicates(root, place, held)
            except RootRefusedError:
                continue
            found.append(one)
            if one.left_out:
                warnings.append(f"{place.path}: {one.left_out:,} files of equal size were not compared: too many")
            still = _still_same(one.of)
            rule = replace(place.rule, directories=False, old=_among(one.of), also=still, before=0)
            twins.append(Place(place.path, rule, None, ["the same as an older one"], still, hold=place.hold_seconds))
        self._twins = twins
        if self._work.config["duplicates"] == "remove":
            step, more, _ = self._duplicates.plan(twins)
            warnings += more
            return replace(step, sample=tuple(item for one in found for item in one.sample)[:20])
        count, size = sum(len(one.of) for one in found), sum(one.bytes for one in found)
        says = f"Report {count:,} files that hold the same as an older one; remove nothing."
        args = {"only_report": True, "found": count, "found_bytes": size}
        return Step(DUPLICATES, says, args, None, 0, 0, tuple(item for one in found for item in one.sample)[:20])

    def _look_for_duplicates(self, root: Root, place: Place, held: OpenFiles) -> Duplicates:
        """Those that the first step removes count for none: what is left of each content must not go too."""
        judge = Judge(root, place.rule, in_use(root.stat.st_dev, held))
        goes = place.rule.old or old(place.rule.ages.files_by, place.rule.before)
        least = max(1, place.rule.least_bytes)
        return duplicates(judge, lambda seen: seen.st_size < least or goes(seen), self._host.checkpoint)


def _among(same: Mapping[int, tuple[int, int, First]]) -> Callable[[Any], bool]:
    return lambda seen: seen.st_ino in same and same[seen.st_ino][:2] == (seen.st_mtime_ns, seen.st_ctime_ns)


def _still_same(same: Mapping[int, tuple[int, int, First]]) -> Callable[[Any, str, int], str]:
    """Why a duplicate stays: the older one, which was to stay, is not there to stay any more."""

    def test(seen: Any, name: str, fd: int) -> str:
        why = _regular(seen, name, fd)
        if why or not _among(same)(seen):
            return why or "nothing older holds the same any more"
        first = same[seen.st_ino][2]
        return "" if first.stands() else f"its original, {first.path}, has gone or changed since"

    return test


def _regular(seen: Any, name: str, fd: int) -> str:  # noqa: ARG001 - the shape of a rule's test
    return "" if stat.S_ISREG(seen.st_mode) else "it is not a regular file"
