"""The trash of one step, reopened by another process: its journal is read, and at last it is cleared away."""

import errno
import os
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from jamaint.files.access.directory_cursor import Descent
from jamaint.files.access.globs import TRASH
from jamaint.files.access.root import DirectoryRefusedError, Place, Root, RootRefusedError
from jamaint.files.access.skip_report import words
from jamaint.files.access.traversal import traverse, visit
from jamaint.files.rights.borrowed import raised
from jamaint.files.trash.directory_records import MADE, SETTLED, TOUCHED, Records
from jamaint.files.trash.moved_directories import WHOLES
from jamaint.files.trash.removal import HALF_DIRECTORY, HALF_FILE
from jamaint.files.trash.shards import LOOSE
from jamaint.files.trash.trash import ENDED, FORMED, GONE, MARKS, TIMES, TURNS, lock, open_private
from jamaint.host.accounts import user_name

_UNDOING = "undoing"
"""What ENDED is called from the moment an undo changes something: later times of directories are its own then."""


class ReopenedTrash:
    """What is there of one step's trash below one root; `step` is -1 when it has none.

    `planned` are the root's times from the plan, for the two moments in which the trash cannot hold them: right after
    it was made and right before it is gone.
    """

    def __init__(self, root: Root, planned: tuple[int, int], execution: str, step: str, dry_run: bool) -> None:
        self.root = root
        self.step = -1
        self.records = Records(-1)
        self._planned, self._names, self._dry_run = planned, (TRASH, execution, step), dry_run
        self._fds: list[int] = []
        # A time no directory has, set on the root right before its last change: who finds it knows what is to do.
        self._sentinel = (86400 + zlib.crc32(f"{execution}/{step}".encode()) % 10**8) * 10**9
        try:
            self._open()
            self._root_times = self._times_of_root()
            if self.step >= 0 and not dry_run:
                self._learn_later_times()
        except BaseException:
            self.close()
            raise

    def part(self, kind: str) -> int | None:
        """Opens one part of the step's trash (gone, made, marks); None when there is none."""
        return open_private(self.step, kind, self.root) if self.step >= 0 else None

    def new_owner(self, place: Place) -> str | None:
        """Return who has got a directory, or one on the way to it, since the step changed it; None for nobody.

        In a shared root anybody may make a directory of a name that was another's: what was in that one is not his,
        and what he had taken from him does not go to others.
        """
        names = place.rel.split("/")
        for depth, seen in enumerate(place.stats if self.root.shared and place.rel != "." else (), 1):
            rel = "/".join(names[:depth])
            known = self.records.of.get(rel)
            if known is not None and known.uid != seen.st_uid:
                return (
                    f"{self.root.name(rel)} belongs to {user_name(seen.st_uid)} now, and belonged to "
                    f"{user_name(known.uid)}: move it away, or give it back, and roll back again"
                )
        return None

    def end(self, problem: Callable[[str, str], None]) -> None:
        """Gives the directories their times back and, when all is back in its place, removes the trash.

        The records stay as long as one of the times could not be set: the next undo goes by them again.
        """
        failed: list[str] = []

        def tell(path: str, why: str) -> None:
            failed.append(path)
            problem(path, why)

        try:
            self._end_directories(tell, problem)
        except OSError as error:
            tell(self.root.path, f"the times of what is in it: {words(error)}")
        if self.step >= 0 and (failed or not self._clear_step(tell)):
            self._set_root_times(tell)
            self._note_settled(frozenset(failed))
            return
        if self._fds:
            os.fsync(self.root.fd)
        parents = [self.root.fd, *self._fds]
        for depth in range(len(self._fds) - 1, -1, -1):
            remove_empty(self._names[depth], parents[depth], self.root, tell)
        self._set_root_times(tell)

    def _end_directories(self, tell: Callable[[str, str], None], problem: Callable[[str, str], None]) -> None:
        self._remove_directories(tell)
        touched = [rel for rel, record in self.records.of.items() if record.kind == TOUCHED and rel != "."]
        for rel, fd in visit(self.root, touched):
            self._set_times(rel, fd, tell, problem)
        for rel, fd in visit(self.root, touched):  # in a pass of its own: the first makes most others durable too
            if not isinstance(fd, DirectoryRefusedError):
                self._sync(rel, fd, tell)

    def close(self) -> None:
        """Lets go of it."""
        for fd in (*self._fds, self.records.fd):
            if fd >= 0:
                os.close(fd)
        self._fds, self.step, self.records.fd = [], -1, -1

    def _open(self) -> None:
        parent = self.root.fd
        for name in self._names:
            fd = open_private(parent, name, self.root)
            if fd is None:
                return
            self._fds.append(fd)
            parent = fd
        self.step = parent
        if not self._dry_run:
            lock(self.step)
        times = self.part(TIMES)
        if times is not None:
            self.records.fd = times
            self.records = Records.read(times)

    def _times_of_root(self) -> tuple[int, int] | None:
        """The times that the root had before the step; None when the step has not touched it."""
        known = self.records.of.get(".")
        if known is not None:
            return known.times
        now = os.fstat(self.root.fd)
        if now.st_atime_ns == self._sentinel:  # an undo was killed while it removed the trash
            return self._planned[0], now.st_mtime_ns if self._fds else self._planned[1]
        # The step may have been killed right after it had made the trash; a trash of others tells that it had not.
        ours = zip(self._fds, self._names[1:], strict=False)
        if self._fds and all(set(os.listdir(fd)) <= {name} for fd, name in ours):
            return self._planned
        return None

    def _learn_later_times(self) -> None:
        """Takes a directory's time of now for its own, where somebody else has changed it since the step ended.

        But not where what they did was to remove a directory that the undo will make again.
        """
        ended, over = self._ended(), self._time_of(_UNDOING)
        over = ended if over is None else over
        later: dict[str, tuple[int, int]] = {}
        bereft: set[str] = set()
        for rel, fd in visit(self.root, self.records.of):
            if not isinstance(fd, DirectoryRefusedError) and self._is_strangers(rel, fd):
                continue
            if isinstance(fd, DirectoryRefusedError):
                if fd.missing:
                    bereft.add(rel.rpartition("/")[0] or ".")
                continue
            now, record = os.fstat(fd), self.records.of[rel]
            # Set back: by an undo of an earlier step, though this one was to come first. What our own undo, cut short,
            # changes gets the time at which it works, which is later than the end of the step.
            set_back = over is not None and now.st_mtime_ns < min(over, record.mtime)
            changed = set_back or (ended is not None and now.st_mtime_ns > ended)
            if record.kind == SETTLED or (record.kind == TOUCHED and changed):
                later[rel] = now.st_atime_ns, now.st_mtime_ns
        for rel in bereft & later.keys():
            later[rel] = self.records.of[rel].times
        for rel, times in later.items():
            self.records.change(self.records.of[rel], TOUCHED, times)
        if "." in self.records.of:
            self._root_times = self.records.of["."].times
        if ended is not None:
            os.rename(ENDED, _UNDOING, src_dir_fd=self.step, dst_dir_fd=self.step)

    def _ended(self) -> int | None:
        """When the last step of the execution ended, which may have changed the same directories; None where this one
        was killed, or an undo has learnt the later times before."""
        ended = self._time_of(ENDED)
        if ended is None:
            return None
        execution = self._fds[1]
        for step in os.listdir(execution):
            for name in (ENDED, _UNDOING):
                with suppress(FileNotFoundError, NotADirectoryError):
                    ended = max(ended, os.lstat(f"{step}/{name}", dir_fd=execution).st_mtime_ns)
        return ended

    def _time_of(self, name: str) -> int | None:
        try:
            return os.lstat(name, dir_fd=self.step).st_mtime_ns
        except FileNotFoundError:
            return None

    def _note_settled(self, failed: frozenset[str]) -> None:
        """An undo of an earlier step, or somebody else, may give them other times before the next undo."""
        for rel, record in list(self.records.of.items()):
            unknown = self.root.path in failed and rel != "."
            if record.kind == TOUCHED and not unknown and self.root.name(rel) not in failed:
                self.records.change(record, SETTLED, record.times)

    def _remove_directories(self, tell: Callable[[str, str], None]) -> None:
        for record in sorted(self.records.of.values(), key=lambda record: -record.number):
            if record.kind == MADE:
                above, _, name = record.rel.rpartition("/")
                try:
                    with self.root.descend(above or ".") as parent:
                        remove_empty(name, parent.fd, self.root, tell)
                except DirectoryRefusedError as refusal:
                    if refusal.failed:
                        tell(self.root.name(record.rel), refusal.why)

    def _set_times(
        self,
        rel: str,
        fd: int | DirectoryRefusedError,
        tell: Callable[[str, str], None],
        problem: Callable[[str, str], None],
    ) -> None:
        if isinstance(fd, DirectoryRefusedError):
            if fd.failed:
                tell(self.root.name(rel), f"its times cannot be set: {fd.why}")
            return
        if self._is_strangers(rel, fd):
            return
        try:
            _set_times(fd, self.records.of[rel].times)
        except PermissionError as error:  # another try would not help
            problem(self.root.name(rel), f"its times: {words(error)}")
        except OSError as error:
            tell(self.root.name(rel), f"its times: {words(error)}")

    def _is_strangers(self, rel: str, fd: int) -> bool:
        """True for an open directory below a shared root that has another owner by now; see new_owner."""
        return self.root.shared and rel != "." and os.fstat(fd).st_uid != self.records.of[rel].uid

    def _sync(self, rel: str, fd: int, tell: Callable[[str, str], None]) -> None:
        try:
            os.fsync(fd)
        except OSError as error:
            tell(self.root.name(rel), f"it may not be durable: {words(error)}")

    def _set_root_times(self, tell: Callable[[str, str], None]) -> None:
        if self._root_times is not None:
            try:
                _set_times(self.root.fd, self._root_times)
            except OSError as error:
                tell(self.root.path, f"its times: {words(error)}")

    def _clear_step(self, tell: Callable[[str, str], None]) -> bool:
        """Empties the step's trash; false, and it stays usable, when something in it could not be put back."""
        parts = [remove_empty(kind, self.step, self.root, tell) for kind in (GONE, LOOSE, FORMED, TURNS)]
        if not all(parts):
            return False
        try:
            self._clear_journal()
        except (OSError, DirectoryRefusedError, RootRefusedError) as error:
            why = words(error) if isinstance(error, OSError) else error.why
            tell(self.root.name(".", TRASH), f"it cannot be removed: {why}")
            return False
        return True

    def _clear_journal(self) -> None:
        for kind in (MARKS, WHOLES):
            fd = self.part(kind)
            if fd is not None:
                _empty(self.root, fd)
                os.rmdir(kind, dir_fd=self.step)
        for rel in [rel for rel in self.records.of if rel != "."]:
            self.records.forget(rel)
        if self._root_times is not None:
            with suppress(OSError):  # who may not set it gets a problem for it at the end
                _set_times(self.root.fd, (self._sentinel, self._root_times[1]))
        self.records.forget(".")
        for name in (HALF_FILE, ENDED, _UNDOING):
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self.step)
        for name in (HALF_DIRECTORY, TIMES):
            with suppress(FileNotFoundError):
                os.rmdir(name, dir_fd=self.step)


