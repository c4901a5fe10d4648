"""Replacement: make something of a file, prove it, put it in place, and only then take the file away."""

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import RLock
from typing import Protocol

from jamaint.files.access.compression import Codec
from jamaint.files.access.file_copy import Sum, copy_bytes, open_source, read_back
from jamaint.files.access.root import Place
from jamaint.files.access.tree_walk import fingerprint
from jamaint.files.rights.attributes import AttributesDifferError, FileAttributes, mode_without_list
from jamaint.files.rules.compressed_names import PACKED
from jamaint.files.trash.removal import (
    CHANGED,
    RemovalMethod,
    RemovalTally,
    Second,
    StagedFile,
    held_by,
    note_error,
    sync_place,
)
from jamaint.files.trash.stops import DiskError

TOGETHER = 64
"""Files that are made before their directory is made durable once and they are taken."""

_NO_LINK = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS})


class Maker(Protocol):
    """What is made of a file."""

    links: bool
    """Whether a second name of the file itself will do, where the file system lets us give it one."""

    def names(self, name: str) -> Iterator[str]:
        """Names for what is made of a file of this name, the best first, without end."""

    def make(self, source: int, seen: os.stat_result, half: StagedFile, tick: Callable[[int], None]) -> None:
        """Fills the new file and proves it. Raises AttributesDifferError, OSError."""


@dataclass(slots=True)
class Made:
    """What was made so far: sizes and bytes on disk of the new files, and how many were read back and compared."""

    bytes: int = 0
    blocks: int = 0
    verified: int = 0


@dataclass(frozen=True, slots=True)
class _Source:
    place: Place
    name: str
    mark: int
    fd: int
    seen: os.stat_result


@dataclass(frozen=True, slots=True)
class _Pending:
    name: str
    mark: int
    made: str
    inode: int
    size: int
    blocks: int
    verified: bool = False


class Packing:
    """Makes a compressed file beside its source."""

    links = False

    def __init__(self, codec: Codec) -> None:
        self._codec = codec

    def names(self, name: str) -> Iterator[str]:
        """name.gz, name.1.gz, name.2.gz …"""
        for middle in _numbers():
            yield f"{name}{middle}{self._codec.suffix}"

    def make(self, source: int, seen: os.stat_result, half: StagedFile, tick: Callable[[int], None]) -> None:
        """See Maker."""
        packed = self._codec.pack(source, half.fd, seen.st_size, tick)
        _prove(packed, seen.st_size, lambda: self._codec.unpack(half.fd, tick))


class Copying:
    """Makes a copy, or a second name where source and copy are on one file system."""

    links = True

    def names(self, name: str) -> Iterator[str]:
        """name, name.1, name.2 …, and name.1.gz for name.gz, so that programs still know what it is."""
        packed = next((ending for ending in PACKED if name.endswith(ending) and name != ending), "")
        for middle in _numbers():
            yield f"{name.removesuffix(packed)}{middle}{packed}"

    def make(self, source: int, seen: os.stat_result, half: StagedFile, tick: Callable[[int], None]) -> None:
        """See Maker."""
        copied = copy_bytes(source, half.fd, seen.st_size, tick)

        def again() -> Sum:
            os.fsync(half.fd)
            return read_back(half.fd, seen.st_size, tick)

        _prove(copied, seen.st_size, again)


