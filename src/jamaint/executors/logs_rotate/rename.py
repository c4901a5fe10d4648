"""Rename a log within its directory and make a new one; each act is written down before it is done.

The journal is `turns/` in the trash of the step: one symbolic link an act, whose name has the figures and whose target
the names, so that it is there whole or not at all. turning_back.py reads it.

    <number>.moved.<inode>                  rel//from//to       a file gets another name; `//to rel` behind it where
                                                                that is in another directory of the root
    <number>.made.<inode>.<mtime>           rel//name           an empty file is linked into its place
    <number>.cut.<inode>.<inode of copy>    rel//name//copy     a log is copied and then truncated; `//to rel` as above
    <number>.copied.<inode of copy>.<size>  rel//copy           a log is copied, and stays
"""

import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from jamaint.files.access import syscalls
from jamaint.files.access.file_copy import copy_bytes, open_source, read_back, write_all
from jamaint.files.access.globs import OURS
from jamaint.files.access.root import Place, Root
from jamaint.files.rights.attributes import AttributesDifferError, FileAttributes
from jamaint.files.trash.removal import HALF_FILE, StagedFile
from jamaint.files.trash.trash import TURNS, Trash

MOVED, MADE, CUT, COPIED = "moved", "made", "cut", "copied"
_SHAPES = {MOVED: (1, 3), MADE: (2, 2), CUT: (2, 3), COPIED: (2, 2)}
"""By kind: how many figures an act has, and how many names, the directory included."""
_CHUNK = 1 << 20
_HALF_LINES, _AT_ONCE, _WAIT_SECONDS = 1000, 100, 0.001
"""How often it is looked for the end of a line before a log is truncated that does not end with one."""


class RotationSkippedError(Exception):
    """A log that was left as it is, and why; a `problem` where it will be so the next time too."""

    def __init__(self, why: str, problem: bool = False) -> None:
        super().__init__(why)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class New:
    """What a new log is like; None: like the one before it."""

    mode: int | None = None
    uid: int | None = None
    gid: int | None = None


@dataclass(frozen=True, slots=True)
class Act:
    """One line of the journal."""

    number: int
    kind: str
    figures: tuple[int, ...]
    names: tuple[str, ...]
    """The directory, then the names in it."""

    @property
    def link(self) -> str:
        return ".".join((f"{self.number:06}", self.kind, *map(str, self.figures)))

    @property
    def truncated(self) -> str:
        """The link that is there once the log has been truncated; a kill may come right before it."""
        return f"{self.number:06}.truncated"

    @property
    def emptied(self) -> str:
        """Where an undo puts a new log that is empty, until it is known that nobody writes to it."""
        return f"{self.number:06}.emptied"

    @property
    def refilled(self) -> str:
        """The link that is there once an undo has begun to write a copy back."""
        return f"{self.number:06}.refilled"


