"""Taking files out of a directory and linking made ones into it: what the two ways, with and without a trash, share."""

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from jamaint.files.access import syscalls
from jamaint.files.access.batch_stat import Status, Statuses
from jamaint.files.access.globs import OURS
from jamaint.files.access.root import DirectoryRefusedError, Place, Root, readable
from jamaint.files.access.skip_report import STOPS_EVERYTHING, Skipped, why_not, words
from jamaint.files.access.thread_fanout import Spread
from jamaint.files.rights.attributes import drop_access_lists
from jamaint.files.trash.stops import DiskError
from jamaint.files.use.records import PURPOSES

HALF_FILE, HALF_DIRECTORY = "half", "half-directory"
"""What is not yet linked or renamed to where it belongs; only a kill leaves one behind."""


@dataclass(slots=True)
class Taken:
    """What was taken so far: files, their sizes, and the bytes on disk that nobody else holds (one name, not open)."""

    files: int = 0
    bytes: int = 0
    alone: int = 0
    _links: dict[tuple[int, int], tuple[int, int, int]] = field(default_factory=dict)
    """Of a file with several names: the names taken, all its names, and its bytes on disk."""

    def add(self, seen: os.stat_result | Status, open_inodes: Container[int]) -> None:
        """Counts one file by how it was right before; of one with several names the last name counts."""
        self.files += 1
        self.bytes += seen.st_size
        if seen.st_ino in open_inodes:
            return
        if seen.st_nlink > 1 or (self._links and (seen.st_dev, seen.st_ino) in self._links):
            self._add_link((seen.st_dev, seen.st_ino), 1, seen.st_nlink, seen.st_blocks * 512)
        else:
            self.alone += seen.st_blocks * 512

    def add_some(self, seen: Statuses, numbers: Sequence[int], open_inodes: frozenset[int]) -> None:
        """Counts some of the files that were just looked at, by how they were then."""
        alone = not self._links and numbers and len(numbers) == seen.count and max(seen.links) == 1
        if alone and open_inodes.isdisjoint(seen.inodes):
            self.files += seen.count
            self.bytes += sum(seen.sizes)
            self.alone += sum(seen.blocks) * 512
            return
        for number in numbers:
            self.add(seen.one(number), open_inodes)

    def merge(self, other: "Taken") -> None:
        """Adds what was counted apart."""
        self.files += other.files
        self.bytes += other.bytes
        self.alone += other.alone
        for key, link in other._links.items():
            self._add_link(key, *link)

    def _add_link(self, key: tuple[int, int], count: int, names: int, size: int) -> None:
        before = self._links.pop(key, (0, 0, 0))
        names = max(names, before[1])  # where names are removed, each that is looked at later has fewer
        if before[0] + count >= names:
            self.alone += size
        else:
            self._links[key] = (before[0] + count, names, size)


@dataclass(frozen=True, slots=True)
class Held:
    """Open files on one file system: pid by inode of those open for writing; all inodes that are open."""

    writers: Mapping[int, int]
    any: frozenset[int]


@dataclass(slots=True)
class RemovalTally:
    """The books of one root's part of a step: what others hold open, what was taken, what was left alone."""

    held: Held
    skipped: Skipped
    taken: Taken = field(default_factory=Taken)
    directories: int = 0
    """Those that went."""


class StagedFile:
    """A file being made: nameless where the file system can (a kill leaves nothing), else under a name of ours."""

    def __init__(self, dir_fd: int, name: str, place_fd: int | None = None) -> None:
        """`dir_fd` is where it gets a name of ours; one without is made in `place_fd`, where it belongs.

        It has the group then that files get from that directory: who is no member of it could not give it.
        """
        self._dir_fd, self._name = dir_fd, ""
        where = dir_fd if place_fd is None else place_fd
        try:
            self.fd = os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600, dir_fd=where)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL):
                raise
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=dir_fd)
            flags = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_RDWR | os.O_CLOEXEC
            self.fd = os.open(name, flags, 0o600, dir_fd=dir_fd)
            self._name = name

    @property
    def named(self) -> bool:
        """Whether it has a name of ours, which there is only one of in a directory."""
        return bool(self._name)

    def link(self, dir_fd: int, name: str) -> None:
        """Gives it a name. Raises FileExistsError."""
        if self._name:
            os.link(self._name, name, src_dir_fd=self._dir_fd, dst_dir_fd=dir_fd, follow_symlinks=False)
        else:
            os.link(f"/proc/self/fd/{self.fd}", name, dst_dir_fd=dir_fd, follow_symlinks=True)

    def close(self) -> None:
        """Ends it; what has no name by now is gone."""
        os.close(self.fd)
        if self._name:
            os.unlink(self._name, dir_fd=self._dir_fd)


