"""logs.rotate: gives logs another name, makes new ones, tells their writers, and compresses and expires the rotated."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from jamaint.core.plans import Plan, Step
from jamaint.core.safety.deletion_guard import refusals, to_json
from jamaint.executors.logs_rotate.plan import RotationPlanner
from jamaint.executors.logs_rotate.rules import COMPRESSION, EXPIRY, ROTATION, RotationRules
from jamaint.executors.logs_rotate.run import RotationRun, WriterNotifier
from jamaint.executors.logs_rotate.survey import LogSurveyor, LogTurn, RotationSurvey
from jamaint.executors.logs_rotate.undo import LOOK_SECONDS, LOOKS, Writers, lost_journals, turn_back
from jamaint.executors.shared.executor import Host, StepError, StopRequestedError, Work
from jamaint.executors.shared.unknown_use import refused_if_use_unknown
from jamaint.files.access.compression import Codec, codec
from jamaint.files.access.root import DirectoryRefusedError, RootRefusedError
from jamaint.files.access.skip_report import Skipped, words
from jamaint.files.access.tree_walk import Batches
from jamaint.files.cleanup.root_observations import observations
from jamaint.files.cleanup.survey import Found, Survey
from jamaint.files.cleanup.survey_step import StepReporter, SurveyStep
from jamaint.files.rights.owners import each_owner
from jamaint.files.trash.purge import purge
from jamaint.files.trash.recently_restored import Restored, noted
from jamaint.files.trash.replacement import Packing
from jamaint.files.trash.restore import undo
from jamaint.files.trash.stops import DiskError
from jamaint.files.trash.trash import TrashBusyError
from jamaint.files.use.open_files import OpenFiles, open_files

_HIDDEN = (
    "the open files of other users' processes cannot be seen with these rights: what is rotated now is compressed at "
    "the next rotation, when nobody writes to it any more"
)


class LogsRotate:
    """The executor of logs.rotate; executors/shared/executor.py says what each method promises."""

    def __init__(self, work: Work, host: Host) -> None:
        self._work, self._host = work, host
        self._rules = RotationRules.of(work.config, work.now)
        self._codec: Codec | None = None
        self._found: RotationSurvey | None = None
        self._has_told = False

    @refused_if_use_unknown()
    def plan(self) -> Plan:
        """See Executor. StepError is unsafe when every root is."""
        held = open_files()
        self._found = found = LogSurveyor(self._work, self._host, self._rules).look(held)
        warnings = _refused(found.survey)
        roots = observations(found.survey, self._of_rotated, self._work.now)
        refused = refusals(roots, self._work.seen, self._work.mass_deletion, "rotated logs")
        warnings += [*self._choose_codec(held), *found.warnings]
        planner = RotationPlanner(self._work, self._rules, found, self._codec.suffix if self._codec else "")
        steps = [planner.step(name) for name in self._rules.steps]
        warnings += [f"{item['path']} is left alone: {item['why']}" for item in found.skipped.problems]
        return Plan(tuple(steps), tuple(warnings), refused, tuple(map(to_json, roots)))

    @refused_if_use_unknown()
    def run(self, step: Step) -> dict[str, Any]:
        """See Executor. A step in which some logs could not be dealt with is done; `problems` has them."""
        if self._found is None:  # another worker has planned
            self.plan()
        assert self._found is not None
        details = self._rotate(step, self._found) if step.name == ROTATION else self._leave(step, self._found.survey)
        for item in details["problems"]:
            self._host.log("warning", f"{item['path']} is left alone: {item['why']}")
        if details["problems"] and not details["files"]:
            first = details["problems"][0]
            raise StepError(f"nothing could be done: {first['path']}: {first['why']}", details=details)
        return details

    @refused_if_use_unknown()
    def undo(self, step: Step, dry_run: bool) -> dict[str, Any]:
        """See Executor. Once the names are back, the writers are told to open their logs again."""
        if step.undo is None:
            return {"restored": 0, "removed": 0, "kept": [], "problems": []}
        tally = Restored()
        if step.name != ROTATION:
            checkpoint, taken = self._host.checkpoint, self._work.taken
            found = self._in_trash(
                lambda way, told: undo(way, dry_run, checkpoint, told, taken=taken, tally=tally), step
            )
            return noted(found, tally, step.undo)
        failures: list[str] = []
        notifier = WriterNotifier(self._work, self._host)

        def tell(logs: Sequence[str]) -> None:
            try:
                notifier.tell(logs, {})
            except StepError as failed:
                failures.append(failed.message)

        writers = Writers(notifier.can_tell, tell)
        lost = [] if self._work.taken is None else list(lost_journals(step.undo, self._work.taken))
        outcome = self._in_trash(lambda way, _: turn_back(way, dry_run, self._host.checkpoint, writers, tally), step)
        outcome["problems"] += lost
        if lost:
            outcome["missing"] = lost
        outcome["problems"] += [{"path": self._work.task_name, "why": why} for why in failures]
        return noted(outcome, tally, step.undo)

    def purge(self, step: Step) -> dict[str, Any]:
        """See Executor. freed_space is what the disk got back, in bytes."""
        if step.undo is None:
            return {"freed_space": 0, "items": 0, "problems": []}
        return self._in_trash(lambda way, told: purge(way, self._host.checkpoint, told), step)

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

    def _choose_codec(self, held: OpenFiles) -> Iterator[str]:
        """Chooses how rotated logs are compressed, and gives warnings of what is otherwise than asked for."""
        if not self._rules.compress:
            return
        compress = self._work.config["compress"]
        self._codec, warning = codec(compress["algorithm"], compress.get("level"))
        if warning:
            yield warning
        if held.hidden and not self._rules.delay:
            self._rules = replace(self._rules, delay=True)
            yield _HIDDEN

    def _of_rotated(self, root: Found) -> tuple[int, int]:
        """How many rotated logs a root has, and how many of them would be removed.

        One that goes for a new one of the same log does not count: with a small `keep` that is a large share each time.
        """
        mine = [log for log in self._logs if log.found is root]
        removed = [len(log.turn.expire) for log in mine if len(log.turn.expire) > log.turn.due]
        return sum(len(log.rotated) for log in mine), sum(removed)

    @property
    def _logs(self) -> Sequence[LogTurn]:
        return self._found.logs if self._found is not None else ()

    def _rotate(self, step: Step, found: RotationSurvey) -> dict[str, Any]:
        rotation = RotationRun(self._work, self._host, self._rules, found)
        try:
            return rotation.run(step)
        finally:
            self._has_told = rotation.notifier.has_told

    # compressing and expiring

    def _leave(self, step: Step, found: Survey) -> dict[str, Any]:
        self._gather(step.name, found)
        if not any(root.count(step.name) for root in found.found):
            return {**dict.fromkeys(("files", "bytes", "freed_space", "freed_on_purge"), 0), **Skipped().details()}
        telling = StepReporter(self._host.checkpoint, self._host.progress, self._host.portion, self._host.taken)
        leaving = SurveyStep(step.name, found.found, step.undo, telling)
        try:
            with leaving:
                if step.name == EXPIRY:
                    leaving.delete()
                else:
                    assert self._codec is not None
                    self._host.log("info", f"compressing to {self._codec.suffix} with {self._codec.library}")
                    leaving.replace(Packing(self._codec))
        except StopRequestedError:
            raise StopRequestedError(leaving.details()) from None
        except (DiskError, TrashBusyError) as reason:
            raise StepError(str(reason), details=leaving.details()) from None
        except OSError as error:
            raise StepError(words(error), details=leaving.details()) from error
        return leaving.details()

    def _gather(self, name: str, survey: Survey) -> None:
        """Gives the roots the files of this step, by the names they have after the rotation."""
        logs = [log for log in self._logs if log.happens]
        fresh = self._fresh([log for log in logs if self._takes_fresh(log, name)])
        for found in survey.found:
            found.work[name] = batches = Batches()
            for log in logs:
                if log.found is not found:
                    continue
                for after in log.turn.compress if name == COMPRESSION else log.turn.expire:
                    batches.add(log.aside, after, log.judged(after))
                if id(log) in fresh and log.fresh is not None:
                    batches.add(log.aside, log.fresh, fresh[id(log)])

    def _takes_fresh(self, log: LogTurn, name: str) -> bool:
        """True where the step is for what was rotated just now."""
        if log.fresh is None:
            return False
        if name == EXPIRY:
            return log.turn.expire_fresh
        return log.turn.compress_fresh and not self._rules.delay

    def _fresh(self, wanted: Sequence[LogTurn]) -> dict[int, os.stat_result]:
        """How those are that were rotated just now and are to go at once, when their writers have let go."""
        inodes = {(log.seen.st_dev, log.seen.st_ino) for log in wanted}
        for _ in range(LOOKS if self._has_told and inodes else 0):
            if not inodes & open_files().writers.keys():
                break
            self._host.checkpoint()
            time.sleep(LOOK_SECONDS)
        found = {}
        for log in wanted:
            try:
                with log.found.reopen() as root, root.descend(log.aside) as place:
                    found[id(log)] = os.lstat(log.fresh or "", dir_fd=place.fd)
            except (OSError, DirectoryRefusedError, RootRefusedError):  # gone, and nothing to be compressed
                continue
        return found


def _refused(survey: Survey) -> list[str]:
    """Why some roots are not looked through. Raises StepError when that is so of all."""
    whys = list(dict.fromkeys(refusal.why for refusal in survey.refused))
    if survey.refused and not survey.found and all(refusal.kind == "unsafe" for refusal in survey.refused):
        raise StepError("; ".join(whys), kind="unsafe")
    return whys
