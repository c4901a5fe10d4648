"""Purge: lets the way back of one step go, and tells what space that gave."""

import contextlib
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jamaint.host.globs import TRASH
from jamaint.host.openfiles import open_files
from jamaint.host.records import Records
from jamaint.host.roots import Root, RootRefused, open_root
from jamaint.host.skipped import Skipped, words
from jamaint.host.trash import FORMED, GONE, OPEN, TIMES, lock, open_private
from jamaint.host.trees import BATCH


def purge(
    way_back: Mapping[str, Any], checkpoint: Callable[[], None], progress: Callable[[int], None]
) -> dict[str, Any]:
    """Removes the trash of one step: {freed_space (bytes on disk), items, problems}. Follows no link.

    `way_back` is Step.undo. Right also when it is called again, or there is nothing. Raises trash.Busy.
    """
    found = _Purging(checkpoint, progress)
    for entry in way_back["roots"]:
        try:
            with open_root(entry["path"]) as root:
                found.purge(root, way_back["trash"], way_back["step"])
        except RootRefused as refusal:
            if refusal.kind != "missing":
                found.skipped.add(entry["path"], refusal.why, problem=True)
    return {"freed_space": found.freed, "items": found.items, "problems": found.skipped.problems}


class _Purging:
    """What is gone so far."""

    def __init__(self, checkpoint: Callable[[], None], progress: Callable[[int], None]) -> None:
        self.freed = 0
        self.items = 0
        self.skipped = Skipped()
        self._checkpoint, self._progress = checkpoint, progress
        self._open = open_files()

    def purge(self, root: Root, execution: str, step: str) -> None:
        """Empties and removes the step's directory, and those above it that are empty then."""
        fds: list[int] = [root.fd]
        names = (TRASH, execution, step)
        try:
            for name in names:
                fd = open_private(fds[-1], name, root)
                if fd is None:
                    break
                fds.append(fd)
            if len(fds) > len(names):
                self._empty_step(root, fds[-1])
            before = os.fstat(root.fd)
            for depth in range(len(fds) - 2, -1, -1):
                with contextlib.suppress(OSError):  # others are in it
                    os.rmdir(names[depth], dir_fd=fds[depth])
            if len(fds) > 1:
                with contextlib.suppress(OSError):  # the owner's times, where we are not the owner
                    os.utime(root.fd, ns=(before.st_atime_ns, before.st_mtime_ns))
        finally:
            for fd in fds[1:]:
                os.close(fd)

    def _empty_step(self, root: Root, step: int) -> None:
        lock(step)
        times = open_private(step, TIMES, root)
        mirrored = frozenset[str]()
        if times is not None:
            mirrored = frozenset(Records.read(times).of)
            os.close(times)
        kept = _Contents(root, mirrored, self._open.any_on(root.stat.st_dev))
        for kind in (GONE, FORMED):  # the journal of what is in them goes last
            inner = open_private(step, kind, root)
            if inner is not None:
                self._empty(inner, ".", kept)
        if not self.skipped.count:
            self._empty(os.dup(step), ".", None)

    def _empty(self, fd: int, rel: str, contents: "_Contents | None") -> None:
        """Removes all that is in an open directory, and closes it; counts when it is what was taken or made."""
        stuck: set[str] = set()
        try:
            while self._empty_listed(fd, rel, contents, stuck):
                pass  # a directory may hide entries from a listing while others leave it
        finally:
            os.close(fd)

    def _empty_listed(self, fd: int, rel: str, contents: "_Contents | None", stuck: set[str]) -> int:
        removed = 0
        with os.scandir(fd) as entries:
            for name in (entry.name for entry in entries if entry.name not in stuck):
                path = name if rel == "." else f"{rel}/{name}"
                try:
                    why = self._remove(fd, name, path, contents)
                except OSError as error:
                    why = words(error)
                if why is None:
                    removed += 1
                else:
                    stuck.add(name)
                    self.skipped.add(f"{rel}/{name}" if contents is None else contents.root.name(path), why, True)
        return removed

    def _remove(self, fd: int, name: str, path: str, contents: "_Contents | None") -> str | None:
        seen = os.lstat(name, dir_fd=fd)
        if not stat.S_ISDIR(seen.st_mode):
            os.unlink(name, dir_fd=fd)
            if contents is not None:
                self._count(seen, contents.held)
            return None
        if contents is not None and path not in contents.mirrored:
            return "it is a directory that was not taken on purpose; it stays in the trash"
        self._empty(os.open(name, OPEN, dir_fd=fd), path, contents)
        os.rmdir(name, dir_fd=fd)
        return None

    def _count(self, seen: os.stat_result, held: frozenset[int]) -> None:
        self.items += 1
        if seen.st_nlink == 1 and seen.st_ino not in held:
            self.freed += seen.st_blocks * 512
        if self.items % BATCH == 0:
            self._progress(self.items)
            self._checkpoint()


@dataclass(frozen=True, slots=True)
class _Contents:
    """What a part of the trash may hold: directories that we made for `mirrored` ones; inodes open somewhere."""

    root: Root
    mirrored: frozenset[str]
    held: frozenset[int]
