"""The step of a rotation that gives logs their new names, runs its scripts, and tells the writers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import dropwhile, islice
from typing import Any

from jamaint.core.plans import Step
from jamaint.core.rotation_records import REPORT, RotationRecord, pack
from jamaint.executors.logs_rotate.logrotate_state import keeping_out
from jamaint.executors.logs_rotate.rename import LogRenamer, New, RotationSkippedError
from jamaint.executors.logs_rotate.rules import RotationRules
from jamaint.executors.logs_rotate.scripts import run_script, script_account
from jamaint.executors.logs_rotate.signal_writer import SignalError, signal_writer
from jamaint.executors.logs_rotate.survey import LogTurn, RotationSurvey
from jamaint.executors.logs_rotate.undo import writers_of
from jamaint.executors.shared.executor import Host, StepError, StopRequestedError, Work
from jamaint.files.access.root import DirectoryRefusedError, Place, Root, RootRefusedError
from jamaint.files.cleanup.survey import SAMPLE, Found, free_bytes
from jamaint.files.rights.attributes import AttributesDifferError
from jamaint.files.rights.borrowed import acting_as, own_rights
from jamaint.files.trash.inventory import Part, Recording
from jamaint.files.trash.removal import note_error
from jamaint.files.trash.stops import DiskError
from jamaint.files.trash.trash import Trash, TrashBusyError
from jamaint.host.accounts import find_account, group_id

_NAMES_TRIED = 100


class WriterNotifier:
    """Runs the scripts of a task and signals its writer."""

    def __init__(self, work: Work, host: Host) -> None:
        self._work, self._host = work, host
        self.per_log = bool((work.config.get("scripts") or {}).get("per_log"))
        self.can_tell = bool(work.config["postrotate"] or work.config["signal"])
        self.has_told = False

    def before(self, details: Mapping[str, Any], log: str = "") -> None:
        """Runs prerotate. Raises StepError, StopRequestedError."""
        run_script("prerotate", self._work, self._host, details, log)

    def after(self, details: Mapping[str, Any], log: str = "") -> None:
        """Runs postrotate. Raises StepError, StopRequestedError."""
        self.has_told |= run_script("postrotate", self._work, self._host, details, log)

    def signal(self, details: Mapping[str, Any]) -> None:
        """Signals the process of the pid file. Raises StepError."""
        told = self._work.config["signal"]
        if not told:
            return
        try:
            with own_rights(), acting_as(script_account(self._work.config)):
                pid = signal_writer(told["pid_file"], told["signal"])
        except (SignalError, LookupError, PermissionError) as reason:
            why = f"the writers were not told that their logs were rotated: {reason}"
            raise StepError(why, details=details) from None
        self._host.log("info", f"sent SIG{told['signal']} to process {pid}")
        self.has_told = True

    def tell(self, logs: Sequence[str], details: Mapping[str, Any]) -> None:
        """Tells the writers of these logs. Raises StepError, StopRequestedError."""
        for log in logs if self.per_log else [""]:
            self.after(details, log)
        self.signal(details)


class RotationRun:
    """The rotation while it is carried out."""

    def __init__(self, work: Work, host: Host, rules: RotationRules, found: RotationSurvey) -> None:
        self._work, self._host, self._rules = work, host, rules
        self._found, self._skipped = found, found.skipped
        self.notifier = WriterNotifier(work, host)
        self._failures: dict[str, StepError] = {}
        self._is_told = not self.notifier.can_tell

    def run(self, step: Step) -> dict[str, Any]:
        """Rotates each log that is due; the step's details. Raises StepError, StopRequestedError."""
        logs = [log for log in self._found.logs if log.turn.due]
        details: dict[str, Any] = {"files": 0, "bytes": 0, "freed_space": 0, "freed_on_purge": 0, "rotated": []}
        details["free_bytes_before"] = free_bytes(self._found.survey.found)
        try:
            if logs:
                with keeping_out() as alone:
                    if not alone:
                        raise StepError("logrotate is at work now: nothing was rotated", "refused")
                    self._rotate_all(step, logs, details)
            elif self._found.to_tell:
                self._tell(details)
                details["told_again"] = len(self._found.to_tell)
            self._look_after_those_behind()
        except (DiskError, TrashBusyError) as reason:
            raise StepError(str(reason), details=self._details(details)) from None
        except StepError as failure:
            raise StepError(failure.message, failure.kind, self._details(details)) from None
        except StopRequestedError:
            raise StopRequestedError(self._details(details)) from None
        details["free_bytes_after"] = free_bytes(self._found.survey.found)
        return self._details(details)

    def _details(self, details: Mapping[str, Any]) -> dict[str, Any]:
        return {**details, **self._skipped.details(), REPORT: {"block": pack(self._records())}}

    def _records(self) -> Iterator[RotationRecord]:
        """The records as they are now: of what was rotated, told again, and learned from the disk."""
        fresh = {log.path for log in self._found.logs if log.fresh is not None}
        for path in sorted(fresh):
            yield RotationRecord(path, self._work.now, self._was_told(path), self._work.execution)
        known = {(one.execution, one.path): one for one in (*self._found.untold, *self._found.learned)}
        for one in known.values():
            yield replace(one, is_told=one.is_told or self._was_told(one.path))

    def _was_told(self, path: str) -> bool:
        return self._is_told and path not in self._failures

    def _look_after_those_behind(self) -> None:
        """Gives writers that were told again the time to let go; who does not is a problem."""
        behind = {log.path: log for log in self._found.logs if log.path in self._found.behind}
        if not behind:
            return
        seen = {path: log.rotated[log.newest or ""] for path, log in behind.items()}
        inodes = {(one.st_dev, one.st_ino) for one in seen.values()}
        writers = writers_of(inodes, self.notifier.has_told, self._host.checkpoint)
        for path, one in seen.items():
            pid = writers.get((one.st_dev, one.st_ino))
            if pid is not None:
                old = behind[path].path_of(behind[path].newest or "")
                does = "though it was told to reopen" if self.notifier.has_told else "and nothing tells it to reopen"
                why = f"it is empty, for process {pid} still writes to {old}, {does}: set postrotate or signal, or"
                self._skipped.add(path, f"{why} restart that process", problem=True)

    def _rotate_all(self, step: Step, logs: Sequence[LogTurn], details: dict[str, Any]) -> None:
        if not self.notifier.per_log:
            self.notifier.before(details)
        try:
            for found in self._found.survey.found:
                mine = [log for log in logs if log.found is found]
                if mine:
                    try:
                        self._rotate_below(found, mine, step, details)
                    except RootRefusedError as refusal:
                        self._skipped.add(found.path, refusal.why, problem=True)
        finally:
            if details["files"] or self._found.to_tell:  # also when it is stopped half-way
                self._tell(details)

    def _tell(self, details: dict[str, Any]) -> None:
        """Tells the writers; for each log, where scripts are so, those that have been rotated are told already."""
        for path in self._found.to_tell if self.notifier.per_log else ():
            self._tell_of(path, details)
        if not self.notifier.per_log:
            self.notifier.after(details)
        self.notifier.signal(details)
        self._is_told = True
        if self._found.to_tell and self.notifier.has_told:
            self._host.log("info", f"told the writers of {len(self._found.to_tell)} logs again")
        for failure in self._failures.values():
            raise StepError(failure.message, failure.kind, details)

    def _tell_of(self, path: str, details: Mapping[str, Any]) -> None:
        try:
            self.notifier.after(details, path)
        except StepError as failure:
            self._failures[path] = failure

    def _rotate_below(self, found: Found, logs: Sequence[LogTurn], step: Step, details: dict[str, Any]) -> None:
        kept = {entry["path"] for entry in (step.undo or {"roots": ()})["roots"]}
        with found.reopen() as root:
            trash = Trash(root, self._work.execution, step.name) if found.path in kept else None
            turning = LogRenamer(root, trash)
            if trash is not None:
                key = self._work.execution, step.name, found.path
                some = [Part(log.rel, [log.turn.log], [log.seen.st_ino], [log.seen.st_size]) for log in logs]
                Recording(key, self._host.taken)(some)
            try:
                for log in logs:
                    self._host.checkpoint()
                    self._rotate_with_scripts(root, turning, log, details)
                    self._host.progress(details["files"], step.items, "items")
            finally:
                if trash is not None:
                    trash.finish()

    def _rotate_with_scripts(self, root: Root, turning: LogRenamer, log: LogTurn, details: dict[str, Any]) -> None:
        if not self.notifier.per_log:
            self._rotate_one(root, turning, log, details)
            return
        try:
            self.notifier.before(details, log.path)
        except StepError as failure:
            self._skipped.add(log.path, failure.message, problem=True)
            return
        self._rotate_one(root, turning, log, details)
        if log.fresh is not None:
            self._tell_of(log.path, details)

    def _rotate_one(self, root: Root, turning: LogRenamer, log: LogTurn, details: dict[str, Any]) -> None:
        try:
            place = root.descend(log.rel)
        except DirectoryRefusedError as refusal:
            self._skipped.add(log.path, refusal.why, problem=refusal.failed)
            return
        with place:
            try:
                with root.descend(log.aside) as aside:
                    self._turn(turning, place, aside, log)
            except DirectoryRefusedError as refusal:
                self._skipped.add(log.path, f"{root.name(log.aside)}: {refusal.why}", problem=True)
            except (RotationSkippedError, AttributesDifferError) as reason:
                self._skipped.add(
                    log.path, str(reason), problem=not isinstance(reason, RotationSkippedError) or reason.problem
                )
            except OSError as error:
                note_error(error, root, place, log.turn.log, self._skipped)
            finally:  # also when the disk is full
                if log.fresh is not None:
                    details["files"] += 1
                    details["bytes"] += log.seen.st_size
                    if len(details["rotated"]) < SAMPLE:
                        to = log.fresh if log.aside == log.rel else f"{self._work.config['olddir']}/{log.fresh}"
                        details["rotated"].append({"path": log.path, "to": to, "why": log.turn.why})

    def _turn(self, turning: LogRenamer, place: Place, aside: Place, log: LogTurn) -> None:
        *shifts, (name, planned) = log.turn.moves
        create = self._work.config["create"]
        like = None if create is None else _new_log(create)  # before anything is moved: it may fail
        for old, new in shifts:
            turning.move(aside, old, iter((new,)), log.rotated[old])
        names = islice(dropwhile(lambda new: new != planned, self._rules.names(name)), _NAMES_TRIED)
        if self._rules.copy_truncate:
            log.fresh = self._copy(turning, place, aside, log, names)
            return
        log.fresh = turning.move(place, name, names, log.seen, aside=aside)
        try:
            if like is not None:
                turning.make(place, name, log.fresh, like, aside=aside)
        except (OSError, AttributesDifferError):  # without a log its writers may have nothing to write to
            if turning.move_back(place, name, log.fresh, aside):
                log.fresh = None
            raise

    def _copy(self, turning: LogRenamer, place: Place, aside: Place, log: LogTurn, names: Iterator[str]) -> str:
        copy = turning.copy if self._work.config.get("copy") else turning.cut
        fresh, _ = copy(place, log.turn.log, names, log.seen, lambda _: self._host.checkpoint(), aside=aside)
        return fresh


def _new_log(create: Mapping[str, Any]) -> New:
    owner, group = create["owner"], create["group"]
    try:
        uid = find_account(owner).uid if owner else None
        return New(create["mode"], uid, group_id(group) if group else None)
    except LookupError as error:
        raise AttributesDifferError(f"the new log cannot be made: {error}") from None
