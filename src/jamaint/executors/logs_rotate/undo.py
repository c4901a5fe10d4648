"""Undo of a rotation: read from the trash what was done, and give the logs their names back.

What has been written to a new log since is never lost: it is kept beside, under the log's name with `.written-since`,
and told. Right also when the rotation or an earlier undo was killed at any call, and when it is called again.
"""

import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from jamaint.executors.logs_rotate.rename import COPIED, CUT, MADE, MOVED, Act, read_acts
from jamaint.executors.shared.executor import Taken
from jamaint.files.access import syscalls
from jamaint.files.access.file_copy import open_source, pieces, write_all
from jamaint.files.access.globs import TRASH
from jamaint.files.access.root import DirectoryRefusedError, Place, RootRefusedError, open_root
from jamaint.files.access.skip_report import Few, words
from jamaint.files.trash.recently_restored import Restored
from jamaint.files.trash.step_trash import ReopenedTrash
from jamaint.files.trash.trash import FORMED, GONE, TURNS
from jamaint.files.use.open_files import open_files

SINCE = ".written-since"
_CHUNK = 1 << 20
_NAMED = 20
LOOKS, LOOK_SECONDS = 10, 0.2
"""How often, and how far apart, it is looked whether the writers have let go of what they were told to."""


@dataclass(slots=True)
class RotationUndoResult:
    """What an undo did or would do."""

    restored: int = 0
    removed: int = 0
    kept: Few = field(default_factory=Few)
    problems: Few = field(default_factory=Few)
    tally: Restored = field(default_factory=Restored)

    def put_back(self, root: str, inode: int) -> None:
        """Counts a log that has its name or its content back: it is written to, which moves its times."""
        self.restored += 1
        self.tally.add(root, 1, [inode])

    @contextmanager
    def guarding(self, path: str) -> Iterator[None]:
        """Makes a problem of what the system refuses within the block, so that other roots go on."""
        try:
            yield
        except (DirectoryRefusedError, RootRefusedError) as refusal:
            self.problems.add(path, refusal.why)
        except OSError as error:
            self.problems.add(path, words(error))

    def details(self) -> dict[str, Any]:
        """{restored, removed, kept, problems}."""
        return {
            "restored": self.restored,
            "removed": self.removed,
            "kept": self.kept.items,
            "problems": self.problems.items,
        }


@dataclass(frozen=True, slots=True)
class Writers:
    """How those who write the logs are told that these have their names back; `can` when there is a way to."""

    can: bool
    tell: Callable[[Sequence[str]], None]
    """Gets the paths of these logs."""


def turn_back(
    way_back: Mapping[str, Any],
    dry_run: bool,
    checkpoint: Callable[[], None],
    writers: Writers,
    tally: Restored | None = None,
) -> dict[str, Any]:
    """Takes back a rotation: {restored, removed, kept, problems}. `way_back` is Step.undo: {trash, step, roots}.

    `tally` gets what is back in which root. A dry run changes nothing and gives the same figures. Raises TrashBusyError
    when the step's trash is in use.
    """
    outcome = RotationUndoResult(tally=tally or Restored())
    with ExitStack() as stack:
        backs: list[_RotationUndo] = []
        for entry in way_back["roots"]:
            try:
                root = stack.enter_context(open_root(entry["path"]))
                times = (int(entry["times"][0]), int(entry["times"][1]))
                left = ReopenedTrash(root, times, way_back["trash"], way_back["step"], dry_run)
            except RootRefusedError as refusal:
                outcome.problems.add(entry["path"], refusal.why)
                continue
            except OSError as error:
                outcome.problems.add(entry["path"], words(error))
                continue
            stack.callback(left.close)
            backs.append(_RotationUndo(left, dry_run, outcome))
            stack.callback(backs[-1].close)
            with outcome.guarding(entry["path"]):
                backs[-1].run(checkpoint)
        if not dry_run and (outcome.restored or any(back.emptied for back in backs)):
            writers.tell(sorted({path for back in backs for path in back.paths}))
        for back in backs:
            with outcome.guarding(back.path):
                back.settle(writers.can, checkpoint)
        return outcome.details()