class LogRenamer:
    """Rotates logs below one root; without a trash it leaves no way back. The trash's finish() makes it durable."""

    def __init__(self, root: Root, trash: Trash | None) -> None:
        self._root, self._trash = root, trash
        self._next = -1
        self._moved: Act | None = None

    def move(self, place: Place, name: str, to: Iterator[str], seen: os.stat_result, aside: Place | None = None) -> str:
        """Renames a file that still is the one that was looked at, to the first name that is free, and returns that.

        It goes to the directory `aside` where that is given. It may have grown since. Raises RotationSkippedError,
        OSError.
        """
        tried, there = "", aside or place
        for new in to:
            tried = new
            act = self._note(place, MOVED, (seen.st_ino,), name, new, *self._elsewhere(place, there))
            try:
                _check(os.lstat(name, dir_fd=place.fd), seen, seen.st_nlink)
                syscalls.rename_noreplace(name, new, src_dir_fd=place.fd, dst_dir_fd=there.fd)
            except FileExistsError:
                self._forget(place, act)
                continue
            except BaseException:
                self._forget(place, act)
                raise
            if os.lstat(new, dir_fd=there.fd).st_ino != seen.st_ino:  # swapped between the look and the rename
                syscalls.rename_noreplace(new, name, src_dir_fd=there.fd, dst_dir_fd=place.fd)
                self._forget(place, act)
                raise RotationSkippedError("it was replaced while it was rotated, and was put back")
            self._moved = act
            return new
        raise RotationSkippedError(f"{name} would become {tried}, which is there already: move that away", problem=True)

    def move_back(self, place: Place, name: str, new: str, aside: Place | None = None) -> bool:
        """Gives the log that was moved last its name back; false where that is taken by now. Raises OSError."""
        try:
            syscalls.rename_noreplace(new, name, src_dir_fd=(aside or place).fd, dst_dir_fd=place.fd)
        except FileExistsError:
            return False
        self._forget(place, self._moved)
        return True

    def make(self, place: Place, name: str, like: str, new: New, *, aside: Place | None = None) -> bool:
        """Makes a new, empty log, whole at once: owner and mode are right when it appears. False if one is there.

        `like` is the rotated one beside it, or in `aside`. Raises OSError, AttributesDifferError.
        """
        half = self._half(place)
        try:
            old = open_source(like, (aside or place).fd)
            try:
                wanted = FileAttributes.of(old, os.fstat(old)).changed(new.uid, new.gid, new.mode)
            finally:
                os.close(old)
            wanted.give(half.fd)
            now = time.time_ns()
            wanted.settle(half.fd, (now, now))
            made = os.fstat(half.fd)
            act = self._note(place, MADE, (made.st_ino, made.st_mtime_ns), name)
            try:
                half.link(place.fd, name)
            except FileExistsError:
                self._forget(place, act)
                return False
            return True
        finally:
            half.close()

    def cut(
        self,
        place: Place,
        name: str,
        to: Iterator[str],
        seen: os.stat_result,
        tick: Callable[[int], None],
        *,
        aside: Place | None = None,
    ) -> tuple[str, int]:
        """Copies a log to the first name that is free, in `aside` if given, and truncates it; the name and the bytes.

        What is written between the last look and the truncation is lost. Raises RotationSkippedError,
        AttributesDifferError, OSError, and what `tick` raises, which is called while it copies: then there is no copy,
        and the log is whole.
        """
        log = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=place.fd)
        there, half = aside or place, self._half(place)
        try:
            before = self._fill(log, half, seen, tick)
            figures = (seen.st_ino, os.fstat(half.fd).st_ino)
            where = self._elsewhere(place, there)
            new, act = self._link(there, half, to, lambda to: self._note(place, CUT, figures, name, to, *where))
            try:
                size = _catch_up(log, half.fd, before.st_size, tick)
                os.ftruncate(log, 0)
            except BaseException:  # a full disk, or it is to stop
                self._withdraw(there, new, figures[1], act)
                raise
            if act is not None and self._trash is not None:
                with suppress(OSError):  # a mark that is missing makes an undo look closer, and no more
                    os.symlink("truncated", act.truncated, dir_fd=self._trash.turns(place))
            os.fsync(half.fd)
            return new, size
        finally:
            half.close()
            os.close(log)

    def copy(
        self,
        place: Place,
        name: str,
        to: Iterator[str],
        seen: os.stat_result,
        tick: Callable[[int], None],
        *,
        aside: Place | None = None,
    ) -> tuple[str, int]:
        """Copies a log as cut does, and leaves it; returns the name and the bytes. Raises as cut."""
        log = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=place.fd)
        there, half = aside or place, self._half(aside or place)
        try:
            before = self._fill(log, half, seen, tick)
            figures = (os.fstat(half.fd).st_ino, before.st_size)
            new, _ = self._link(there, half, to, lambda new: self._note(there, COPIED, figures, new))
            return new, before.st_size
        finally:
            half.close()
            os.close(log)

    def _fill(self, log: int, half: StagedFile, seen: os.stat_result, tick: Callable[[int], None]) -> os.stat_result:
        """Copies an open log into a new file and proves it; how the log was then."""
        before = os.fstat(log)
        _check(before, seen, 1)
        wanted = FileAttributes.of(log, before)
        wanted.give(half.fd)
        if copy_bytes(log, half.fd, before.st_size, tick) != read_back(half.fd, before.st_size, tick):
            raise AttributesDifferError("its copy, read back, is not the same")
        wanted.settle(half.fd, (before.st_atime_ns, before.st_mtime_ns))
        os.fsync(half.fd)
        return before

    def _link(
        self, place: Place, half: StagedFile, to: Iterator[str], note: Callable[[str], Act | None]
    ) -> tuple[str, Act | None]:
        """Gives a new file the first name that is free, once `note` has written that down."""
        for new in to:
            act = note(new)
            try:
                half.link(place.fd, new)
            except FileExistsError:
                self._forget(place, act)
                continue
            return new, act
        raise RotationSkippedError("each name that its copy could get is taken", problem=True)

    def _withdraw(self, place: Place, name: str, inode: int, act: Act | None) -> None:
        """Takes a copy away again."""
        with suppress(FileNotFoundError):
            if os.lstat(name, dir_fd=place.fd).st_ino == inode:
                os.unlink(name, dir_fd=place.fd)
        self._forget(place, act)

    def _half(self, place: Place) -> StagedFile:
        return self._trash.half(place) if self._trash is not None else StagedFile(place.fd, OURS + HALF_FILE)

    def _elsewhere(self, place: Place, there: Place) -> tuple[str, ...]:
        """The directory as it stands in the journal, if that is not the log's own; how it is now is written down."""
        if there.rel == place.rel:
            return ()
        if self._trash is not None:
            self._trash.turns(there)
        return (there.rel,)

    def _note(self, place: Place, kind: str, figures: tuple[int, ...], *names: str) -> Act | None:
        if self._trash is None:
            return None
        turns = self._trash.turns(place)
        if self._next < 0:
            self._next = 1 + max((act.number for act in read_acts(turns)), default=0)
        act = Act(self._next, kind, figures, (place.rel, *names))
        os.symlink("//".join(act.names), act.link, dir_fd=turns)
        self._next += 1
        return act

    def _forget(self, place: Place, act: Act | None) -> None:
        if act is not None and self._trash is not None:
            os.unlink(act.link, dir_fd=self._trash.turns(place))


