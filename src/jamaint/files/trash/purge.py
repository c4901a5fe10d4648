"""Purge: lets the way back of one step go, and tells what space that gave."""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from jamaint.files.access.batch_stat import Statuses
from jamaint.files.access.directory_cursor import Descent
from jamaint.files.access.globs import TRASH
from jamaint.files.access.root import DirectoryRefusedError, Root, RootRefusedError, open_root
from jamaint.files.access.skip_report import Skipped, why_not, words
from jamaint.files.access.thread_fanout import Spread
from jamaint.files.access.tree_walk import BATCH
from jamaint.files.rights.borrowed import raised
from jamaint.files.trash import moved_directories
from jamaint.files.trash.directory_records import Records
from jamaint.files.trash.removal import Taken, unlink
from jamaint.files.trash.shards import LOOSE, Drawn
from jamaint.files.trash.step_trash import remove_empty
from jamaint.files.trash.trash import FORMED, GONE, TIMES, lock, open_private
from jamaint.files.use.open_files import open_files_for_figures

PASSES = 100
"""Times that one directory is listed: as often as new files turn up in it, but not for ever."""


def purge(
    way_back: Mapping[str, Any], checkpoint: Callable[[], None], progress: Callable[[int], None]
) -> dict[str, Any]:
    """Removes the trash of one step: {freed_space (bytes on disk), items, problems}. Follows no link.

    `way_back` is Step.undo. Right also when it is called again, or there is nothing. Raises TrashBusyError.
    """
    found = _Purging(checkpoint, progress)
    for entry in way_back["roots"]:
        try:
            with open_root(entry["path"], bool(entry.get("shared"))) as root:
                found.purge(root, way_back["trash"], way_back["step"])
        except RootRefusedError as refusal:  # a missing one too: its disk may be away, with the trash on it
            found.skipped.add(entry["path"], refusal.why, problem=True)
    return {"freed_space": found.taken.alone, "items": found.taken.files, "problems": found.skipped.problems}


