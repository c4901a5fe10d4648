"""Leftover: the trash of a step as another process finds it: opened, its journal read, and at last cleared away."""

import os
import zlib
from collections.abc import Callable
from contextlib import suppress

from jamaint.host.drawers import LOOSE
from jamaint.host.globs import TRASH
from jamaint.host.records import MADE, TOUCHED, Record, Records
from jamaint.host.roots import NotEntered, Root, readable
from jamaint.host.skipped import words
from jamaint.host.taking import HALF_DIRECTORY, HALF_FILE, sync
from jamaint.host.trash import ENDED, FORMED, GONE, MARKS, OPEN, TIMES, TURNS, lock, open_private
from jamaint.host.wholes import WHOLES

_UNDOING = "undoing"
"""What ENDED is called from the moment an undo changes something: later times of directories are its own then."""


class Leftover:
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

    def end(self, problem: Callable[[str, str], None]) -> None:
        """Gives the directories their times back and, when all is back in its place, removes the trash."""
        self._remove_directories()
        touched = [record for record in self.records.of.values() if record.kind == TOUCHED and record.rel != "."]
        for record in touched:
            self._set_times(record, problem)
        for record in touched:  # in a pass of its own: the first one makes most of the others durable too
            sync(self.root, record.rel)
        if self.step >= 0 and not self._clear_step():
            self._set_root_times(problem)
            with suppress(FileNotFoundError):
                os.rename(_UNDOING, ENDED, src_dir_fd=self.step, dst_dir_fd=self.step)
            return
        if self._fds:
            os.fsync(self.root.fd)
        parents = [self.root.fd, *self._fds]
        for depth in range(len(self._fds) - 1, -1, -1):
            with suppress(OSError):  # others are in it
                os.rmdir(self._names[depth], dir_fd=parents[depth])
        self._set_root_times(problem)

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
        try:
            ended = os.lstat(ENDED, dir_fd=self.step).st_mtime_ns
        except FileNotFoundError:  # it was killed, or an undo has learned them before
            return
        later: dict[str, tuple[int, int]] = {}
        bereft: set[str] = set()
        for record in self.records.of.values():
            try:
                with self.root.descend(record.rel) as place:
                    now = os.fstat(place.fd)
                if record.kind == TOUCHED and now.st_mtime_ns > ended:
                    later[record.rel] = now.st_atime_ns, now.st_mtime_ns
            except NotEntered:
                bereft.add(record.rel.rpartition("/")[0] or ".")
        for rel in later.keys() - bereft:
            self.records.change(self.records.of[rel], TOUCHED, later[rel])
        if "." in self.records.of:
            self._root_times = self.records.of["."].times
        os.rename(ENDED, _UNDOING, src_dir_fd=self.step, dst_dir_fd=self.step)

    def _remove_directories(self) -> None:
        for record in sorted(self.records.of.values(), key=lambda record: -record.number):
            if record.kind == MADE:
                above, _, name = record.rel.rpartition("/")
                with suppress(NotEntered, OSError), self.root.descend(above or ".") as parent:  # others use it by now
                    os.rmdir(name, dir_fd=parent.fd)

    def _set_times(self, record: Record, problem: Callable[[str, str], None]) -> None:
        try:
            with self.root.descend(record.rel) as place:
                fd = readable(place.fd)
                try:
                    os.utime(fd, ns=record.times)
                finally:
                    os.close(fd)
        except NotEntered:
            return
        except OSError as error:
            problem(self.root.name(record.rel), f"its times: {words(error)}")

    def _set_root_times(self, problem: Callable[[str, str], None]) -> None:
        if self._root_times is not None:
            try:
                os.utime(self.root.fd, ns=self._root_times)
            except OSError as error:
                problem(self.root.path, f"its times: {words(error)}")

    def _clear_step(self) -> bool:
        """Empties the step's trash; false, and it stays usable, when something in it could not be put back."""
        for kind in (GONE, LOOSE, FORMED, TURNS):
            try:
                os.rmdir(kind, dir_fd=self.step)
            except FileNotFoundError:
                pass
            except OSError:
                return False
        marks = self.part(MARKS)
        if marks is not None:
            _empty(marks)
            os.rmdir(MARKS, dir_fd=self.step)
        whole = self.part(WHOLES)
        if whole is not None:
            _empty(whole)
            os.rmdir(WHOLES, dir_fd=self.step)
        for rel in [rel for rel in self.records.of if rel != "."]:
            self.records.forget(rel)
        if self._root_times is not None:
            with suppress(OSError):  # who may not set it gets a problem for it at the end
                os.utime(self.root.fd, ns=(self._sentinel, self._root_times[1]))
        self.records.forget(".")
        for name in (HALF_FILE, ENDED, _UNDOING):
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self.step)
        for name in (HALF_DIRECTORY, TIMES):
            with suppress(FileNotFoundError):
                os.rmdir(name, dir_fd=self.step)
        return True


def _empty(fd: int) -> None:
    """Removes links and directories of links, and closes."""
    try:
        for name in os.listdir(fd):
            try:
                os.unlink(name, dir_fd=fd)
            except IsADirectoryError:
                _empty(os.open(name, OPEN, dir_fd=fd))
                os.rmdir(name, dir_fd=fd)
    finally:
        os.close(fd)
