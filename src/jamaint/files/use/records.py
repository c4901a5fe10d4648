"""The records in which a process tells another which files are in use: 24 bytes each, and nothing else is said.

A request is one byte, REQUEST. The reply is records, at most LIMIT of them, and one that ends it: END, with the number
of processes that could not be looked into, or FULL, when there were more than LIMIT and the reply is of no use.
"""

import struct
from collections.abc import Iterable, Iterator

READER, WRITER, OTHER, LOCK, KERNEL, HIDDEN = 1, 2, 3, 4, 5, 6
"""A file open or mapped for reading, or for writing; another thing that is open; locked; used by the kernel itself.

HIDDEN is a process that could not be looked into.
"""
END, FULL = 254, 255
LOOP, SWAP, BITMAP, TARGET, GADGET = range(1, 6)
"""What the kernel uses a file for: the value of a KERNEL record."""

PURPOSES = {
    LOOP: "a loop device uses it",
    SWAP: "the kernel swaps to it",
    BITMAP: "it is the bitmap of a RAID array",
    TARGET: "it is exported as a disk (target)",
    GADGET: "it is exported as a USB disk",
}
"""Why a file that the kernel uses is left alone."""

REQUEST = b"?"
LIMIT = 1_000_000
RECORD = struct.Struct("<QQIB3x")

Use = tuple[int, int, int, int]
"""(kind, device, inode, pid or the kernel's purpose)."""


def pack(uses: Iterable[Use]) -> Iterator[bytes]:
    """Return the reply that tells these uses, record by record; of several processes with one file, the first is told.

    Nobody asks for more than one, and so a thousand forks with a thousand files do not fill the reply.
    """
    told, hidden = set[tuple[int, int, int]](), 0
    for use in uses:
        kind, device, inode, value = use
        if kind == HIDDEN:
            hidden += 1
        elif (kind, device, inode) not in told:
            if len(told) >= LIMIT:
                yield RECORD.pack(0, 0, 0, FULL)
                return
            told.add((kind, device, inode))
            yield RECORD.pack(device, inode, value, kind)
    yield RECORD.pack(0, 0, hidden, END)


def unpack(data: bytes) -> Iterator[Use]:
    """Return the uses in some whole records."""
    for device, inode, value, kind in RECORD.iter_unpack(data):
        yield kind, device, inode, value