class _Purging:
    """What is gone so far."""

    def __init__(self, checkpoint: Callable[[], None], progress: Callable[[int], None]) -> None:
        self.taken = Taken()
        self.skipped = Skipped()
        self._checkpoint, self._progress = checkpoint, progress
        self._open = open_files_for_figures()
        self._spread, self._seen = Spread(), Statuses()

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
                remove_empty(names[depth], fds[depth], root, partial(self.skipped.add, problem=True))
            if len(fds) > 1:
                with contextlib.suppress(OSError), raised():  # the owner's times, where we are not the owner
                    os.utime(root.fd, ns=(before.st_atime_ns, before.st_mtime_ns))
        finally:
            for fd in fds[1:]:
                os.close(fd)

    def _empty_step(self, root: Root, step: int) -> None:
        lock(step)
        records, taken = Records(-1), frozenset[str]()
        times = open_private(step, TIMES, root)
        if times is not None:
            records = Records.read(times)
            os.close(times)
        whole = open_private(step, moved_directories.WHOLES, root)
        if whole is not None:
            taken = frozenset(moved_directories.read(whole))
            os.close(whole)
        held = self._open.any_on(root.stat.st_dev)
        drawn = Drawn({record.number: record.rel for record in records.of.values()})
        mirrored = records.of.__contains__
        for kind, contents in (  # the journal of what is in them goes last
            (GONE, _Contents(mirrored, taken, held, root.name)),
            (LOOSE, _Contents(drawn.ours, frozenset(), held, lambda path: root.name(drawn.origin(path)))),
            (FORMED, _Contents(mirrored, frozenset(), held, root.name)),
        ):
            inner = open_private(step, kind, root)
            if inner is not None:
                self._empty(root, inner, contents)
        if not self.skipped.count:
            self._empty(root, os.dup(step), None)

    def _empty(self, root: Root, fd: int, contents: "_Contents | None") -> None:
        """Removes all that is in an open directory, and closes it; counts when it is what was taken or made.

        In a directory that was taken whole, somebody may still stand and write: each one is listed so many times only.
        """
        descent = Descent(replace(root, shared=True), fd)
        frames = [_Emptying()]
        try:
            while True:
                frame = frames[-1]
                if frame.todo:
                    self._enter(descent, frames, frame.todo.pop(), contents)
                elif frame.again and frame.passes < PASSES:
                    self._empty_listed(descent, frame, contents)
                elif len(frames) == 1:
                    return
                else:
                    self._leave(descent, frames, contents)
        finally:
            descent.close()

    def _enter(self, descent: Descent, frames: list["_Emptying"], name: str, contents: "_Contents | None") -> None:
        frame = frames[-1]
        path = _join(descent.rel, name) if contents is not None and not frame.whole else ""
        whole = frame.whole or contents is None or path in contents.taken
        if contents is not None and not whole and not contents.ours(path):
            why = "it is a directory that was not taken on purpose; it stays in the trash"
            self._skip(descent, name, why, contents, frame)
            return
        try:
            descent.enter(name)
            frames.append(_Emptying(whole))
        except DirectoryRefusedError as refusal:
            self._skip(descent, name, refusal.why, contents, frame)
        except OSError as error:
            self._skip(descent, name, words(error), contents, frame)

    def _leave(self, descent: Descent, frames: list["_Emptying"], contents: "_Contents | None") -> None:
        name = descent.here.name
        try:
            descent.leave()
        except DirectoryRefusedError as refusal:  # somebody moves what he still has open of it
            del frames[len(descent.levels) :]
            self._skip(descent, name, refusal.why, contents, frames[-1])
            return
        if frames.pop().stuck:
            frames[-1].stuck.add(name)  # why is told of what is in it
        else:
            self._remove_directory(descent, frames[-1], name, contents)

    def _empty_listed(self, descent: Descent, frame: "_Emptying", contents: "_Contents | None") -> None:
        fd = descent.here.fd
        frame.again = False
        frame.passes += 1
        for files, directories in _listed(fd, frame.stuck):
            before, failed = len(frame.stuck), dict[str, OSError]()
            found = self._seen.look(files, fd, failed.__setitem__)
            stay = unlink(self._spread, fd, found)
            for name, error in (failed | stay).items():
                self._skip(descent, name, why_not(error, name, fd), contents, frame)
            if contents is not None:
                gone = [number for number, name in enumerate(found) if name not in stay]
                self.taken.add_some(self._seen, gone, contents.held)
            frame.todo += directories
            # a directory may hide entries from a listing while others leave it
            frame.again = frame.again or len(files) + len(directories) > len(frame.stuck) - before
            self._progress(self.taken.files)
            self._checkpoint()

    def _remove_directory(self, descent: Descent, frame: "_Emptying", name: str, contents: "_Contents | None") -> None:
        try:
            os.rmdir(name, dir_fd=descent.here.fd)
        except OSError as error:
            self._skip(descent, name, words(error), contents, frame)

    def _skip(self, descent: Descent, name: str, why: str, contents: "_Contents | None", frame: "_Emptying") -> None:
        frame.stuck.add(name)
        path = _join(descent.rel, name)
        self.skipped.add(path if contents is None else contents.told(path), why, problem=True)


@dataclass(slots=True)
class _Emptying:
    """A directory that is being emptied; `whole` if it was taken whole, or lies in one that was."""

    whole: bool = False
    todo: list[str] = field(default_factory=list)
    stuck: set[str] = field(default_factory=set)
    again: bool = True
    passes: int = 0


@dataclass(frozen=True, slots=True)
class _Contents:
    """What a part of the trash may hold: directories that are `ours`, by path, and those taken whole.

    `held` are inodes that are open somewhere; `told` is how a path in it is called.
    """

    ours: Callable[[str], bool]
    taken: frozenset[str]
    held: frozenset[int]
    told: Callable[[str], str]


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


def _join(rel: str, name: str) -> str:
    return name if rel == "." else f"{rel}/{name}"