class Second:
    """A second name for an existing file, to be published like a made one."""

    def __init__(self, dir_fd: int, name: str, inode: int) -> None:
        self.fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd)
        if os.fstat(self.fd).st_ino != inode:
            os.close(self.fd)
            raise FileNotFoundError(errno.ENOENT, "replaced meanwhile", name)

    def link(self, dir_fd: int, name: str) -> None:
        """Gives it one more name. Raises FileExistsError; OSError EXDEV, EPERM, EMLINK where it has to be a copy."""
        os.link(f"/proc/self/fd/{self.fd}", name, dst_dir_fd=dir_fd, follow_symlinks=True)

    def close(self) -> None:
        """Ends it."""
        os.close(self.fd)


class RemovalMethod(Protocol):
    """How files leave a root: through the trash, or directly, without a way back."""

    root: Root

    def take(self, place: Place, names: Sequence[str], prints: Sequence[int], ledger: RemovalTally) -> list[str]:
        """Takes files that still are what was judged (fingerprints) and that nobody writes to; returns the others."""

    def half(self, place: Place) -> StagedFile:
        """A new file, to be published in `place`."""

    def publish(self, place: Place, file: StagedFile | Second, names: Iterator[str], source: str) -> str:
        """Links a finished file into its place under the first free name and returns that; never overwrites.

        `source` says what it was made from, as <number of the root in the undo>/<path>.
        """

    def withdraw(self, place: Place, name: str, inode: int) -> None:
        """Takes back a published file whose source could not be taken."""

    def make_directory(self, parent: Place, name: str, like: os.stat_result) -> None:
        """Makes a directory with this mode and owner, whole at once; one that is there already stays as it is."""

    def finish(self) -> None:
        """Makes all that was done durable; nothing more is done after it."""

    def close(self) -> None:
        """Lets go; what is done stands."""


class DirectRemoval:
    """The way out without a way back: names are removed, and their space is free at once."""

    def __init__(self, root: Root, durable: bool = True) -> None:
        self.root = root
        self._durable = durable
        self._changed: set[str] = set()
        self._spread = Spread()

    def take(self, place: Place, names: Sequence[str], prints: Sequence[int], ledger: RemovalTally) -> list[str]:
        """See RemovalMethod."""
        self._note_change(place)
        remove = partial(_remove_some, place.fd, ledger.held.writers)
        left: list[str] = []
        for name, result in self._spread(remove, list(zip(names, prints, strict=True))):
            if isinstance(result, os.stat_result):
                ledger.taken.add(result, ledger.held.any)
                continue
            left.append(name)
            if isinstance(result, str):
                ledger.skipped.add(self.root.name(place.rel, name), result)
            else:
                note_error(result, self.root, place, name, ledger.skipped)
        return left

    def half(self, place: Place) -> StagedFile:
        """See RemovalMethod."""
        return StagedFile(place.fd, OURS + HALF_FILE)

    def publish(self, place: Place, file: StagedFile | Second, names: Iterator[str], source: str) -> str:  # noqa: ARG002
        """See RemovalMethod; there is no trash to note the source in."""
        self._note_change(place)
        for name in names:
            with contextlib.suppress(FileExistsError):
                file.link(place.fd, name)
                return name
        raise AssertionError("names never end")

    def withdraw(self, place: Place, name: str, inode: int) -> None:
        """See RemovalMethod."""
        if os.lstat(name, dir_fd=place.fd).st_ino == inode:
            os.unlink(name, dir_fd=place.fd)

    def remove_directory(self, place: Place, name: str) -> None:
        """Removes an empty directory. Raises OSError."""
        os.rmdir(name, dir_fd=place.fd)

    def make_directory(self, parent: Place, name: str, like: os.stat_result) -> None:
        """See RemovalMethod."""
        make_whole((parent.fd, OURS + HALF_DIRECTORY), (parent.fd, name), Likeness.of(like))

    def finish(self) -> None:
        """See RemovalMethod."""
        for rel in self._changed:
            sync(self.root, rel)

    def close(self) -> None:
        """See RemovalMethod."""

    def _note_change(self, place: Place) -> None:
        if self._durable:  # what is only removed need not be: after a crash it is there again, and found again
            self._changed.add(place.rel)


