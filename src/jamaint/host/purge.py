"""Purge: lets the way back of one step go, and tells what space that gave."""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jamaint.host.globs import TRASH
from jamaint.host.openfiles import open_files
from jamaint.host.records import Records
from jamaint.host.roots import Root, RootRefused, open_root
from jamaint.host.skipped import Skipped, words
from jamaint.host.spread import Spread
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
        except RootRefused as refusal:  # a missing one too: its disk may be away, with the trash on it
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
        held = self._open.any_on(root.stat.st_dev)
        for kind in (GONE, FORMED):  # the journal of what is in them goes last
            inner = open_private(step, kind, root)
            if inner is not None:
                self._empty(inner, ".", _Contents(root, mirrored, held))
        if not self.skipped.count:
            self._empty(os.dup(step), ".", None)

    def _empty(self, fd: int, rel: str, contents: "_Contents | None") -> None:
        """Removes all that is in an open directory, and closes it; counts when it is what was taken or made."""
        stuck: set[str] = set()
        remove: Spread[str, tuple[str, os.stat_result | OSError]] = Spread(lambda names: _remove_files(fd, names))
        try:
            removed = 1
            while removed:  # a directory may hide entries from a listing while others leave it
                removed = 0
                for files, directories in _listed(fd, stuck):
                    before = len(stuck)
                    for name, result in remove(files):
                        if isinstance(result, OSError):
                            self._skip(name, rel, words(result), contents, stuck)
                        elif contents is not None:
                            self._count(result, contents.held)
                    for name in directories:
                        why = self._remove_directory(fd, name, _join(rel, name), contents)
                        if why is not None:
                            self._skip(name, rel, why, contents, stuck)
                    removed += len(files) + len(directories) - (len(stuck) - before)
                    self._progress(self.items)
                    self._checkpoint()
        finally:
            os.close(fd)

    def _skip(self, name: str, rel: str, why: str, contents: "_Contents | None", stuck: set[str]) -> None:
        stuck.add(name)
        path = _join(rel, name)
        self.skipped.add(path if contents is None else contents.root.name(path), why, problem=True)

    def _remove_directory(self, fd: int, name: str, path: str, contents: "_Contents | None") -> str | None:
        """Removes a directory of the trash; else why not."""
        if contents is not None and path not in contents.mirrored:
            return "it is a directory that was not taken on purpose; it stays in the trash"
        try:
            self._empty(os.open(name, OPEN, dir_fd=fd), path, contents)
            os.rmdir(name, dir_fd=fd)
        except OSError as error:
            return words(error)
        return None

    def _count(self, seen: os.stat_result, held: frozenset[int]) -> None:
        self.items += 1
        if seen.st_nlink == 1 and seen.st_ino not in held:
            self.freed += seen.st_blocks * 512


@dataclass(frozen=True, slots=True)
class _Contents:
    """What a part of the trash may hold: directories that we made for `mirrored` ones; inodes open somewhere."""

    root: Root
    mirrored: frozenset[str]
    held: frozenset[int]


def _listed(fd: int, stuck: set[str]) -> Iterator[tuple[list[str], list[str]]]:
    """(files, directories) in an open directory, at most BATCH of both at a time."""
    files: list[str] = []
    directories: list[str] = []
    with os.scandir(fd) as entries:
        for entry in entries:
            if entry.name not in stuck:
                (directories if entry.is_dir(follow_symlinks=False) else files).append(entry.name)
            if len(files) + len(directories) == BATCH:
                yield files, directories
                files, directories = [], []
    if files or directories:
        yield files, directories


def _remove_files(fd: int, names: Sequence[str]) -> list[tuple[str, os.stat_result | OSError]]:
    """Removes names; how their files were, or why they stay."""
    results: list[tuple[str, os.stat_result | OSError]] = []
    for name in names:
        try:
            seen = os.lstat(name, dir_fd=fd)
            os.unlink(name, dir_fd=fd)
            results.append((name, seen))
        except OSError as error:
            results.append((name, error))
    return results


def _join(rel: str, name: str) -> str:
    return name if rel == "." else f"{rel}/{name}"
