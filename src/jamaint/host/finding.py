"""Finding: what has to be known of all files below a path before any of them goes: limits and duplicates."""

import hashlib
import heapq
import os
import stat
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from jamaint.host.judging import Judge
from jamaint.host.roots import Place
from jamaint.host.skipped import Skipped
from jamaint.host.sweep import Sweep, Tally

COMPARED = 200_000
"""Files that are compared by their content at the most, those of equal size first met."""
_CHUNK = 1 << 20
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
Mark = tuple[int, int]
"""(time of writing in nanoseconds, inode): orders files by age, and no two are equal."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many files, and how many bytes of them on disk, may stay; None for any. The newest `newest` always do."""

    files: int | None = None
    bytes: int | None = None
    newest: int = 0


class _Each:
    """A taking that takes nothing and calls `look` with each regular file."""

    direct = False
    changes = False
    marks = False

    def __init__(self, look: Callable[[Place, str, os.stat_result], None]) -> None:
        self._look = look

    def files(self, place: Place, names: Sequence[str], prints: Sequence[int], tally: Tally) -> bool:  # noqa: ARG002
        for name in names:
            try:
                seen = os.lstat(name, dir_fd=place.fd)
            except OSError:  # gone since
                continue
            if stat.S_ISREG(seen.st_mode):
                self._look(place, name, seen)
        return True

    def directory(self, place: Place, name: str, expected: os.stat_result, tally: Tally) -> bool:  # noqa: ARG002
        return True


def each(judge: Judge, look: Callable[[Place, str, os.stat_result], None], told: Callable[[], None]) -> None:
    """Calls `look` with (place, name, status) of each regular file that is meant and may go, old or not."""
    rule = replace(judge.rule, before=None, directories=False, unit=False, also=None, old=None)
    Sweep(Judge(judge.root, rule, judge.use), _Each(look), Skipped(), told).go()


def beyond(judge: Judge, limits: Limits, told: Callable[[], None]) -> tuple[Mark | None, Mark | None]:
    """(files before this mark are too many or too much, files from this mark on are among the newest).

    Eight bytes for each file are remembered where sizes are limited, else no more than the marks of those that stay.
    """
    keep = max(limits.newest, limits.files or 0)
    newest: list[Mark] = []
    marks: list[tuple[Mark, int]] = []
    sized = limits.bytes is not None

    def note(_: Place, __: str, seen: os.stat_result) -> None:
        mark = seen.st_mtime_ns, seen.st_ino
        if sized:
            marks.append((mark, seen.st_blocks * 512))
        if keep:
            (heapq.heappush if len(newest) < keep else heapq.heappushpop)(newest, mark)

    each(judge, note, told)
    newest.sort(reverse=True)
    first = newest[limits.newest - 1] if limits.newest and len(newest) >= limits.newest else None
    if limits.newest and first is None and newest:
        first = newest[-1]
    floor = None
    if limits.files is not None:
        floor = newest[limits.files - 1] if limits.files and len(newest) >= limits.files else None
        floor = (1 << 63, 0) if limits.files == 0 else floor
    if limits.bytes is not None:
        total = 0
        for mark, size in sorted(marks, reverse=True):
            total += size
            if total > limits.bytes:
                above = (mark[0], mark[1] + 1)
                floor = above if floor is None else max(floor, above)
                break
    return floor, first


@dataclass(slots=True)
class Duplicates:
    """Files that hold the same as an older one: (size, time of writing) by inode; bytes on disk; pairs for a person."""

    of: dict[int, Mark] = field(default_factory=dict)
    bytes: int = 0
    sample: list[dict[str, Any]] = field(default_factory=list)
    compared: int = 0
    left_out: int = 0


def duplicates(judge: Judge, leave: Callable[[os.stat_result], bool], told: Callable[[], None]) -> Duplicates:
    """Compares the files below by size and then by content; the oldest of each stays. `leave` tells files to ignore."""
    sizes = Counter[int]()

    def count(_: Place, __: str, seen: os.stat_result) -> None:
        if seen.st_size and seen.st_nlink == 1 and not leave(seen):
            sizes[seen.st_size] += 1

    each(judge, count, told)
    found = Duplicates()
    first: dict[tuple[int, bytes], tuple[Mark, str, int]] = {}

    def compare(place: Place, name: str, seen: os.stat_result) -> None:
        if sizes[seen.st_size] < 2 or seen.st_nlink > 1 or leave(seen):
            return
        if found.compared >= COMPARED:
            found.left_out += 1
            return
        digest = _digest(place.fd, name, seen, told)
        if digest is None:
            return
        found.compared += 1
        path, mark = judge.root.name(place.rel, name), (seen.st_mtime_ns, seen.st_ino)
        size = seen.st_blocks * 512
        older = first.get((seen.st_size, digest))
        if older is not None and older[0] < mark:
            _note(found, mark, path, (seen.st_size, size), older[1])
        else:
            first[seen.st_size, digest] = mark, path, size
            if older is not None:
                _note(found, older[0], older[1], (seen.st_size, older[2]), path)

    each(judge, compare, told)
    return found


def _note(found: Duplicates, mark: Mark, path: str, sizes: tuple[int, int], same: str) -> None:
    found.of[mark[1]] = sizes[0], mark[0]
    found.bytes += sizes[1]
    if len(found.sample) < 20:
        found.sample.append({"path": path, "bytes": sizes[1], "same_as": same})


def _digest(dir_fd: int, name: str, expected: os.stat_result, told: Callable[[], None]) -> bytes | None:
    """What is in a file, as a hash; None when it cannot be read, or changed meanwhile."""
    try:
        try:
            fd = os.open(name, _READ | os.O_NOATIME, dir_fd=dir_fd)
        except PermissionError:
            fd = os.open(name, _READ, dir_fd=dir_fd)
    except OSError:
        return None
    try:
        if not os.path.samestat(os.fstat(fd), expected):
            return None
        digest = hashlib.blake2b(digest_size=32)
        while chunk := os.read(fd, _CHUNK):
            digest.update(chunk)
            told()
        after = os.fstat(fd)
        same = (after.st_size, after.st_mtime_ns) == (expected.st_size, expected.st_mtime_ns)
        return digest.digest() if same else None
    except OSError:
        return None
    finally:
        os.close(fd)
