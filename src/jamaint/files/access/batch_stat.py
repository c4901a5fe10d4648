"""statx of many files of one open directory in one call, as columns.

A look at one file costs Python several times what it costs the kernel. So the calls of a batch are made by `map`, into
one buffer, and what all files have in common (the kinds, the latest time, the sum of the blocks) is then read column by
column, without a line of Python for each file.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, repeat

from jamaint.files.access.tree_walk import BATCH

_BYTES = 256
_FLAGS = 0x100 | 0x800
"""AT_SYMLINK_NOFOLLOW, AT_NO_AUTOMOUNT."""
_BASIC = 0x7FF
_IMMUTABLE, _APPEND = 0x10, 0x20
_unpack = struct.Struct("=IIQIIIHHQQQQ" + "qIi" * 4 + "IIII").unpack_from

# Without declared types a call takes a third of the time: ints go as they are, bytes as char *. It must not be given a
# str. What failed is known by an empty mask, so the result and errno are not asked for.
_statx: Callable[..., None] = ctypes.CDLL(None)["statx"]
_statx.restype = None  # type: ignore[attr-defined]


class Status:
    """What is known of one file, as in an os.stat_result, and whether chattr has locked it ("" if not)."""

    __slots__ = (
        "locked",
        "st_atime_ns",
        "st_blocks",
        "st_ctime_ns",
        "st_dev",
        "st_ino",
        "st_mode",
        "st_mtime_ns",
        "st_nlink",
        "st_size",
        "st_uid",
    )

    locked: str
    st_atime_ns: int
    st_blocks: int
    st_ctime_ns: int
    st_dev: int
    st_ino: int
    st_mode: int
    st_mtime_ns: int
    st_nlink: int
    st_size: int
    st_uid: int


class Statuses:
    """The statuses of up to BATCH files, from one look to the next. Columns are lists in the order of the names."""

    def __init__(self) -> None:
        self._room = ctypes.create_string_buffer(_BYTES * BATCH)
        self._places = [ctypes.byref(self._room, number * _BYTES) for number in range(BATCH)]
        whole = memoryview(self._room).cast("B")
        self._shorts, self._ints = whole.cast("H"), whole.cast("I")
        self._longs, self._signed = whole.cast("Q"), whole.cast("q")
        self.count = 0

    def look(self, names: list[str], dir_fd: int, failed: Callable[[str, OSError], object]) -> list[str]:
        """Looks at files, links not followed. Returns the names of those whose statuses these are now.

        `failed` is told of the others, such as those that are gone.
        """
        while names:
            masks = self._ask(names, dir_fd)
            if all(masks):
                return names
            for name, mask in zip(names, masks, strict=True):
                if not mask:
                    failed(name, _error(name, dir_fd))
            names = [name for name, mask in zip(names, masks, strict=True) if mask]
        self.count = 0
        return names

    def _ask(self, names: Sequence[str], dir_fd: int) -> list[int]:
        if len(names) > BATCH:
            raise ValueError(f"{len(names)} names are more than there is room for")
        self.count = len(names)
        ctypes.memset(self._room, 0, _BYTES * self.count)
        raw = os.fsencode("\0".join(names)).split(b"\0")
        for _ in map(_statx, repeat(dir_fd), raw, repeat(_FLAGS), repeat(_BASIC), self._places):
            pass
        return self._ints[: 64 * self.count : 64].tolist()

    @property
    def modes(self) -> list[int]:
        return self._shorts[14 : 128 * self.count : 128].tolist()

    @property
    def links(self) -> list[int]:
        """How many names each file has."""
        return self._ints[4 : 64 * self.count : 64].tolist()

    @property
    def inodes(self) -> list[int]:
        return self._longs[4 : 32 * self.count : 32].tolist()

    @property
    def sizes(self) -> list[int]:
        """Bytes."""
        return self._longs[5 : 32 * self.count : 32].tolist()

    @property
    def blocks(self) -> list[int]:
        """Of 512 bytes each."""
        return self._longs[6 : 32 * self.count : 32].tolist()

    @property
    def locked(self) -> bool:
        """Whether chattr has made one of them immutable or append-only."""
        return any(found & (_IMMUTABLE | _APPEND) for found in set(self._longs[1 : 32 * self.count : 32]))

    @property
    def devices(self) -> list[int]:
        """The st_dev of each."""
        pairs = self._ints[34 : 64 * self.count : 64].tolist(), self._ints[35 : 64 * self.count : 64].tolist()
        if all(len(set(numbers)) == 1 for numbers in pairs):
            return [os.makedev(pairs[0][0], pairs[1][0])] * self.count
        return list(map(os.makedev, *pairs))

    def seconds(self, which: str) -> list[int]:
        """Whole seconds since 1970, rounded down: of `access`, `change`, `modification`."""
        return self._signed[_TIMES[which] : 32 * self.count : 32].tolist()

    def nanoseconds(self, which: str) -> list[int]:
        """The same in nanoseconds."""
        rests = self._ints[_TIMES[which] * 2 + 2 : 64 * self.count : 64].tolist()
        return [second * 1_000_000_000 + rest for second, rest in zip(self.seconds(which), rests, strict=True)]

    def prints(self) -> list[int]:
        """The fingerprint of each, as trees.fingerprint() reckons it."""
        columns = self.devices, self.inodes, self.sizes, self.nanoseconds("modification")
        return list(map(hash, zip(*columns, strict=True)))

    def one(self, number: int) -> Status:
        """The status of one of them, good beyond the next look."""
        found, fields = Status(), _unpack(self._room, number * _BYTES)
        found.st_nlink, found.st_uid, found.st_mode = fields[3], fields[4], fields[6]
        found.st_ino, found.st_size, found.st_blocks = fields[8], fields[9], fields[10]
        found.st_atime_ns = fields[12] * 1_000_000_000 + fields[13]
        found.st_ctime_ns = fields[18] * 1_000_000_000 + fields[19]
        found.st_mtime_ns = fields[21] * 1_000_000_000 + fields[22]
        found.st_dev = os.makedev(fields[26], fields[27])
        attributes = fields[2] & (_IMMUTABLE | _APPEND)
        found.locked = "" if not attributes else "immutable" if attributes & _IMMUTABLE else "append-only"
        return found


_TIMES = {"access": 8, "change": 12, "modification": 14}
"""Where the seconds stand, in words of eight bytes; the nanoseconds are in the half word after them."""


def listed(fd: int) -> Iterator[tuple[list[str], list[str]]]:
    """(names of all but directories, names of directories) in an open directory, at most BATCH of both at a time."""
    with os.scandir(fd) as entries:
        while batch := list(islice(entries, BATCH)):
            files = [entry.name for entry in batch if not entry.is_dir(follow_symlinks=False)]
            directories: list[str] = []
            if len(files) < len(batch):
                known = set(files)
                directories = [entry.name for entry in batch if entry.name not in known]
            yield files, directories


def _error(name: str, dir_fd: int) -> OSError:
    """Why it could not be looked at."""
    try:
        os.lstat(name, dir_fd=dir_fd)
    except OSError as error:
        return error
    return BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN), name)  # it was told when it was too late
