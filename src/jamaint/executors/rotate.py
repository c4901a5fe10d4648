"""logs.rotate: gives logs another name, makes new ones, tells their writers, and compresses and expires the rotated."""

import errno
import os
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import dropwhile, islice
from typing import Any

from jamaint.core.logs import span
from jamaint.core.mass_deletion import refusals, to_json
from jamaint.core.plans import Plan, Step
from jamaint.core.rotation import COMPRESSION, EXPIRY, ROTATION, LogSeen, Rotated, RotationRules, Turn, decide
from jamaint.executors.executor import Host, StepFailed, Stopped, Work
from jamaint.executors.scripts import run_script, script_account
from jamaint.executors.unknown_use import refused_if_use_unknown
from jamaint.host import syscalls
from jamaint.host.accounts import find_account, group_id
from jamaint.host.attributes import NotTheSame
from jamaint.host.compression import Codec, codec
from jamaint.host.globs import Globs, split_root
from jamaint.host.leaving import Leaving, Telling
from jamaint.host.logrotate import keeping_out, rotated_by_it
from jamaint.host.openfiles import OpenFiles, open_files
from jamaint.host.purge import purge
from jamaint.host.replacing import Packing
from jamaint.host.restore import undo
from jamaint.host.rights import acting_as, own_rights
from jamaint.host.roots import NotEntered, Place, Root, RootRefused
from jamaint.host.sightings import sightings
from jamaint.host.skipped import Skipped, words
from jamaint.host.survey import SAMPLE, Found, Survey, free_bytes, survey
from jamaint.host.taking import DiskStopped, held_by, note_error
from jamaint.host.trash import Busy, Trash
from jamaint.host.trees import Batches
from jamaint.host.turning import New, NotTurned, Turning
from jamaint.host.turning_back import LOOK_SECONDS, LOOKS, Writers, turn_back
from jamaint.host.writers import NotSignalled, signal_writer

_NAMES_TRIED = 100
_HIDDEN = (
    "the open files of other users' processes cannot be seen with these rights: what is rotated now is compressed at "
    "the next rotation, when nobody writes to it any more"
)


@dataclass(slots=True)
class _Log:
    """One log of a root, with what is to become of it and of those rotated before, by the names they have now."""

    found: Found
    rel: str
    seen: os.stat_result
    turn: Turn
    rotated: Mapping[str, os.stat_result]
    fresh: str | None = None
    """The name it got."""

    @property
    def happens(self) -> bool:
        """Whether what was planned for those rotated before still holds: not when it was to be rotated and was not."""
        return self.fresh is not None or not self.turn.due

    def judged(self, name: str) -> os.stat_result:
        """How a rotated log was, by the name that it has after the moves."""
        before = {new: old for old, new in self.turn.moves}
        return self.rotated[before.get(name, name)]


@dataclass(slots=True)
class _Listing:
    """What is in one directory of a root: logs and rotated ones, by name; `alike` are meant as logs, and named as the
    rotated are."""

    logs: dict[str, os.stat_result] = field(default_factory=dict)
    others: dict[str, os.stat_result] = field(default_factory=dict)
    alike: list[str] = field(default_factory=list)