def lost_journals(way_back: Mapping[str, Any], taken: Taken) -> Iterator[dict[str, str]]:
    """Yield a problem for each root whose journal of the rotation is gone, with the logs that were rotated there."""
    for entry in way_back["roots"]:
        path = entry["path"]
        if os.path.lexists(f"{path}/{TRASH}/{way_back['trash']}/{way_back['step']}/{TURNS}"):
            continue
        logs = [
            name if part.rel == "." else f"{part.rel}/{name}"
            for part in taken.parts((way_back["trash"], way_back["step"], path))
            for name, inode, size in zip(part.names, part.inodes, part.sizes, strict=True)
            if _was_rotated(f"{path}/{part.rel}/{name}", inode, size)
        ]
        if logs:
            what = "the trash has no record of this rotation any more, so that it cannot be taken back"
            yield {"path": path, "why": f"{what}: {', '.join(logs[:_NAMED])}"}


def _was_rotated(path: str, inode: int, size: int) -> bool:
    """True if a log is not the one any more that was to be rotated, or was cut."""
    try:
        seen = os.lstat(path)
    except OSError:
        return True
    return seen.st_ino != inode or seen.st_size < size


class _RotationUndo:
    """The undo of a rotation below one root. What a dry run would have moved is kept in mind, by name."""

    def __init__(self, left: ReopenedTrash, dry_run: bool, outcome: RotationUndoResult) -> None:
        self._left, self._dry_run, self._outcome = left, dry_run, outcome
        self._free: set[tuple[str, str]] = set()
        self._waiting: set[tuple[str, str]] = set()
        self._turns = -1
        self.paths: set[str] = set()
        """The logs whose rotation was taken back."""
        self.emptied: list[tuple[Act, os.stat_result]] = []
        """The making of each new log that was found empty, and how that log was."""

    @property
    def path(self) -> str:
        """The root."""
        return self._left.root.path

    def run(self, checkpoint: Callable[[], None]) -> None:
        """Takes back each act, the last first; one that could not be stays in the journal."""
        turns = self._left.part(TURNS)
        if turns is None:
            return
        self._turns = turns
        for act in reversed(read_acts(turns)):
            checkpoint()
            if self._take_back(act):
                self._forget(act)
                if act.kind in (MOVED, CUT):
                    self.paths.add(self._left.root.name(act.names[0], act.names[1]))

    def settle(self, told: bool, checkpoint: Callable[[], None]) -> None:
        """Lets go of the empty new logs that nobody writes to any more, and puts the others beside. Then all is back.

        `told`: whether the writers were told to let go of them, and may need a moment.
        """
        inodes = {(seen.st_dev, seen.st_ino) for _, seen in self.emptied}
        writers = _writers(inodes, told, self._dry_run, checkpoint) if inodes else {}
        for act, seen in self.emptied:
            self._settle(act, writers.get((seen.st_dev, seen.st_ino)), seen)
        if not self._dry_run:
            self._left.end(self._outcome.problems.add)

    def close(self) -> None:
        """Lets go of the journal."""
        if self._turns >= 0:
            os.close(self._turns)
            self._turns = -1

    def _settle(self, act: Act, writer: int | None, seen: os.stat_result) -> None:
        rel, name = act.names
        now = seen if self._dry_run else os.lstat(act.emptied, dir_fd=self._turns)
        if not now.st_size and writer is None:
            if not self._dry_run:
                os.unlink(act.emptied, dir_fd=self._turns)
            self._outcome.removed += 1
            self._forget(act)
            return
        why = f"it has what was written to {name} since" if writer is None else f"process {writer} still writes to it"
        try:
            with self._left.root.descend(rel) as place:
                self._set_aside(place, name, (self._turns, act.emptied), now, why)
        except DirectoryRefusedError as refusal:
            self._outcome.kept.add(
                self._left.root.name(rel, name), f"{why}; its directory cannot be used: {refusal.why}"
            )
        except OSError as error:
            self._outcome.problems.add(self._left.root.name(rel, name), words(error))
        else:
            self._forget(act)

    def _forget(self, act: Act) -> None:
        if not self._dry_run:
            for link in (act.truncated, act.refilled, act.link):
                with suppress(FileNotFoundError):
                    os.unlink(link, dir_fd=self._turns)

    def _take_back(self, act: Act) -> bool:
        rel, *names = act.names
        path = self._left.root.name(rel, names[0])
        if (rel, names[0]) in self._waiting:  # a later act on it could not be taken back, and has told why
            return False
        ways: dict[str, Callable[..., bool]] = {
            MOVED: self._move_back,
            MADE: self._remove,
            CUT: self._refill,
            COPIED: self._remove_copy,
        }
        try:
            with self._left.root.descend(rel) as place:
                if act.kind not in (MOVED, CUT):
                    return ways[act.kind](act, place, *names)
                name, new, *elsewhere = names
                with self._left.root.descend(elsewhere[0] if elsewhere else rel) as there:
                    return ways[act.kind](act, place, name, new, there)
        except DirectoryRefusedError as refusal:
            self._outcome.kept.add(path, f"its directory cannot be used: {refusal.why}")
        except OSError as error:
            self._outcome.problems.add(path, words(error))
        self._waiting.add((rel, names[0]))
        return False

    def _remove(self, act: Act, place: Place, name: str) -> bool:
        """Takes away a log that the rotation made, as long as it is empty; else it is in the way and moves.

        A writer may have it open, and write before it is told: so it is settled only after that.
        """
        seen, taken = _look(place, name), _look_at(act.emptied, self._turns)
        is_ours = seen is not None and seen.st_ino == act.figures[0]
        if taken is None and (seen is None or not is_ours or seen.st_size):
            return True
        if is_ours:
            self._free.add((place.rel, name))
            if not self._dry_run and taken is None:
                syscalls.rename_noreplace(name, act.emptied, src_dir_fd=place.fd, dst_dir_fd=self._turns)
            elif not self._dry_run:
                os.unlink(name, dir_fd=place.fd)  # killed between a link and an unlink that stand for a rename
        found = taken or seen
        assert found is not None
        self.emptied.append((act, found))
        return False

    def _remove_copy(self, act: Act, place: Place, name: str) -> bool:
        """Takes away a copy of a log that stayed as it was."""
        seen = self._rotated(place, name)
        if seen is None or seen.st_ino != act.figures[0]:
            return True  # killed before it had its name, or it is another's by now
        if seen.st_size != act.figures[1]:
            self._outcome.kept.add(self._left.root.name(place.rel, name), "it was written to since it was made")
            return False
        if not self._dry_run:
            os.unlink(name, dir_fd=place.fd)
        self._free.add((place.rel, name))
        self._outcome.removed += 1
        return True

    def _move_back(self, act: Act, place: Place, name: str, new: str, there: Place) -> bool:
        path = self._left.root.name(place.rel, name)
        rotated, here = self._rotated(there, new), self._look(place, name)
        if rotated is None or rotated.st_ino != act.figures[0]:
            if here is not None and here.st_ino == act.figures[0]:  # killed before the rename, or after the one back
                return True
            self._outcome.kept.add(path, f"{new} is not the file it was rotated to any more; nothing is put back")
            return False
        if here is not None and not stat.S_ISREG(here.st_mode):
            self._outcome.kept.add(path, f"something else is in its place; the log stays as {new}")
            return False
        if here is not None and os.path.samestat(here, rotated):
            # On some file systems a link and an unlink stand for a rename, and a kill may have come between.
            if not self._dry_run:
                os.unlink(new, dir_fd=there.fd)
        else:
            if here is not None:
                self._set_aside(place, name, (place.fd, name), here, f"it has what was written to {name} since")
            if not self._dry_run:
                syscalls.rename_noreplace(new, name, src_dir_fd=there.fd, dst_dir_fd=place.fd)
        self._free.add((there.rel, new))
        self._outcome.put_back(self.path, rotated.st_ino)
        return True

    def _set_aside(self, place: Place, name: str, at: tuple[int, str], seen: os.stat_result, why: str) -> None:
        """Gives what lies at (open directory, name) a free name beside a log."""
        number, beside = 0, name + SINCE
        while (there := _look(place, beside)) is not None and not os.path.samestat(there, seen):
            number += 1
            beside = f"{name}{SINCE}.{number}"
        if there is not None and not self._dry_run:
            os.unlink(at[1], dir_fd=at[0])  # killed between a link and an unlink
        elif not self._dry_run:
            syscalls.rename_noreplace(at[1], beside, src_dir_fd=at[0], dst_dir_fd=place.fd)
        self._outcome.kept.add(self._left.root.name(place.rel, beside), why)

    def _refill(self, act: Act, place: Place, name: str, copy: str, there: Place) -> bool:
        """Writes the copy back into a log that was truncated, if nothing has been written to it since."""
        path = self._left.root.name(place.rel, name)
        seen, copied = _look(place, name), self._rotated(there, copy)
        if copied is None or copied.st_ino != act.figures[1]:
            if seen is not None and seen.st_ino == act.figures[0] and seen.st_size:
                return True
            self._outcome.kept.add(path, f"{copy} is not the copy that was made of it any more; nothing is put back")
            return False
        if seen is None or seen.st_ino != act.figures[0]:
            self._outcome.kept.add(path, f"another file is in its place; what was in it stays as {copy}")
            return False
        if seen.st_size == 0 and not self._dry_run:
            self._note_refill(act)
        # Lines that are always the same could begin both: so what has been written down goes before what they hold.
        untouched = not self._is_marked(act.truncated) and seen.st_size >= copied.st_size
        ours = untouched or self._is_marked(act.refilled)
        if seen.st_size and not (ours and self._is_beginning((place, name), (there, copy))):
            self._outcome.kept.add(path, f"it has been written to since the rotation; what was in it stays as {copy}")
            return False
        if not self._dry_run:
            if not untouched and not self._append((place, name, seen), (there, copy, copied)):
                why = f"it was replaced while it was put back; nothing was written, what was in it stays as {copy}"
                self._outcome.kept.add(path, why)
                return False
            if os.lstat(copy, dir_fd=there.fd).st_ino == copied.st_ino:
                os.unlink(copy, dir_fd=there.fd)
        self._outcome.put_back(self.path, seen.st_ino)
        return True

    def _note_refill(self, act: Act) -> None:
        """From now on what is in the log may be the half of an undo that was killed."""
        with suppress(FileExistsError):
            os.symlink("refilled", act.refilled, dir_fd=self._turns)

    def _is_marked(self, link: str) -> bool:
        try:
            os.lstat(link, dir_fd=self._turns)
        except FileNotFoundError:
            return False
        return True

    def _is_beginning(self, log: tuple[Place, str], copy: tuple[Place, str]) -> bool:
        """Whether the shorter of the two is how the longer one begins: so it was not truncated, or is refilled."""
        first = open_source(log[1], log[0].fd)
        try:
            second = open_source(copy[1], copy[0].fd)
            try:
                left = min(os.fstat(first).st_size, os.fstat(second).st_size)
                while left > 0:
                    count = min(_CHUNK, left)
                    if os.read(first, count) != os.read(second, count):
                        return False
                    left -= count
                return True
            finally:
                os.close(second)
        finally:
            os.close(first)

    def _append(
        self, log_seen: tuple[Place, str, os.stat_result], copy_seen: tuple[Place, str, os.stat_result]
    ) -> bool:
        """Writes the rest of the copy to the log, as both were looked at; false where one is another file by now.

        What was opened is checked, and nothing is done by name: whoever may write in the directory could link another
        file of theirs, or of somebody who trusts them, into the place of the log.
        """
        at = log_seen[2].st_size
        source = open_source(copy_seen[1], copy_seen[0].fd)
        try:
            flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            log = os.open(log_seen[1], flags, dir_fd=log_seen[0].fd)
        except BaseException:
            os.close(source)
            raise
        try:
            if not _is_same(os.fstat(source), copy_seen[2]) or not _is_same(os.fstat(log), log_seen[2]):
                return False
            for start, end in _with_small_holes(source, at):
                if start > at:  # a hole is longer than any line that somebody writes at this moment: it cuts off none
                    os.ftruncate(log, os.fstat(log).st_size + start - at)
                os.lseek(source, start, os.SEEK_SET)
                at = start
                while at < end and (chunk := os.read(source, min(_CHUNK, end - at))):
                    write_all(log, chunk)  # where a writer comes in between, its line stays too
                    at += len(chunk)
            seen = os.fstat(source)
            os.utime(log, ns=(seen.st_atime_ns, seen.st_mtime_ns))
            os.fsync(log)
            return True
        finally:
            os.close(log)
            os.close(source)

    def _rotated(self, place: Place, name: str) -> os.stat_result | None:
        """A rotated log; in a dry run also one that the undo of a later step would put back before this."""
        return self._of_later(GONE, place, name) or self._look(place, name)

    def _look(self, place: Place, name: str) -> os.stat_result | None:
        """What stands there; in a dry run without what would be gone by now."""
        seen = None if (place.rel, name) in self._free else _look(place, name)
        made = self._of_later(FORMED, place, name) if seen is not None else None
        return None if seen is not None and made is not None and os.path.samestat(seen, made) else seen

    def _of_later(self, kind: str, place: Place, name: str) -> os.stat_result | None:
        """In a dry run: what a later step of this execution has taken from there, or made there."""
        if self._dry_run and self._left.step >= 0:
            for step in os.listdir(f"/proc/self/fd/{self._left.step}/.."):
                with suppress(FileNotFoundError, NotADirectoryError):
                    return os.lstat(f"../{step}/{kind}/{place.rel}/{name}", dir_fd=self._left.step)
        return None


