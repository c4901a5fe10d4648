"""Removal of what a step made: the part of an undo that comes after the originals are back."""

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

from jamaint.files.access.directory_cursor import Descent
from jamaint.files.access.root import DirectoryRefusedError, Place, Root
from jamaint.files.access.skip_report import Few, words
from jamaint.files.access.traversal import traverse
from jamaint.files.trash.step_trash import ReopenedTrash, remove_empty
from jamaint.files.trash.trash import FORMED, MARKS


class Original(Protocol):
    """The root that something was made from."""

    def has(self, rel: str) -> bool:
        """True if the original is in its place, or would be after a dry run."""

    def waits(self, rel: str) -> bool:
        """True if the original has to stay in the trash."""


class Outcome(Protocol):
    """The figures of the undo."""

    removed: int
    kept: Few
    problems: Few


class MadeRemoval:
    """Removes made files whose original is back and that nobody has changed. `roots` by their numbers in the marks."""

    def __init__(
        self, roots: Mapping[int, Original | None], dry_run: bool, outcome: Outcome, tick: Callable[[], None]
    ) -> None:
        self._roots, self._dry_run, self._outcome, self._tick = roots, dry_run, outcome, tick

    def remove(self, left: ReopenedTrash) -> None:
        """Removes what was made below one root. Raises DirectoryRefusedError, OSError, RootRefusedError."""
        fds = left.part(FORMED), left.part(MARKS)
        if fds[0] is None or fds[1] is None:
            for fd in fds:
                if fd is not None:
                    os.close(fd)
            return
        trash = replace(left.root, shared=True)
        formed, marks = Descent(trash, fds[0]), Descent(trash, fds[1])

        def failed(name: str, error: OSError | DirectoryRefusedError) -> None:
            why = error.why if isinstance(error, DirectoryRefusedError) else words(error)
            self._outcome.problems.add(left.root.name(formed.rel, name), why)

        def leave(name: str) -> None:
            if not self._dry_run:
                remove_empty(name, formed.here.fd, left.root, self._outcome.problems.add)

        traverse([formed, marks], lambda: self._remove_level(left.root, formed, marks), leave, failed)

    def _remove_level(self, root: Root, formed: Descent, marks: Descent) -> list[str]:
        directories = []
        for name in os.listdir(formed.here.fd):
            if stat.S_ISDIR(os.lstat(name, dir_fd=formed.here.fd).st_mode):
                directories.append(name)
                continue
            self._tick()
            try:
                self._remove_marked(root, formed, marks, name)
            except OSError as error:
                self._outcome.problems.add(root.name(formed.rel, name), words(error))
        return directories

    def _remove_marked(self, root: Root, formed: Descent, marks: Descent, name: str) -> None:
        path = root.name(formed.rel, name)
        mark = _read_mark(name, marks.here.fd)
        if mark is None or mark[2] not in self._roots:
            self._outcome.problems.add(path, "its mark in the trash cannot be read; it stays")
            return
        size, mtime, number, original = mark
        origin = self._roots[number]
        if origin is not None and origin.waits(original):
            return
        if origin is None or not origin.has(original):
            self._outcome.kept.add(path, "it stays, for its original is not in its place")
            return
        inode = os.lstat(name, dir_fd=formed.here.fd).st_ino
        if self._remove_one(root, formed.rel, name, (inode, size, mtime)) and not self._dry_run:
            os.unlink(name, dir_fd=formed.here.fd)
            os.unlink(name, dir_fd=marks.here.fd)

    def _remove_one(self, root: Root, rel: str, name: str, made: tuple[int, int, int]) -> bool:
        """Removes a made file from its place; true when the trash needs to know of it no longer. Raises OSError."""
        try:
            with root.descend(rel) as place:
                seen = os.lstat(name, dir_fd=place.fd)
                if seen.st_ino == made[0]:  # else it is somebody else's by now
                    self._remove_ours(root, place, name, seen, made[1:])
        except DirectoryRefusedError as refusal:
            if not refusal.missing:
                self._outcome.kept.add(root.name(rel, name), refusal.why)
            return refusal.missing
        except FileNotFoundError:  # somebody has removed it
            return True
        return True

    def _remove_ours(self, root: Root, place: Place, name: str, seen: os.stat_result, made: tuple[int, ...]) -> None:
        if (seen.st_size, seen.st_mtime_ns) != made:
            self._outcome.kept.add(root.name(place.rel, name), "it was changed after it was made")
            return
        if not self._dry_run:
            os.unlink(name, dir_fd=place.fd)
        self._outcome.removed += 1


def _read_mark(name: str, marks: int) -> tuple[int, int, int, str] | None:
    """(size, time of writing, number of the root, path of the original); None for what is no mark of ours."""
    size, _, rest = os.readlink(name, dir_fd=marks).partition(".")
    mtime, _, source = rest.partition(".")
    number, _, original = source.partition("/")
    if not all(figure.isascii() and figure.removeprefix("-").isdigit() for figure in (size, mtime, number)):
        return None
    return int(size), int(mtime), int(number), original