class LogsRotate:
    """The executor of logs.rotate; executors/executor.py says what each method promises."""

    def __init__(self, work: Work, host: Host) -> None:
        self._work, self._host = work, host
        self._rules = RotationRules.of(work.config, work.now)
        self._codec: Codec | None = None
        self._logs: list[_Log] | None = None
        self._survey = Survey((), ())
        self._skipped = Skipped()
        self._told = False

    @refused_if_use_unknown()
    def plan(self) -> Plan:
        """See Executor. StepFailed is unsafe when every root is."""
        held = open_files()
        found = self._look(held)
        warnings = [refusal.why for refusal in found.refused]
        if found.refused and not found.found and all(refusal.kind == "unsafe" for refusal in found.refused):
            raise StepFailed("; ".join(warnings), kind="unsafe")
        roots = sightings(found, self._of_rotated, self._work.now)
        refused = refusals(roots, self._work.seen, self._work.mass_deletion, "rotated logs")
        if self._rules.compress:
            self._codec, warning = codec(self._work.config["compress"]["algorithm"])
            warnings += [warning] if warning else []
        if held.hidden and self._rules.compress and not self._rules.delay:
            self._rules = replace(self._rules, delay=True)
            warnings.append(_HIDDEN)
        warnings += self._others()
        steps = [self._plan_step(name, found.found) for name in self._rules.steps]
        warnings += [f"{item['path']} is left alone: {item['why']}" for item in self._skipped.problems]
        return Plan(tuple(steps), tuple(warnings), refused, tuple(map(to_json, roots)))

    @refused_if_use_unknown()
    def run(self, step: Step) -> dict[str, Any]:
        """See Executor. A step in which some logs could not be dealt with is done; `problems` has them."""
        if self._logs is None:  # another worker has planned
            self.plan()
        details = self._rotate(step) if step.name == ROTATION else self._leave(step)
        for item in details["problems"]:
            self._host.log("warning", f"{item['path']} is left alone: {item['why']}")
        if details["problems"] and not details["files"]:
            first = details["problems"][0]
            raise StepFailed(f"nothing could be done: {first['path']}: {first['why']}", details=details)
        return details

    @refused_if_use_unknown()
    def undo(self, step: Step, dry_run: bool) -> dict[str, Any]:
        """See Executor. Once the names are back, the writers are told to open their logs again."""
        if step.undo is None:
            return {"restored": 0, "removed": 0, "kept": [], "problems": []}
        if step.name != ROTATION:
            return self._in_trash(lambda way, told: undo(way, dry_run, self._host.checkpoint, told), step)
        failures: list[str] = []

        def tell() -> None:
            try:
                self._tell_writers({})
            except StepFailed as failed:
                failures.append(failed.message)

        writers = Writers(bool(self._work.config["postrotate"] or self._work.config["signal"]), tell)
        outcome = self._in_trash(lambda way, _: turn_back(way, dry_run, self._host.checkpoint, writers), step)
        outcome["problems"] += [{"path": self._work.task_name, "why": why} for why in failures]
        return outcome

    def purge(self, step: Step) -> dict[str, Any]:
        """See Executor. freed_space is what the disk got back, in bytes."""
        if step.undo is None:
            return {"freed_space": 0, "items": 0, "problems": []}
        return self._in_trash(lambda way, told: purge(way, self._host.checkpoint, told), step)

    def _in_trash(
        self, act: Callable[[Mapping[str, Any], Callable[[int], None]], dict[str, Any]], step: Step
    ) -> dict[str, Any]:
        try:
            return act(step.undo or {}, lambda done: self._host.progress(done, step.items, "items"))
        except Busy as busy:
            raise StepFailed(str(busy), kind="refused") from None
        except OSError as error:
            raise StepFailed(words(error)) from error

    # looking

    def _look(self, held: OpenFiles) -> Survey:
        """Looks through the directories once and decides for each log."""
        self._skipped = Skipped()
        config, listings = self._work.config, dict[tuple[str, str], _Listing]()
        meant = _Meant(config["log_paths"])

        def sort(root: Root, rel: str, name: str, seen: os.stat_result) -> str:
            if (seen.st_dev, seen.st_ino) in held.kernel:
                self._skipped.add(root.name(rel, name), held_by(-held.kernel[seen.st_dev, seen.st_ino]))
                return ""
            listing = listings.setdefault((root.path, rel), _Listing())
            is_meant, is_rotated = meant(root.path, rel, name), self._rules.read(name) is not None
            (listing.logs if is_meant and not is_rotated else listing.others)[name] = seen
            if is_meant and is_rotated:
                listing.alike.append(name)
            return ""

        patterns = [pattern + ending for pattern in config["log_paths"] for ending in ("", "?*")]
        self._survey = survey(
            patterns,
            config["exclude"],
            sort=sort,
            held=held,
            skipped=self._skipped,
            checkpoint=self._host.checkpoint,
        )
        self._logs = [
            log
            for found in self._survey.found
            for (path, rel), listing in sorted(listings.items())
            if path == found.path
            for log in self._decide(found, rel, listing)
        ]
        return self._survey

    def _decide(self, found: Found, rel: str, listing: _Listing) -> Iterator[_Log]:
        rotated: dict[str, list[Rotated]] = {}
        for name, seen in listing.others.items():
            stamp = self._rules.read(name)
            if stamp is not None and stamp.base in listing.logs:
                one = Rotated(name, stamp, seen.st_size, seen.st_mtime_ns, seen.st_nlink)
                rotated.setdefault(stamp.base, []).append(one)
            elif stamp is not None and name in listing.alike:
                why = f"it is named as a rotated log of {stamp.base} is, and there is no such log"
                self._skipped.add(_join(found, rel, name), why)
        if not listing.logs:
            return
        try:
            with found.reopen() as root, root.descend(rel) as place:
                for name, seen in sorted(listing.logs.items()):
                    log = LogSeen(name, seen.st_size, seen.st_nlink, _born(name, place))
                    try:
                        turn = decide(log, rotated.get(name, ()), lambda other: _stands(other, place), self._rules)
                    except OSError as error:
                        self._skipped.add(root.name(rel, name), words(error), problem=True)
                        continue
                    stats = {one.name: listing.others[one.name] for one in rotated.get(name, ())}
                    if not turn.due:
                        self._skipped.add(root.name(rel, name), turn.why)
                    for left, why in turn.left:
                        self._skipped.add(root.name(rel, left), why)
                    yield _Log(found, rel, seen, turn, stats)
        except (NotEntered, RootRefused) as refusal:
            self._skipped.add(found.path, refusal.why, problem=True)

    def _of_rotated(self, root: Found) -> tuple[int, int]:
        """How many rotated logs a root has, and how many of them would be removed.

        One that goes for a new one of the same log does not count: with a small `keep` that is a large share each time.
        """
        mine = [log for log in self._logs or () if log.found is root]
        removed = [len(log.turn.expire) for log in mine if len(log.turn.expire) > log.turn.due]
        return sum(len(log.rotated) for log in mine), sum(removed)

    def _others(self) -> list[str]:
        """Warnings of logs that logrotate rotates too."""
        day = self._work.now - timedelta(days=7)
        theirs = rotated_by_it((day.year, day.month, day.day))
        mine = [_path(log) for log in self._logs or ()]
        return [f"logrotate rotates {path} too: take it out of one of the two" for path in mine if path in theirs]

    # planning

    def _plan_step(self, name: str, found: Sequence[Found]) -> Step:
        work = [(path, seen) for path, seen in self._work_of(name)]
        direct = self._direct(found, name)
        roots = [{"path": root.path, "times": root.times} for root in found if root.path not in direct]
        says = [self._says(name, len(work))]
        if roots and name == ROTATION:
            says.append("The names can be put back until the rollback point is purged.")
        elif roots:
            says.append("What goes is kept in the trash: it can be put back until the trash is emptied, and takes its")
            says.append("space until then.")
        says += [f"{why}: there it cannot be put back." for why in sorted(set(direct.values()))]
        sample = [
            {"path": path, "bytes": seen.st_size, "age_seconds": self._work.now.timestamp() - seen.st_mtime}
            for path, seen in islice(work, SAMPLE)
        ]
        undo_ = {"trash": self._work.execution, "step": name, "roots": roots} if roots else None
        size = sum(seen.st_size for _, seen in work)
        return Step(name, " ".join(says), {"direct": direct}, undo_, len(work), size, tuple(sample))

    def _work_of(self, name: str) -> Iterator[tuple[str, os.stat_result]]:
        """The files of a step as planned, by the names they have now."""
        for log in self._logs or ():
            before = {new: old for old, new in log.turn.moves}
            if name == ROTATION and log.turn.due:
                yield _path(log), log.seen
            if name == COMPRESSION and log.turn.compress_fresh:
                yield _path(log), log.seen
            for after in {COMPRESSION: log.turn.compress, EXPIRY: log.turn.expire}.get(name, ()):
                yield _path(log, before.get(after, after)), log.judged(after)

    def _says(self, name: str, count: int) -> str:
        config, logs = self._work.config, "1 log" if count == 1 else f"{count} logs"
        rotated = logs.replace(" ", " rotated ")
        if name == COMPRESSION:
            return f"Compress {rotated} to {self._codec.suffix if self._codec else ''}."
        if name == EXPIRY:
            age = self._rules.max_age_seconds
            older = f", or last written more than {span(age)} ago" if age is not None else ""
            return f"Delete {rotated}: beyond the {self._rules.keep} that are kept of each log{older}."
        if self._rules.copy_truncate:
            does = f"Copy {logs} and truncate them; what is written in between is lost."
        else:
            does = f"Rotate {logs}" + (" and make new ones." if config["create"] is not None else ".")
        return " ".join((does, *(f"{told}." for told in self._tells() if count)))

    def _tells(self) -> Iterator[str]:
        config = self._work.config
        user = (config.get("scripts") or {}).get("user")
        rights = f" as {user}" if user else ""
        for key in ("prerotate", "postrotate"):
            if config[key]:
                yield f"{'Before' if key == 'prerotate' else 'Then'} run{rights}: {shlex.join(config[key])}"
        if config["signal"]:
            yield f"Then send SIG{config['signal']['signal']} to the process of {config['signal']['pid_file']}"

    def _direct(self, found: Sequence[Found], name: str) -> dict[str, str]:
        """Roots in which a step leaves no way back, and why. A rotation's takes no room worth speaking of."""
        if not self._work.keeps_way_back:
            return {root.path: "The task keeps no way back" for root in found}
        floor = self._work.low_space
        return {
            root.path: f"Only {root.free_share:.1%} of the disk of {root.path} is free (the limit is {floor:.1%})"
            for root in found
            if root.free_share < floor and name != ROTATION
        }

    # rotating

    def _rotate(self, step: Step) -> dict[str, Any]:
        logs = [log for log in self._logs or () if log.turn.due]
        details: dict[str, Any] = {"files": 0, "bytes": 0, "freed_space": 0, "freed_on_purge": 0, "rotated": []}
        details["free_bytes_before"] = free_bytes(self._survey.found)
        try:
            if logs:
                with keeping_out() as alone:
                    if not alone:
                        raise StepFailed("logrotate is at work now: nothing was rotated", "refused")
                    self._rotate_all(step, logs, details)
        except (DiskStopped, Busy) as reason:
            raise StepFailed(str(reason), details={**details, **self._skipped.details()}) from None
        except Stopped:
            raise Stopped({**details, **self._skipped.details()}) from None
        details["free_bytes_after"] = free_bytes(self._survey.found)
        return {**details, **self._skipped.details()}

    def _rotate_all(self, step: Step, logs: Sequence[_Log], details: dict[str, Any]) -> None:
        self._run_script("prerotate", details)
        try:
            for found in self._survey.found:
                mine = [log for log in logs if log.found is found]
                if mine:
                    try:
                        self._rotate_below(found, mine, step, details)
                    except RootRefused as refusal:
                        self._skipped.add(found.path, refusal.why, problem=True)
        finally:
            if details["files"]:  # also when it is stopped half-way: those that were rotated have a new file
                self._tell_writers(details)

    def _rotate_below(self, found: Found, logs: Sequence[_Log], step: Step, details: dict[str, Any]) -> None:
        kept = {entry["path"] for entry in (step.undo or {"roots": ()})["roots"]}
        with found.reopen() as root:
            trash = Trash(root, self._work.execution, step.name) if found.path in kept else None
            turning = Turning(root, trash)
            try:
                for log in logs:
                    self._host.checkpoint()
                    self._rotate_one(root, turning, log, details)
                    self._host.progress(details["files"], step.items, "items")
            finally:
                if trash is not None:
                    trash.finish()

    def _rotate_one(self, root: Root, turning: Turning, log: _Log, details: dict[str, Any]) -> None:
        name = log.turn.log
        path = root.name(log.rel, name)
        try:
            place = root.descend(log.rel)
        except NotEntered as refusal:
            self._skipped.add(path, refusal.why, problem=refusal.failed)
            return
        with place:
            try:
                self._turn(turning, place, log)
            except (NotTurned, NotTheSame) as reason:
                self._skipped.add(path, str(reason), problem=not isinstance(reason, NotTurned) or reason.problem)
            except OSError as error:
                note_error(error, root, place, name, self._skipped)
            finally:  # also when the disk is full
                if log.fresh is not None:
                    details["files"] += 1
                    details["bytes"] += log.seen.st_size
                    if len(details["rotated"]) < SAMPLE:
                        details["rotated"].append({"path": path, "to": log.fresh, "why": log.turn.why})

    def _turn(self, turning: Turning, place: Place, log: _Log) -> None:
        *shifts, (name, planned) = log.turn.moves
        create = self._work.config["create"]
        like = None if create is None else self._new(create)  # before anything is moved: it may fail
        for old, new in shifts:
            turning.move(place, old, iter((new,)), log.rotated[old])
        names = islice(dropwhile(lambda new: new != planned, self._rules.names(name)), _NAMES_TRIED)
        if self._rules.copy_truncate:
            log.fresh, _ = turning.cut(place, name, names, log.seen, lambda _: self._host.checkpoint())
            return
        log.fresh = turning.move(place, name, names, log.seen)
        try:
            if like is not None:
                turning.make(place, name, log.fresh, like)
        except (OSError, NotTheSame):  # without a log its writers may have nothing to write to
            if turning.move_back(place, name, log.fresh):
                log.fresh = None
            raise

    def _new(self, create: Mapping[str, Any]) -> New:
        owner, group = create["owner"], create["group"]
        try:
            uid = find_account(owner).uid if owner else None
            return New(create["mode"], uid, group_id(group) if group else None)
        except LookupError as error:
            raise NotTheSame(f"the new log cannot be made: {error}") from None

    def _tell_writers(self, details: dict[str, Any]) -> None:
        self._run_script("postrotate", details)
        told = self._work.config["signal"]
        if told:
            try:
                with own_rights(), acting_as(script_account(self._work.config)):
                    pid = signal_writer(told["pid_file"], told["signal"])
            except (NotSignalled, LookupError, PermissionError) as reason:
                raise StepFailed(
                    f"the writers were not told that their logs were rotated: {reason}", details=details
                ) from None
            self._host.log("info", f"sent SIG{told['signal']} to process {pid}")
            self._told = True

    def _run_script(self, key: str, details: Mapping[str, Any]) -> None:
        self._told |= run_script(key, self._work, self._host, details)

    # compressing and expiring

    def _leave(self, step: Step) -> dict[str, Any]:
        self._gather(step.name)
        if not any(found.count(step.name) for found in self._survey.found):
            return {**dict.fromkeys(("files", "bytes", "freed_space", "freed_on_purge"), 0), **Skipped().details()}
        telling = Telling(self._host.checkpoint, self._host.progress, self._host.portion)
        leaving = Leaving(step.name, self._survey.found, step.undo, telling)
        try:
            with leaving:
                if step.name == EXPIRY:
                    leaving.delete()
                else:
                    assert self._codec is not None
                    self._host.log("info", f"compressing to {self._codec.suffix} with {self._codec.library}")
                    leaving.replace(Packing(self._codec))
        except Stopped:
            raise Stopped(leaving.details()) from None
        except (DiskStopped, Busy) as reason:
            raise StepFailed(str(reason), details=leaving.details()) from None
        except OSError as error:
            raise StepFailed(words(error), details=leaving.details()) from error
        return leaving.details()

    def _gather(self, name: str) -> None:
        """Gives the roots the files of this step, by the names they have after the rotation."""
        logs = [log for log in self._logs or () if log.happens]
        fresh = self._fresh(logs) if name == COMPRESSION else {}
        for found in self._survey.found:
            found.work[name] = batches = Batches()
            for log in logs:
                if log.found is not found:
                    continue
                for after in log.turn.compress if name == COMPRESSION else log.turn.expire:
                    batches.add(log.rel, after, log.judged(after))
                if id(log) in fresh and log.fresh is not None:
                    batches.add(log.rel, log.fresh, fresh[id(log)])

    def _fresh(self, logs: Sequence[_Log]) -> dict[int, os.stat_result]:
        """How those are that were rotated just now and are to be compressed at once, when their writers have let go."""
        wanted = [log for log in logs if log.fresh is not None and log.turn.compress_fresh and not self._rules.delay]
        inodes = {(log.seen.st_dev, log.seen.st_ino) for log in wanted}
        for _ in range(LOOKS if self._told and inodes else 0):
            if not inodes & open_files().writers.keys():
                break
            self._host.checkpoint()
            time.sleep(LOOK_SECONDS)
        found = {}
        for log in wanted:
            try:
                with log.found.reopen() as root, root.descend(log.rel) as place:
                    found[id(log)] = os.lstat(log.fresh or "", dir_fd=place.fd)
            except (OSError, NotEntered, RootRefused):  # gone, and nothing to be compressed
                continue
        return found


class _Meant:
    """Whether a name is one that `log_paths` mean, without what may hang on it."""

    def __init__(self, patterns: Sequence[str]) -> None:
        rests: dict[str, list[str]] = {}
        for pattern in patterns:
            path, rest = split_root(pattern)
            rests.setdefault(path, []).append(rest)
        self._globs = {path: Globs(found) for path, found in rests.items()}

    def __call__(self, root: str, rel: str, name: str) -> bool:
        globs = self._globs[root]
        states = globs.start if rel == "." else globs.below(rel)[0]
        return bool(globs.files(states)(name))


def _path(log: _Log, name: str | None = None) -> str:
    return _join(log.found, log.rel, name or log.turn.log)


def _join(found: Found, rel: str, name: str) -> str:
    return f"{found.path}/{name}" if rel == "." else f"{found.path}/{rel}/{name}"


def _born(name: str, place: Place) -> int | None:
    try:
        return syscalls.born(name, place.fd)
    except OSError:
        return None


def _stands(name: str, place: Place) -> bool:
    try:
        os.lstat(name, dir_fd=place.fd)
        return True
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return False  # that it is too long is told when the log would get it
