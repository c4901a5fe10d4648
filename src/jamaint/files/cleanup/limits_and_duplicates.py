"""Limits and duplicates: what must be known of all files below a path before any of them goes."""

import fnmatch
import hashlib
import heapq
import os
import re
import stat
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from jamaint.files.access.root import Place
from jamaint.files.access.skip_report import Skipped
from jamaint.files.cleanup.eligibility import Judge
from jamaint.files.cleanup.sweep import Sweep, Tally
from jamaint.files.rights.attributes import MUST_STAY
from jamaint.files.rules.name_dates import NameDate

COMPARED = 200_000
"""Files that are compared by their content at the most, those of equal size first met."""
_CHUNK = 1 << 20
_LATEST = (1 << 63) - 1
"""The year 2262: what is later, on file systems that can, counts as from then."""
_RUN = 1 << 12
"""Files whose sizes are sorted at a time."""
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_SHOWN = 20
Mark = tuple[int, int]
"""(time of writing in nanoseconds, inode): orders files by age, and no two are equal."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many files, and how many bytes of them on disk, may stay; how many bytes are to become free. None for any."""

    files: int | None = None
    bytes: int | None = None
    free: int | None = None


@dataclass(frozen=True, slots=True)
class Bounds:
    """Files before the mark `floor` are too many or too much; those before `until` are as much as is to become free."""

    floor: Mark | None = None
    until: Mark | None = None


class Newest:
    """The newest `count` of each group, which stay: of all (`path`), in each directory, or of each pattern.

    Marks are added, and after close() each can be asked for. Of each group `count` marks are remembered.
    """

    def __init__(self, count: int, per: str, patterns: Sequence[str] = ()) -> None:
        self.count, self._per = count, per
        self._patterns = [re.compile(fnmatch.translate(pattern.rpartition("/")[2])).match for pattern in patterns]
        self._groups: dict[int, list[Mark]] = {}
        self._least: dict[int, Mark] = {}

    def is_meant(self, name: str) -> bool:
        """Whether one of the patterns means that name."""
        return any(pattern(name) for pattern in self._patterns)

    def add(self, mark: Mark, name: str, fd: int) -> None:
        """Note one, in an open directory."""
        if not self.count:
            return
        group = self._groups.setdefault(self._key(name, fd), [])
        if len(group) < self.count:
            heapq.heappush(group, mark)
        else:
            heapq.heappushpop(group, mark)

    def close(self) -> None:
        """All have been added."""
        self._least = {key: group[0] for key, group in self._groups.items()}
        self._groups = {}

    def keeps(self, mark: Mark, name: str, fd: int) -> bool:
        """Whether it is among the newest of its group; one that has come since is, if it is as new."""
        if not self.count:
            return False
        least = self._least.get(self._key(name, fd))
        return least is None or mark >= least

    def _key(self, name: str, fd: int) -> int:
        if self._per == "directory":
            return os.fstat(fd).st_ino
        if self._per == "pattern":
            return next((number for number, pattern in enumerate(self._patterns) if pattern(name)), -1)
        return 0


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


class _Sized:
    """Marks with the bytes on disk that go with each, in 24 bytes a file; a file with several names is counted once."""

    def __init__(self) -> None:
        self._some: list[tuple[Mark, int]] = []
        self._runs: list[tuple[array[int], array[int], array[int]]] = []
        self._linked: set[int] = set()
        self.bytes = 0

    def add(self, mark: Mark, seen: os.stat_result) -> None:
        """Remembers one."""
        if seen.st_nlink > 1:
            if seen.st_ino in self._linked:
                return
            self._linked.add(seen.st_ino)
        self.bytes += seen.st_blocks * 512
        self._some.append(((min(mark[0], _LATEST), mark[1]), seen.st_blocks * 512))
        if len(self._some) >= _RUN:
            self._end_run()

    def newest_first(self) -> Iterator[tuple[Mark, int]]:
        """All of them, once."""
        self._end_run()
        return heapq.merge(*(self._read(*run) for run in self._runs), reverse=True)

    def _end_run(self) -> None:
        self._some.sort(reverse=True)
        times, inodes = array("q", (one[0][0] for one in self._some)), array("Q", (one[0][1] for one in self._some))
        self._runs.append((times, inodes, array("q", (one[1] for one in self._some))))
        self._some = []

    @staticmethod
    def _read(times: "array[int]", inodes: "array[int]", sizes: "array[int]") -> Iterator[tuple[Mark, int]]:
        return (((time, inode), size) for time, inode, size in zip(times, inodes, sizes, strict=True))


