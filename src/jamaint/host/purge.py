"""Purge: lets the way back of one step go, and tells what space that gave."""

import contextlib
import os
import stat
from collections.abc import Callable, Mapping
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
        held = self._open.any_on(root.stat.st_dev)
        mirrored = self._mirrored(root, step)
        for kind in (GONE, FORMED):  # the journal of what is in them goes last
            inner = open_private(step, kind, root)
            if inner is not None:
                self._empty(inner, ".", held, mirrored, root)
        if not self.skipped.count:
            self._empty(os.dup(step), ".", frozenset(), None, root)

    def _mirrored(self, root: Root, step: int) -> frozenset[str]:
        times = open_private(step, TIMES, root)
        if times is None:
            return frozenset()
        try:
            return frozenset(Records.read(times).of)
        finally:
            os.close(times)

    def _empty(self, fd: int, rel: str, held: frozenset[int], mirrored: frozenset[str] | None, root: Root) -> None:
        """Removes all that is in an open directory, and closes it. `mirrored` are the directories that we made."""
        try:
            stuck: set[str] = set()
            while True:  # a directory may hide entries from a listing while others leave it
                removed = 0
                with os.scandir(fd) as entries:
                    for name in (entry.name for entry in entries if entry.name not in stuck):
                        path = name if rel == "." else f"{rel}/{name}"
                        why = self._remove(fd, name, path, held, mirrored, root)
                        if why is None:
                            removed += 1
                        else:
                            stuck.add(name)
                            self.skipped.add(root.name(path), why, problem=True)
                if not removed:
                    return
        finally:
            os.close(fd)

    def _remove(
        self, fd: int, name: str, path: str, held: frozenset[int], mirrored: frozenset[str] | None, root: Root
    ) -> str | None:
        try:
            seen = os.lstat(name, dir_fd=fd)
            if not stat.S_ISDIR(seen.st_mode):
                os.unlink(name, dir_fd=fd)
                if mirrored is not None:
                    self._count(seen, held)
                return None
            if mirrored is not None and path not in mirrored:
                return "it is a directory that was not taken on purpose; it stays in the trash"
            self._empty(os.open(name, OPEN, dir_fd=fd), path, held, mirrored, root)
            os.rmdir(name, dir_fd=fd)
        except OSError as error:
            return words(error)
        return None

    def _count(self, seen: os.stat_result, held: frozenset[int]) -> None:
        self.items += 1
        if seen.st_nlink == 1 and seen.st_ino not in held:
            self.freed += seen.st_blocks * 512
        if self.items % BATCH == 0:
            self._progress(self.items)
            self._checkpoint()