class Replacing:
    """Replaces files of one directory; settle() before the directory is closed takes those whose copies are safe."""

    def __init__(
        self, maker: Maker, leaving: RemovalMethod, arriving: RemovalMethod, source_number: int, ledger: RemovalTally
    ) -> None:
        self.made, self.ledger, self.arriving = Made(), ledger, arriving
        self._maker, self._leaving = maker, leaving
        self._number, self._skipped = source_number, ledger.skipped
        self._pending: list[_Pending] = []
        self._lock = RLock()

    def replace(self, place: Place, target: Place, name: str, mark: int, tick: Callable[[int], None]) -> None:
        """Makes the new file of one that still is what was judged. Raises DiskError, and what `tick` raises.

        May be called in several threads: what is made is made side by side, all else is done by one at a time.
        """
        with self._lock:
            self._replace(place, target, name, mark, tick)

    def _replace(self, place: Place, target: Place, name: str, mark: int, tick: Callable[[int], None]) -> None:
        root = self._leaving.root
        try:
            source = open_source(name, place.fd)
            try:
                seen = os.fstat(source)
                why = self._objection(seen, mark)
                if why is not None:
                    self._skipped.add(root.name(place.rel, name), why)
                    return
                self._make(_Source(place, name, mark, source, seen), target, tick)
            finally:
                os.close(source)
        except AttributesDifferError as reason:
            self._skipped.add(root.name(place.rel, name), str(reason), problem=True)
        except OSError as error:
            note_error(error, root, place, name, self._skipped)
        if len(self._pending) >= TOGETHER:
            self.settle(place, target)

    def settle(self, place: Place, target: Place) -> None:
        """Makes what was made durable and takes the sources; what cannot be taken loses its copy again."""
        pending, self._pending = self._pending, []
        if not pending:
            return
        sync_place(target)
        names, marks = [file.name for file in pending], [file.mark for file in pending]
        try:
            left = set(self._leaving.take(place, names, marks, self.ledger))
        except DiskError:
            self._withdraw_standing(pending, place, target)
            raise
        for file in pending:
            if file.name in left:
                self.arriving.withdraw(target, file.made, file.inode)
            else:
                self.made.bytes += file.size
                self.made.blocks += file.blocks
                self.made.verified += file.verified

    def _withdraw_standing(self, pending: Sequence[_Pending], place: Place, target: Place) -> None:
        """Take back what was made of files that still stand where they were."""
        for file in pending:
            with suppress(OSError):
                if fingerprint(os.lstat(file.name, dir_fd=place.fd)) == file.mark:
                    self.arriving.withdraw(target, file.made, file.inode)

    def _objection(self, seen: os.stat_result, mark: int) -> str | None:
        if fingerprint(seen) != mark:
            return CHANGED
        if seen.st_ino in self.ledger.held.writers:
            return held_by(self.ledger.held.writers[seen.st_ino])
        if seen.st_nlink != 1 and not self._maker.links:
            return f"it has {seen.st_nlink} names (hard links)"
        return None

    def _make(self, source: _Source, target: Place, tick: Callable[[int], None]) -> None:
        origin = f"{self._number}/{_join(source.place.rel, source.name)}"
        if self._maker.links and self._link(source, target, origin):
            tick(source.seen.st_size)
            return
        half = self.arriving.half(target)
        try:
            with self._side_by_side(half):
                seen = source.seen
                wanted = FileAttributes.of(source.fd, seen)
                wanted.give(half.fd)
                self._maker.make(source.fd, seen, half, tick)
                if fingerprint(os.fstat(source.fd)) != source.mark:
                    raise AttributesDifferError("it was written to while it was read")
                wanted.settle(half.fd, (seen.st_atime_ns, seen.st_mtime_ns))
                os.fsync(half.fd)
            made = self.arriving.publish(target, half, self._maker.names(source.name), origin)
            new = os.fstat(half.fd)
            blocks = new.st_blocks * 512
            self._pending.append(_Pending(source.name, source.mark, made, new.st_ino, new.st_size, blocks, True))
        finally:
            half.close()

    @contextmanager
    def _side_by_side(self, half: StagedFile) -> Iterator[None]:
        """Lets others in meanwhile, where a file that is being made has no name that theirs would get too."""
        if half.named:
            yield
            return
        self._lock.release()
        try:
            yield
        finally:
            self._lock.acquire()

    def _link(self, source: _Source, target: Place, origin: str) -> bool:
        """Publishes a second name of the file itself; false where it has to be a copy."""
        second = Second(source.place.fd, source.name, source.seen.st_ino)
        try:
            made = self.arriving.publish(target, second, self._maker.names(source.name), origin)
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            return False
        finally:
            second.close()
        self._pending.append(
            _Pending(source.name, source.mark, made, source.seen.st_ino, source.seen.st_size, 0, False)
        )
        return True


def archive_place(way: RemovalMethod, prefix: str, source: Place) -> Place:
    """Opens the directory of the archive that keeps a source directory's path, and makes what is missing of it.

    `way` leads into the archive; `prefix` is what of its own path has to be made. Raises DirectoryRefusedError,
    OSError.
    """
    root = way.root
    mine = os.stat_result((0o40750, 0, 0, 1, os.geteuid(), os.getegid(), 0, 0, 0, 0))
    wanted = [(name, mine) for name in prefix.split("/") if name]
    depths = [0] * len(wanted)  # of these there is no original
    if source.rel != ".":
        wanted += list(zip(source.rel.split("/"), source.stats, strict=True))
        depths += range(len(source.stats), 0, -1)
    rel = "."
    for (name, like), depth in zip(wanted, depths, strict=True):
        inner = _join(rel, name)
        with root.descend(rel) as parent:
            try:
                os.lstat(name, dir_fd=parent.fd)
            except FileNotFoundError:
                way.make_directory(parent, name, _without_list(source.fd, depth, like) if depth else like)
        rel = inner
    return root.descend(rel)


def _without_list(fd: int, depth: int, seen: os.stat_result) -> os.stat_result:
    """Return how a directory on the way to an open one was, but for its access list, which a new one does not get.

    `depth` is 1 for the open one. Raises OSError, also where it is another one by now.
    """
    above = os.open("/".join([".", *[".."] * (depth - 1)]), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
    try:
        if not os.path.samestat(os.fstat(above), seen):
            raise FileNotFoundError(errno.ENOENT, "replaced meanwhile")
        return os.stat_result((mode_without_list(above, seen.st_mode), *seen[1:10]))
    finally:
        os.close(above)


def _prove(read: Sum, size: int, again: Callable[[], Sum | None]) -> None:
    if read.length != size:
        raise AttributesDifferError("it was written to while it was read")
    if again() != read:
        raise AttributesDifferError("what was made of it, read back, is not the same")


def _numbers() -> Iterator[str]:
    yield ""
    number = 1
    while True:
        yield f".{number}"
        number += 1


def _join(rel: str, name: str) -> str:
    return name if rel == "." else f"{rel}/{name}"