def beyond(
    judge: Judge,
    limits: Limits,
    newest: Newest,
    told: Callable[[], None],
    *,
    dates: NameDate | None = None,
    aged: Callable[[Any, str], bool] = lambda _seen, _name: True,
) -> Bounds:
    """Look through all files for what is beyond the limits, and note the newest. `dates` reads their ages from names;
    `aged` tells of (status, name) which may go to make room.

    24 bytes for each file are remembered where sizes are limited, else no more than the marks of those that stay.
    """
    keep = limits.files or 0
    stay: list[Mark] = []
    sized, freeable = _Sized(), _Sized()

    def note(place: Place, name: str, seen: os.stat_result) -> None:
        moment = seen.st_mtime_ns if dates is None else dates(name)
        if moment is None:
            return
        mark = moment, seen.st_ino
        newest.add(mark, name, place.fd)
        if limits.bytes is not None:
            sized.add(mark, seen)
        if limits.free is not None and aged(seen, name):
            freeable.add(mark, seen)
        if keep:
            (heapq.heappush if len(stay) < keep else heapq.heappushpop)(stay, mark)

    each(judge, note, told)
    newest.close()
    floor = None
    if limits.files is not None:
        floor = min(stay) if limits.files and len(stay) >= limits.files else None
        floor = (1 << 127, 0) if limits.files == 0 else floor
    if limits.bytes is not None:
        above = _above(sized, limits.bytes)
        floor = above if floor is None or above is None else max(floor, above)
    until = None if limits.free is None else _above(freeable, freeable.bytes - limits.free) or (0, 0)
    return Bounds(floor, until)


def _above(sized: _Sized, limit: int) -> Mark | None:
    """The mark above the newest file that is too much, where so many bytes may stay; None where all may."""
    total = 0
    for mark, size in sized.newest_first():
        total += size
        if total > limit:
            return (mark[0], mark[1] + 1)
    return None


@dataclass(slots=True)
class First:
    """The oldest of those that hold the same, which stays: where it is, how it was, and its bytes on disk."""

    path: str
    mark: Mark
    seen: tuple[int, ...]
    bytes: int

    def stands(self) -> bool:
        """Whether it is still there, and the same that was compared."""
        try:
            return _exact(os.lstat(self.path)) == self.seen
        except OSError:
            return False


@dataclass(slots=True)
class Duplicates:
    """Files that hold the same as an older one, by inode: the moments of writing and of change in nanoseconds, and the
    older one. Their bytes on disk; pairs for a person."""

    of: dict[int, tuple[int, int, First]] = field(default_factory=dict)
    bytes: int = 0
    sample: list[dict[str, Any]] = field(default_factory=list)
    compared: int = 0
    left_out: int = 0


def duplicates(judge: Judge, leave: Callable[[os.stat_result], bool], told: Callable[[], None]) -> Duplicates:
    """Compares the files below by size and then by content; the oldest of each stays. `leave` tells files to ignore.

    Files of another owner, group or mode, or with other attributes, are not the same: who may read or change the one
    that stays is not who may the one that goes.
    """
    sizes = Counter[int]()

    def count(_: Place, __: str, seen: os.stat_result) -> None:
        if seen.st_size and seen.st_nlink == 1 and not leave(seen):
            sizes[seen.st_size] += 1

    each(judge, count, told)
    found = Duplicates()
    first: dict[tuple[Any, ...], First] = {}
    pairs: list[tuple[First, First]] = []

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
        mark = seen.st_mtime_ns, seen.st_ino
        one = First(judge.root.name(place.rel, name), mark, _exact(seen), seen.st_blocks * 512)
        same = first.setdefault((seen.st_size, seen.st_uid, seen.st_gid, seen.st_mode, digest), one)
        if same is one:
            return
        if one.mark < same.mark:  # those that are the same as `same` are told of the older one, too
            newer = replace(same)
            same.path, same.mark, same.seen, same.bytes = one.path, one.mark, one.seen, one.bytes
            one = newer
        found.of[one.mark[1]] = one.mark[0], one.seen[-1], same
        found.bytes += one.bytes
        if len(pairs) < _SHOWN:
            pairs.append((one, same))

    each(judge, compare, told)
    found.sample = [{"path": one.path, "bytes": one.bytes, "same_as": same.path} for one, same in pairs]
    return found


def _exact(seen: os.stat_result) -> tuple[int, ...]:
    """What changes when a file does, its time of change last: that one nobody can set back."""
    return seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns


def _digest(dir_fd: int, name: str, expected: os.stat_result, told: Callable[[], None]) -> bytes | None:
    """What is in a file and in its attributes, as a hash; None when it cannot be read, or changed meanwhile."""
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
        for attribute in _attributes(fd):
            digest.update(os.fsencode(repr((attribute, os.getxattr(fd, attribute)))))
        return digest.digest() if _exact(os.fstat(fd)) == _exact(expected) else None
    except OSError:
        return None
    finally:
        os.close(fd)


def _attributes(fd: int) -> list[str]:
    try:
        return sorted(name for name in os.listxattr(fd) if name.startswith(MUST_STAY))
    except OSError:  # a file system without
        return []