def remove_empty(name: str, parent: int, root: Root, tell: Callable[[str, str], None]) -> bool:
    """Removes a directory; false when something is in it, or it cannot be removed, which is told."""
    try:
        os.rmdir(name, dir_fd=parent)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            tell(root.name(".", TRASH), f"{name} in it cannot be removed: {words(error)}")
        return False
    return True


def _set_times(fd: int, times: tuple[int, int]) -> None:
    """Set an open directory's times; as root where root acts as a user who may write in it, and does not own it.

    Which directory that is, stands in the user's own trash: of one that he may not change, he sets no times.
    """
    if os.geteuid() != os.getuid() and not os.access(".", os.W_OK, dir_fd=fd, effective_ids=True):
        os.utime(fd, ns=times)
        return
    with raised():
        os.utime(fd, ns=times)


def _empty(root: Root, fd: int) -> None:
    """Removes links and directories of links, and closes. Raises OSError."""
    descent = Descent(replace(root, shared=True), fd)

    def level() -> list[str]:
        directories = []
        for name in os.listdir(descent.here.fd):
            try:
                os.unlink(name, dir_fd=descent.here.fd)
            except IsADirectoryError:
                directories.append(name)
        return directories

    def failed(_: str, error: OSError | DirectoryRefusedError) -> None:
        raise error

    traverse([descent], level, lambda name: os.rmdir(name, dir_fd=descent.here.fd), failed)