def unchanged(
    seen: Statuses, root: Root, place: Place, prints: Mapping[str, int], ledger: RemovalTally
) -> tuple[list[str], list[str]]:
    """(files that still have these fingerprints and are written to by nobody, the others); notes why those stay.

    Raises DiskError.
    """
    left: list[str] = []
    writers, skipped = ledger.held.writers, ledger.skipped

    def failed(name: str, error: OSError) -> None:
        left.append(name)
        note_error(error, root, place, name, skipped)

    found = seen.look(list(prints), place.fd, failed)
    now, inodes, marks = seen.prints(), seen.inodes, [prints[name] for name in found]
    if now == marks and writers.keys().isdisjoint(inodes):
        return found, left
    same: list[str] = []
    for number, (name, mark) in enumerate(zip(found, marks, strict=True)):
        if now[number] != mark:
            skipped.add(root.name(place.rel, name), CHANGED)
            left.append(name)
        elif inodes[number] in writers:
            skipped.add(root.name(place.rel, name), held_by(writers[inodes[number]]))
            left.append(name)
        else:
            same.append(name)
    return same, left


def _remove_some(
    fd: int, writers: Mapping[int, int], files: Sequence[tuple[str, int]]
) -> list[tuple[str, os.stat_result | str | OSError]]:
    """Removes those that still are what was judged; how they were, or why they stay.

    Each is looked at right before it goes, and not many at once: there is no way back.
    """
    results: list[tuple[str, os.stat_result | str | OSError]] = []
    for name, mark in files:
        try:
            seen = os.lstat(name, dir_fd=fd)
            if hash((seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns)) != mark:
                results.append((name, CHANGED))
            elif seen.st_ino in writers:
                results.append((name, held_by(writers[seen.st_ino])))
            else:
                os.unlink(name, dir_fd=fd)
                results.append((name, seen))
        except OSError as error:
            results.append((name, error))
    return results


def unlink(spread: Spread, fd: int, names: Sequence[str]) -> dict[str, OSError]:
    """Removes names from an open directory; returns why some are still there."""

    def some(share: Sequence[str]) -> list[tuple[str, OSError]]:
        stay = []
        for name in share:
            try:
                os.unlink(name, dir_fd=fd)
            except OSError as error:
                stay.append((name, error))
        return stay

    return dict(spread(some, names))


CHANGED = "it has changed since it was looked at"


def held_by(holder: int) -> str:
    """Return why a file that is still written to is left alone; `holder` as in OpenFiles.writers_on."""
    return f"process {holder} holds it open for writing" if holder >= 0 else PURPOSES[-holder]


def note_error(error: OSError, root: Root, place: Place, name: str, skipped: Skipped) -> None:
    """Counts a file that could not be dealt with. Raises DiskError when none could be from here on."""
    path = root.name(place.rel, name)
    if error.errno == errno.ENOENT:
        skipped.add(path, "it is no longer there")
        return
    skipped.add(path, why_not(error, name, place.fd), problem=True)
    if error.errno in STOPS_EVERYTHING:
        raise DiskError(f"{path}: {words(error)}") from None


@dataclass(frozen=True, slots=True)
class Likeness:
    """What a new directory is to be like; unless `exact`, it may be ours where we cannot give it to its owner."""

    mode: int
    uid: int
    gid: int
    exact: bool = True

    @classmethod
    def of(cls, seen: os.stat_result) -> "Likeness":
        """Like one that was looked at, as far as we may."""
        return cls(seen.st_mode, seen.st_uid, seen.st_gid, exact=False)


def make_whole(
    aside: tuple[int, str],
    place: tuple[int, str],
    like: Likeness,
    before: Callable[[os.stat_result], None] | None = None,
) -> bool:
    """Makes a directory aside, gives it owner and mode, and renames it into its place; False if one is there.

    Both are (open directory, name). `before` is called right before it appears in its place.
    """
    parent, half = aside
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(half, dir_fd=parent)  # of one that was killed
    os.mkdir(half, 0o700, dir_fd=parent)
    try:
        fd = os.open(half, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            _make_like(fd, like)
            if before is not None:
                before(os.fstat(fd))
        finally:
            os.close(fd)
        syscalls.rename_noreplace(half, place[1], src_dir_fd=parent, dst_dir_fd=place[0])
    except FileExistsError:
        os.rmdir(half, dir_fd=parent)
        return False
    except OSError:
        os.rmdir(half, dir_fd=parent)
        raise
    return True


def _make_like(fd: int, like: Likeness) -> None:
    seen = os.fstat(fd)
    if (like.uid, like.gid) != (seen.st_uid, seen.st_gid):
        try:
            os.fchown(fd, like.uid, like.gid)
        except PermissionError:
            if like.exact:
                raise
    drop_access_lists(fd)
    os.fchmod(fd, stat.S_IMODE(like.mode))


def sync(root: Root, rel: str) -> None:
    """Makes durable what is done in a directory; one that has vanished needs it no more. Raises OSError."""
    with contextlib.suppress(DirectoryRefusedError), root.descend(rel) as place:
        sync_place(place)


def sync_place(place: Place) -> None:
    """Makes durable what is done in an open directory. Raises OSError."""
    fd = readable(place.fd)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