def read_acts(turns: int) -> list[Act]:
    """The journal of a step, open as a directory, in the order of the acts.

    Raises ValueError for what is no line of a journal: in an owner's directory he can write there what he likes.
    """
    found = []
    for link in os.listdir(turns):
        number, kind, *figures = link.split(".")
        if kind in _SHAPES:  # the others are marks of those
            names = os.readlink(link, dir_fd=turns).split("//")
            count = len(names) - (kind in (MOVED, CUT) and len(names) > _SHAPES[kind][1])  # the last may be a directory
            places = (names[0], *names[count:])
            is_act = (len(figures), count) == _SHAPES[kind] and all(map(_is_name, names[1:count]))
            if not is_act or not all(map(_is_below, places)):
                raise ValueError(f"{link} in {TURNS} tells of no act")
            found.append(Act(int(number), kind, tuple(map(int, figures)), tuple(names)))
    return sorted(found, key=lambda act: act.number)


def _is_name(text: str) -> bool:
    return text not in ("", ".", "..") and "/" not in text


def _is_below(rel: str) -> bool:
    """True of the path of a directory from the root, and of nothing that leads out of it."""
    return rel == "." or all(map(_is_name, rel.split("/")))


def _check(now: os.stat_result, seen: os.stat_result, links: int) -> None:
    """Whether a name still means what was judged: a log may have grown since, and nothing else."""
    if not os.path.samestat(now, seen) or not stat.S_ISREG(now.st_mode):
        raise RotationSkippedError("another file has its name by now")
    if now.st_nlink > links:
        raise RotationSkippedError(f"it has {now.st_nlink} names (hard links)")


def _catch_up(log: int, copy: int, size: int, tick: Callable[[int], None]) -> int:
    """Copies what was written meanwhile, until there is no more: then the log is to be truncated at once.

    Returns the bytes copied in all.
    """
    os.lseek(log, size, os.SEEK_SET)
    os.lseek(copy, size, os.SEEK_SET)
    for last in (False, False, True):  # each time there is less to read, for the sync before it took less long
        ends = b""
        for look in range(_HALF_LINES):
            while chunk := os.read(log, _CHUNK):
                write_all(copy, chunk)
                size, ends = size + len(chunk), chunk[-1:]
                if not last:
                    tick(len(chunk))
            if ends in (b"", b"\n"):
                break
            if look > _AT_ONCE:  # a line is just being written, by a process that does not get on
                time.sleep(_WAIT_SECONDS)
        if not last:
            os.fsync(copy)
    return size
