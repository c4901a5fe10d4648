"""Trees: walks a root without following, crossing or changing anything, and remembers what it found in little room."""

import os
import stat
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from jamaint.files.access.globs import OURS, Globs, States
from jamaint.files.access.root import DirectoryRefusedError, Root, readable
from jamaint.files.access.skip_report import Skipped, why_not

DEPTH_LIMIT = 256
PATH_LIMIT = 3900
"""Bytes of a path below its root: what the kernel takes in one call and as a link's target, less some room."""
BATCH = 512
"""Files between two safe points; also how many are kept in one packed batch."""

_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(slots=True)
class Rules:
    """What is meant below one root: `excluded` wins, `elsewhere` are files that another root answers for."""

    included: Globs
    excluded: Globs = field(default_factory=lambda: Globs(()))
    elsewhere: Globs = field(default_factory=lambda: Globs(()))


@dataclass(slots=True)
class _Frame:
    fd: int
    rel: str
    states: tuple[States, States, States]
    todo: list[tuple[str, tuple[States, States, States]]] = field(default_factory=list)
    depth: int = 0


Another = Callable[[str, States], None]
"""Is told of a directory that is another user's, by its path below the root, with what is meant in it."""


def walk(
    root: Root, rules: Rules, skipped: Skipped, checkpoint: Callable[[], None], another: Another | None = None
) -> Iterator[tuple[str, str, os.stat_result]]:
    """Yields (directory, name, stat) of each regular file that is meant; all of one directory in a row.

    Leaves access times, enters no other mount and no directory that could be replaced by others, and holds one open
    directory for each level. A directory of another user's is skipped, or left to `another`.
    """
    excluded, whole = _at_root(rules.excluded, root.path)
    elsewhere, _ = _at_root(rules.elsewhere, root.path)
    if whole:
        return
    frames = [_Frame(os.dup(root.fd), ".", (rules.included.start, excluded, elsewhere))]
    try:
        yield from _list(root, rules, frames[0], skipped, checkpoint)
        while frames:
            frame = frames[-1]
            if not frame.todo:
                os.close(frames.pop().fd)
                continue
            name, states = frame.todo.pop()
            inner = _enter(root, frame, (name, states), skipped, another)
            if inner is not None:
                frames.append(inner)
                yield from _list(root, rules, inner, skipped, checkpoint)
    finally:
        for frame in frames:
            os.close(frame.fd)


def fingerprint(seen: os.stat_result) -> int:
    """64 bits that change when the file is another one or was written to: device, inode, size, time of writing."""
    return hash((seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns))


class Batches:
    """Files to act on, by directory, in the room of their names and eight bytes each."""

    def __init__(self) -> None:
        self.count = 0
        self.bytes = 0
        self._packed: list[tuple[str, str, array[int]]] = []
        self._rel = ""
        self._names: list[str] = []
        self._prints = array("q")

    def add(self, rel: str, name: str, seen: os.stat_result) -> None:
        """Remembers one; `rel` is its directory as walk() gives it."""
        if rel != self._rel or len(self._names) >= BATCH:
            self._pack()
            self._rel = rel
        self._names.append(name)
        self._prints.append(fingerprint(seen))
        self.count += 1
        self.bytes += seen.st_size

    def __iter__(self) -> Iterator[tuple[str, Sequence[str], Sequence[int]]]:
        """(directory, names, fingerprints), at most BATCH at a time."""
        self._pack()
        for rel, names, prints in self._packed:
            yield rel, names.split("/"), prints

    def _pack(self) -> None:
        if self._names:
            self._packed.append((self._rel, "/".join(self._names), self._prints))
            self._names, self._prints = [], array("q")


def _at_root(globs: Globs, path: str) -> tuple[States, bool]:
    return globs.below(path.lstrip("/")) if globs.start else (globs.start, False)


def _enter(
    root: Root,
    frame: _Frame,
    inner: tuple[str, tuple[States, States, States]],
    skipped: Skipped,
    another: Another | None,
) -> _Frame | None:
    name, states = inner
    rel = name if frame.rel == "." else f"{frame.rel}/{name}"
    if frame.depth >= DEPTH_LIMIT or len(os.fsencode(rel)) > PATH_LIMIT:
        skipped.add(root.name(rel), f"it is deeper than {DEPTH_LIMIT} directories", problem=True)
        return None
    try:
        passing, _ = root.look_in(frame.fd, name)
    except DirectoryRefusedError as refusal:
        if refusal.owner is not None and another is not None:
            another(rel, states[0])
        elif not refusal.missing:
            skipped.add(root.name(rel), refusal.why, problem=refusal.failed)
        return None
    try:
        return _Frame(readable(passing), rel, states, depth=frame.depth + 1)
    except OSError as error:
        skipped.add(root.name(rel), why_not(error, name, frame.fd), problem=True)
        return None
    finally:
        os.close(passing)


def _list(
    root: Root, rules: Rules, frame: _Frame, skipped: Skipped, checkpoint: Callable[[], None]
) -> Iterator[tuple[str, str, os.stat_result]]:
    included, excluded, elsewhere = frame.states
    meant = rules.included.files(included)
    left_out = rules.excluded.files(excluded) if excluded else None
    others = rules.elsewhere.files(elsewhere) if elsewhere else None
    rel, fd, until_check = frame.rel, frame.fd, BATCH
    checkpoint()
    with os.scandir(fd) as entries:
        for entry in entries:
            name = entry.name
            until_check -= 1
            if not until_check:
                checkpoint()
                until_check = BATCH
            if entry.is_dir(follow_symlinks=False):
                _note_directory(rules, frame, name)
                continue
            if not meant(name) or name.startswith(OURS) or (left_out and left_out(name)) or (others and others(name)):
                continue
            try:
                seen = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            except OSError as error:
                skipped.add(root.name(rel, name), why_not(error, name, fd), problem=True)
                continue
            if not stat.S_ISREG(seen.st_mode):
                skipped.add(root.name(rel, name), f"it is {_KINDS.get(stat.S_IFMT(seen.st_mode), 'no regular file')}")
                continue
            yield rel, name, seen


def _note_directory(rules: Rules, frame: _Frame, name: str) -> None:
    included, excluded, elsewhere = frame.states
    if name.startswith(OURS) or (excluded and rules.excluded.files(excluded)(name)):
        return
    inside = rules.included.into(included, name)
    if inside:
        states = (inside, rules.excluded.into(excluded, name), rules.elsewhere.into(elsewhere, name))
        frame.todo.append((name, states))
