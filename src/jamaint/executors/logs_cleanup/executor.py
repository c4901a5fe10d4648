"""logs.cleanup: deletes old logs, compresses those no longer written to, and moves aged ones to an archive."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from os.path import lexists
from typing import Any

from jamaint.core.held_places import with_hold
from jamaint.core.plans import Plan, Step
from jamaint.core.safety.deletion_guard import RootObservation, refusals, to_json
from jamaint.executors.logs_cleanup.log_writers import LiveLogs
from jamaint.executors.logs_cleanup.rules import ARCHIVE, CLEANUP, COMPRESSION, LogRules, Sorting
from jamaint.executors.shared.executor import Host, StepError, StopRequestedError, Tell, Work
from jamaint.executors.shared.recent_undos import hold_at
from jamaint.executors.shared.removal_methods import room_for
from jamaint.executors.shared.unknown_use import refused_if_use_unknown
from jamaint.files.access.compression import Codec, codec
from jamaint.files.access.filesystem_id import filesystem_of
from jamaint.files.access.globs import is_glob, split_root
from jamaint.files.access.root import Root, RootRefusedError
from jamaint.files.access.skip_report import Skipped, words
from jamaint.files.cleanup.root_observations import observations
from jamaint.files.cleanup.survey import SAMPLE, Found, Survey, free_bytes, owners_words, survey
from jamaint.files.cleanup.survey_items import items_of, resurvey
from jamaint.files.cleanup.survey_step import NO_ARCHIVE, StepReporter, SurveyStep, is_in, open_archive
from jamaint.files.rights.owners import each_owner, numbered
from jamaint.files.trash.purge import purge
from jamaint.files.trash.recently_restored import Restored, noted
from jamaint.files.trash.replacement import Packing
from jamaint.files.trash.restore import undo
from jamaint.files.trash.stops import DiskError
from jamaint.files.trash.trash import TrashBusyError
from jamaint.files.use.open_files import OpenFiles, open_files

ANALYSIS = "analysis"
_HIDDEN = (
    "the open files of other users' processes cannot be seen with these rights: whether one of them still writes to a "
    "log is told by its age alone"
)


class LogsCleanup:
    """The executor of logs.cleanup; executors/shared/executor.py says what each method promises."""

    def __init__(self, work: Work, host: Host) -> None:
        self._work, self._host = work, host
        self._rules = LogRules.of(work.config, work.now)
        self._codec: Codec | None = None
        self._survey: Survey | None = None
        self._skipped = Skipped()
        self._direct: Mapping[str, str] = {}
        self._live: list[str] = []
        """The logs whose writers could not make them anew, each with why."""

    @refused_if_use_unknown()
    def plan(self) -> Plan:
        """See Executor. StepError is unsafe when every root is."""
        held = open_files()
        found = self._look(held)
        warnings = list(dict.fromkeys(refusal.why for refusal in found.refused))
        if found.refused and not found.found and all(refusal.kind == "unsafe" for refusal in found.refused):
            raise StepError("; ".join(warnings), kind="unsafe")
        if self._work.planned is None:
            warnings += _missing(self._work.config["log_paths"], found.found)
        found = self._with_room(found, warnings)
        # A stored plan has passed the guard or been approved, and each of its items is looked at by itself.
        roots = (
            [] if self._work.planned else [*observations(found, _deleted, self._work.now), *self._archive_seen(found)]
        )
        refused = refusals(roots, self._work.seen, self._work.mass_deletion, "logs")
        if held.hidden:
            warnings.append(_HIDDEN)
        if self._live:
            more = f" ({len(self._live)} such logs)" if len(self._live) > 1 else ""
            warnings.append(f"left alone{more}: {self._live[0]}")
        if self._rules.compress_seconds is not None:
            self._codec, warning = codec(self._rules.algorithm)
            warnings += [warning] if warning else []
        warnings += _without_archive(found.found)
        steps = [
            self._plan_analysis(found),
            *(self._plan_step(name, _archived(name, found.found)) for name in self._rules.steps()),
        ]
        if self._rules.archive_seconds is not None:
            steps[-1] = self._plan_archive(steps[-1], warnings)
        warnings += [f"{item['path']} is left alone: {item['why']}" for item in self._skipped.problems]
        return Plan(tuple(steps), tuple(warnings), refused, tuple(map(to_json, roots)))

    def items(self, step: Step, tell: Tell) -> None:
        """See Itemised."""
        assert self._survey is not None
        for item in items_of(_archived(step.name, self._survey.found), step.name, self._host.checkpoint):
            tell(item)

    @refused_if_use_unknown()
    def run(self, step: Step) -> dict[str, Any]:
        """See Executor. A step in which some files could not be dealt with is done; `problems` has them."""
        if self._survey is None:  # another worker has planned
            self.plan()
            self._keep_to(step)
        assert self._survey is not None
        if step.name == ANALYSIS:
            return self._analysis(self._survey)
        telling = StepReporter(self._host.checkpoint, self._host.progress, self._host.portion, self._host.taken)
        leaving = SurveyStep(step.name, self._survey.found, step.undo, telling)
        try:
            with leaving:
                self._carry_out(step, leaving)
        except StopRequestedError:
            raise StopRequestedError(leaving.details()) from None
        except (DiskError, TrashBusyError) as reason:
            raise StepError(str(reason), details=leaving.details()) from None
        except OSError as error:
            raise StepError(words(error), details=leaving.details()) from error
        details = leaving.details()
        for item in details["problems"]:
            self._host.log("warning", f"{item['path']} is left alone: {item['why']}")
        if details["problems"] and not details["files"]:
            first = details["problems"][0]
            raise StepError(f"nothing could be done: {first['path']}: {first['why']}", details=details)
        return details

    @refused_if_use_unknown()
    def undo(self, step: Step, dry_run: bool) -> dict[str, Any]:
        """See Executor. `kept` is what others have put in a place or changed; `problems` what went wrong."""
        if step.undo is None:
            return {"restored": 0, "removed": 0, "kept": [], "problems": []}
        checkpoint, taken, tally = self._host.checkpoint, self._work.taken, Restored()
        outcome = self._in_trash(lambda way, told: undo(way, dry_run, checkpoint, told, taken=taken, tally=tally), step)
        return noted(outcome, tally, step.undo)

    def _hold_seconds(self) -> float:
        """For how long is left alone what an undo puts back: the longest of the ages."""
        parts = [self._work.config.get(key) or {} for key in ("compress", "archive")]
        ages = [float(part["older_than_seconds"]) for part in parts if part.get("older_than_seconds") is not None]
        return max([self._rules.retention_seconds, *ages])

    def purge(self, step: Step) -> dict[str, Any]:
        """See Executor. freed_space is what the disk got back, in bytes."""
        if step.undo is None:
            return {"freed_space": 0, "items": 0, "problems": []}
        return self._in_trash(lambda way, told: purge(way, self._host.checkpoint, told), step)

    def _keep_to(self, step: Step) -> None:
        """Leaves alone the roots of which the plan does not say what becomes of their files."""
        assert self._survey is not None
        if step.name != ANALYSIS:
            planned = {entry["path"] for entry in (step.undo or {}).get("roots", ())} | set(step.args["direct"])
            self._survey = replace(self._survey, found=[root for root in self._survey.found if root.path in planned])

    def _carry_out(self, step: Step, leaving: SurveyStep) -> None:
        if step.name == CLEANUP:
            leaving.delete()
        elif step.name == COMPRESSION:
            assert self._codec is not None
            self._host.log("info", f"compressing to {self._codec.suffix} with {self._codec.library}")
            leaving.replace(Packing(self._codec))
        elif "refused" in step.args:
            raise StepError(step.args["refused"], step.args["kind"], leaving.details())
        else:
            leaving.move(step.args["root"], step.args["prefix"])

    def _in_trash(
        self, act: Callable[[Mapping[str, Any], Callable[[int], None]], dict[str, Any]], step: Step
    ) -> dict[str, Any]:
        try:
            told = partial(self._host.progress, total=step.items, unit="items")
            return each_owner(step.undo or {}, lambda way: act(way, told))
        except TrashBusyError as busy:
            raise StepError(str(busy), kind="refused") from None
        except OSError as error:
            raise StepError(words(error)) from error

    def _look(self, held: OpenFiles) -> Survey:
        self._skipped, self._live = Skipped(), []
        skipped = self._skipped
        if self._work.planned is not None:
            self._survey = resurvey(self._work.planned.items(), skipped, self._host.checkpoint)
            return self._survey
        sorting, archive = Sorting(self._rules), self._rules.archive_directory
        live, kept = LiveLogs(), self._live
        hold_of = cache(partial(hold_at, self._work, age_seconds=self._hold_seconds()))

        def sort(root: Root, rel: str, name: str, seen: os.stat_result) -> str:
            archived = bool(archive) and is_in(root.name(rel), archive)
            what = sorting(name, seen.st_size, seen.st_mtime_ns, seen.st_nlink, archived)
            if seen.st_nlink > 1 and sorting.hard_linked(name, seen.st_size, seen.st_mtime_ns, seen.st_nlink):
                skipped.add(root.name(rel, name), f"it has {seen.st_nlink} names (hard links): not compressed")
            hold = hold_of(root.path) if what else None
            if hold is not None and hold(seen, None):
                skipped.add(root.name(rel, name), hold.why)
                return ""
            objection = live.objection(root, rel, name, seen) if what else None
            if objection is None:
                return what
            skipped.add(root.name(rel, name), objection)
            kept.append(f"{root.name(rel, name)}: {objection}")
            return ""

        paths, exclude = self._work.config["log_paths"], self._work.config.get("exclude") or ()
        self._survey = survey(paths, exclude, sort=sort, held=held, skipped=skipped, checkpoint=self._host.checkpoint)
        return self._survey

    def _with_room(self, found: Survey, warnings: list[str]) -> Survey:
        """The survey without the roots in which no trash could be made. Raises StepError where that is so of all."""
        names = self._rules.steps()
        room = room_for(
            self._work, [(root.path, sum(root.count(name) for name in names)) for root in found.found], by_owner=True
        )
        self._direct = room.direct
        warnings += [*room.refused.values(), *room.warnings]
        left = [root for root in found.found if root.path not in room.refused]
        if room.refused and not left:
            raise StepError("; ".join(warnings), kind="refused")
        self._survey = replace(found, found=left)
        return self._survey

    def _plan_analysis(self, found: Survey) -> Step:
        files, size = sum(root.files for root in found.found), sum(root.bytes for root in found.found)
        count = len(found.found)
        says = f"Look at {files} logs below {count} {'directory' if count == 1 else 'directories'}; change nothing."
        return Step(ANALYSIS, says, items=files, bytes=size)

    def _plan_step(self, name: str, found: Sequence[Found]) -> Step:
        direct = {root.path: self._direct[root.path] for root in found if root.path in self._direct}
        roots = with_hold(
            numbered({"path": root.path, "times": root.times} for root in found if root.path not in direct),
            self._hold_seconds(),
        )
        count, size = sum(root.count(name) for root in found), sum(root.size(name) for root in found)
        says = [self._rules.says(name, count, self._codec.suffix if self._codec else ""), *owners_words(found)]
        if roots:
            says.append("Removed files go to the trash: they can be restored until it is purged, and take")
            says.append("space until then.")
        says += [f"{why}: removed there at once and not restorable." for why in sorted(set(direct.values()))]
        sample = [
            {"path": path, "bytes": size, "age_seconds": (self._rules.now_ns - written) / 10**9}
            for root in found
            for path, size, written in root.sample.get(name, ())
        ]
        undo = {"trash": self._work.execution, "step": name, "roots": roots} if roots else None
        frees = {root.path: root.size(name) for root in found if root.count(name)} if name == CLEANUP else {}
        files = {root.path: root.count(name) for root in found if root.count(name)} if name == CLEANUP else {}
        args = {"direct": direct, "frees": frees, "files": files}
        return Step(name, " ".join(says), args, undo, count, size, tuple(sample[:SAMPLE]))

    def _plan_archive(self, step: Step, warnings: list[str]) -> Step:
        """Adds where the archive is, which is a root of its own; one that cannot be used makes the step fail."""
        undo, args = step.undo, dict(step.args)
        try:
            root, prefix = open_archive(self._rules.archive_directory)
        except RootRefusedError as refusal:
            warnings.append(f"the archive cannot be used: {refusal.why}")
            args |= {"refused": refusal.why, "kind": _kind(refusal)}
        else:
            with root:
                args |= {"root": root.path, "prefix": prefix}
                if undo is not None and root.path not in [entry["path"] for entry in undo["roots"]]:
                    times = [root.stat.st_atime_ns, root.stat.st_mtime_ns]
                    entry = {"path": root.path, "times": times, "hold": self._hold_seconds()}
                    undo = {**undo, "roots": numbered([*undo["roots"], entry])}
        return Step(step.name, step.says, args, undo, step.items, step.bytes, step.sample)

    def _archive_seen(self, found: Survey) -> list[RootObservation]:
        """On which file system the archive is, for the guard: logs must not go below a mount point that is empty."""
        directory = self._rules.archive_directory
        if not directory or directory in [root.path for root in found.found]:
            return []
        try:
            root, _ = open_archive(directory)
        except RootRefusedError:
            return []  # the step tells it
        with root:
            at = self._work.now.isoformat(timespec="seconds")
            return [RootObservation(directory, 0, filesystem_of(root.path, root.fd), at=at)]

    def _analysis(self, found: Survey) -> dict[str, Any]:
        roots = [
            {
                "path": root.path,
                "files": root.files,
                "bytes": root.bytes,
                "oldest": _moment(root.oldest),
                "newest": _moment(root.newest),
                "by_class": {
                    name: {"files": root.count(name), "bytes": root.size(name)} for name in self._rules.steps()
                },
            }
            for root in found.found
        ]
        return {
            "files": sum(root.files for root in found.found),
            "bytes": sum(root.bytes for root in found.found),
            "freed_space": 0,
            "freed_on_purge": 0,
            "roots": roots,
            "refused": [{"path": refusal.path, "why": refusal.why} for refusal in found.refused],
            "free_bytes_before": free_bytes(found.found),
            "free_bytes_after": free_bytes(found.found),
            **self._skipped.details(),
        }


def _missing(patterns: Sequence[str], found: Sequence[Found]) -> list[str]:
    """Warnings of each log named without a wildcard that is not there. A missing directory is among the refused."""
    looked = {root.path for root in found}
    plain = [path for path in patterns if not is_glob(path) and split_root(path)[0] in looked]
    return [f"{path} does not exist: nothing is cleaned there until it does" for path in plain if not lexists(path)]


def _without_archive(roots: Sequence[Found]) -> Iterator[str]:
    """Why logs in directories of other owners are not archived."""
    for root in roots:
        count = root.count(ARCHIVE) if root.account is not None else 0
        if count and root.account is not None:
            logs = "1 log is" if count == 1 else f"{count} logs are"
            yield f"{root.path}: {logs} not archived: {NO_ARCHIVE.format(root.account.name)}"


def _archived(name: str, found: Sequence[Found]) -> Sequence[Found]:
    """The roots that a step is about: an archive takes none of another owner's."""
    return [root for root in found if root.account is None] if name == ARCHIVE else found


def _deleted(root: Found) -> tuple[int, int]:
    """How many logs a root has, and how many of them would be deleted."""
    return root.files, root.count(CLEANUP)


def _kind(refusal: RootRefusedError) -> str:
    return "unsafe" if refusal.kind == "unsafe" else "failed"


def _moment(nanoseconds: int | None) -> str | None:
    """A time of a file as it goes on the control protocol; None also for one that no calendar has."""
    if nanoseconds is None:
        return None
    try:
        at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=nanoseconds // 1000)
    except OverflowError:
        return None
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
