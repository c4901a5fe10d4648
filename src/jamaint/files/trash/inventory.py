"""Inventory: the record of what a step takes, kept apart from the trash, so that a trash that was thinned is found out.

Blocks as in plan files, sent to the daemon before the deed and appended there to a file of the execution. What is in
it and neither in the trash nor in its place any more cannot be put back, and an undo says so (inventory_comparison).
Each worker imports this module at its start, so it imports nothing of the trash.
"""

import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from jamaint.host.plan_file import BLOCK_BYTES, BLOCK_ITEMS, CutShortError, PlanFileError, blocks


class Part(NamedTuple):
    """A directory by its path below the root, names in it, and their inodes, sizes (bytes) and mtimes (nanoseconds).

    Records of before have no sizes and mtimes, and may have 0 for an inode that was not known.
    """

    rel: str
    names: Sequence[str]
    inodes: Sequence[int] = ()
    sizes: Sequence[int] = ()
    mtimes: Sequence[int] = ()


Record = Callable[[Sequence[Part]], None]
"""Writes down what is about to be taken: see Recording."""


def pack(key: Sequence[str], parts: Sequence[Part]) -> bytes:
    """Makes a block; `key` is (trash, step, root)."""
    return zlib.compress(json.dumps([list(key), list(parts)], separators=(",", ":")).encode("ascii"), 1)


class Recording:
    """Sends what a step takes from one root."""

    def __init__(self, key: Sequence[str], send: Callable[[bytes], None]) -> None:
        self._key, self._send = key, send

    def __call__(self, parts: Sequence[Part]) -> None:
        """Records some files, in blocks that are not too large. To be called before they go."""
        some: list[Part] = []
        count = 0
        for part in parts:
            some.append(part)
            count += len(part[1])
            if count >= BLOCK_ITEMS:
                self._send(pack(self._key, some))
                some, count = [], 0
        if some:
            self._send(pack(self._key, some))


class Inventory:
    """The record of an execution, from an open file."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def parts(self, key: Sequence[str]) -> Iterator[Part]:
        """What one step took from one root. Raises Unreadable, OSError."""
        for block in self._blocks():
            try:
                found, parts = json.loads(zlib.decompressobj().decompress(block, BLOCK_BYTES))
            except (zlib.error, ValueError, TypeError) as error:
                raise PlanFileError(f"a block of it cannot be read: {error}") from None
            if list(key) == found:
                yield from (Part(*part) for part in parts)

    def _blocks(self) -> Iterator[bytes]:
        """All whole blocks: what the daemon was killed in the midst of writing down tells of nothing else."""
        with suppress(CutShortError):
            for _, block in blocks(self._fd):
                yield block
