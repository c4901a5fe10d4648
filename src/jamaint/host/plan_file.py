"""Plan files: the items of a stored plan, in compressed blocks, one after the other; a million of them in little room.

    <length: 4 bytes> <block> <length> <block> …

A block is what a worker sends as it comes, so that writing costs nothing but the writing. Reading goes block by block.
"""

import contextlib
import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from jamaint.core.plans import Item

if TYPE_CHECKING:
    import hashlib

BLOCK_ITEMS = 1000
BLOCK_BYTES = 4 << 20
"""More than a block of our own ever has, compressed or not: a thousand paths of four thousand bytes."""
FILE_BYTES = 2 << 30
YOUNG_SECONDS = 24 * 3600.0
_BYTES_OF_LENGTH = 4


class PlanFileError(Exception):
    """The file is no plan of ours, or not whole."""


class CutShortError(PlanFileError):
    """The last block is not all there: who wrote it was killed in the midst of it."""


def pack(step: str, items: Iterable[Item]) -> bytes:
    """A block."""
    text = json.dumps([step, list(items)], separators=(",", ":"))
    return zlib.compress(text.encode("ascii"), 1)


def unpack(block: bytes) -> tuple[str, list[Item]]:
    """The inverse of `pack`. Raises Unreadable."""
    try:
        text = zlib.decompressobj().decompress(block, BLOCK_BYTES)
        step, items = json.loads(text)
        return str(step), [Item(*item) for item in items]
    except (zlib.error, ValueError, TypeError) as error:
        raise PlanFileError(f"a block of it cannot be read: {error}") from None


class Packing:
    """Makes blocks of a step's items as they are told; `send` gets (number of items, block)."""

    def __init__(self, step: str, send: Callable[[int, bytes], None]) -> None:
        self._step, self._send = step, send
        self._part = ""
        self._items: list[Item] = []

    def tell(self, item: Item, part: str = "") -> None:
        """Adds one, of the step or of a part of it: their steps are then step/part."""
        if part != self._part:
            self.finish()
            self._part = part
        self._items.append(item)
        if len(self._items) == BLOCK_ITEMS:
            self.finish()

    def finish(self) -> None:
        """Sends what waits."""
        items, self._items = self._items, []
        if items:
            step = f"{self._step}/{self._part}" if self._part else self._step
            self._send(len(items), pack(step, items))


class Writing:
    """A plan file that is being written, nameless to others until it is `kept` under its hash."""

    def __init__(self, directory: str, name: str) -> None:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        self._directory, self._path = directory, os.path.join(directory, f"{name}.new")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        self._fd = os.open(self._path, flags, 0o600)
        self._hash = _sha256()
        self.bytes = 0

    def add(self, block: bytes) -> None:
        """Appends a block. Raises OSError, and Unreadable where it is larger than a plan may be."""
        if len(block) > BLOCK_BYTES or self.bytes + len(block) > FILE_BYTES:
            raise PlanFileError(f"it would be larger than {FILE_BYTES >> 30} GiB")
        data = memoryview(len(block).to_bytes(_BYTES_OF_LENGTH, "big") + block)
        self._hash.update(data)
        self.bytes += len(data)
        while data:
            data = data[os.write(self._fd, data) :]

    def keep(self, header: bytes) -> str:
        """Gives the file its name, the hash over the header and all blocks, and returns that."""
        name = _sha256(header + self._hash.digest()).hexdigest()
        os.fsync(self._fd)
        os.rename(self._path, os.path.join(self._directory, name))
        return name

    def close(self) -> None:
        """Ends it; what was not kept is gone."""
        os.close(self._fd)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)


def open_plan(path: str) -> int:
    """A descriptor of a plan file. Raises OSError."""
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)


def blocks(fd: int, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """(offset, block) from an offset that this gave before, to the end. Raises Unreadable."""
    while head := os.pread(fd, _BYTES_OF_LENGTH, offset):
        length = int.from_bytes(head, "big")
        if len(head) < _BYTES_OF_LENGTH:
            raise CutShortError("it is cut short")
        if not 0 < length <= BLOCK_BYTES:
            raise PlanFileError("it has a block that is none")
        block = os.pread(fd, length, offset + _BYTES_OF_LENGTH)
        if len(block) < length:
            raise CutShortError("it is cut short")
        yield offset, block
        offset += _BYTES_OF_LENGTH + length


def hash_of(path: str, header: bytes) -> str:
    """The hash that the file and that header have now. Raises OSError."""
    whole = _sha256()
    fd = open_plan(path)
    try:
        while part := os.read(fd, 1 << 20):
            whole.update(part)
    finally:
        os.close(fd)
    return _sha256(header + whole.digest()).hexdigest()


def _sha256(data: bytes = b"") -> "hashlib._Hash":
    import hashlib  # noqa: PLC0415 - 3 ms of each worker's start, and a worker only sends or reads blocks

    return hashlib.sha256(data)


def size_of(directory: str) -> tuple[int, int]:
    """Return the bytes of all plans of a directory, and how many there are."""
    try:
        with os.scandir(directory) as found:
            sizes = [entry.stat(follow_symlinks=False).st_size for entry in found]
    except FileNotFoundError:  # none was ever stored, or one goes right now
        return 0, 0
    return sum(sizes), len(sizes)


def remove_others(directory: str, kept: frozenset[str], now: float) -> None:
    """Removes what is not one of the `kept`, unless it is so young that its row may not be written yet."""
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(directory):
            path = os.path.join(directory, name)
            if name not in kept and now - os.lstat(path).st_mtime > YOUNG_SECONDS:
                os.unlink(path)


class StoredItems:
    """The items of an open plan file; see executors.shared.executor.Planned."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def items(self) -> Iterator[tuple[str, Item]]:
        """(step, item) in the order of the plan. Raises Unreadable."""
        for _, block in blocks(self._fd):
            step, items = unpack(block)
            for item in items:
                yield step, item


def page(path: str, offset: int, skip: int, limit: int) -> tuple[list[tuple[str, Item]], tuple[int, int] | None]:
    """At most `limit` items from the block at `offset` on, `skip` of it left out, and where the next page begins.

    Raises OSError and Unreadable.
    """
    found: list[tuple[str, Item]] = []
    fd = open_plan(path)
    try:
        for at, block in blocks(fd, offset):
            step, items = unpack(block)
            rest = items[skip:]
            taken = rest[: limit - len(found)]
            found += [(step, item) for item in taken]
            if len(taken) < len(rest):
                return found, (at, skip + len(taken))
            skip = 0
    finally:
        os.close(fd)
    return found, None