def _is_same(opened: os.stat_result, seen: os.stat_result) -> bool:
    """True if an open file is the one that was looked at, with as many names, and a regular file."""
    return stat.S_ISREG(opened.st_mode) and os.path.samestat(opened, seen) and opened.st_nlink == seen.st_nlink


def _with_small_holes(source: int, at: int) -> Iterator[tuple[int, int]]:
    """Where the data of an open file is from `at` on, and its end; holes of less than a chunk are taken for data."""
    size = os.fstat(source).st_size
    first, last = at, at
    for start, end in pieces(source, size):
        if end <= at:
            continue
        if start - last >= _CHUNK:
            yield first, last
            first = start
        last = end
    if size - last < _CHUNK:
        yield first, size
    else:
        yield first, last
        yield size, size


def _look(place: Place, name: str) -> os.stat_result | None:
    return _look_at(name, place.fd)


def _look_at(name: str, fd: int) -> os.stat_result | None:
    try:
        return os.lstat(name, dir_fd=fd)
    except FileNotFoundError:
        return None


def _writers(
    inodes: set[tuple[int, int]], told: bool, dry_run: bool, checkpoint: Callable[[], None]
) -> Mapping[tuple[int, int], int]:
    """The processes that write to one of these; in a dry run those who will be told will have let go."""
    return {} if dry_run and told else writers_of(inodes, told, checkpoint)


def writers_of(
    inodes: set[tuple[int, int]], told: bool, checkpoint: Callable[[], None]
) -> Mapping[tuple[int, int], int]:
    """The processes that write to one of these files now, by the file; who was told is given the time to let go."""
    writers = open_files().writers
    for _ in range(LOOKS if told else 0):
        if not inodes & writers.keys():
            break
        checkpoint()
        time.sleep(LOOK_SECONDS)
        writers = open_files().writers
    return writers
