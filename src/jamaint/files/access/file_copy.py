"""Copies: a file's bytes with its holes, by open file, and the proof; attributes.py has what it is like."""

import errno
import os
import stat
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

CHUNK = 1 << 20
"""Bytes between two safe points."""


@dataclass(frozen=True, slots=True)
class Sum:
    """Length and CRC-32 of bytes seen so far."""

    length: int = 0
    crc: int = 0

    def add(self, chunk: bytes, crc32: Callable[[bytes, int], int] = zlib.crc32) -> "Sum":
        """The sum with more bytes behind; `crc32` may be one that is faster."""
        return Sum(self.length + len(chunk), crc32(chunk, self.crc))


def open_source(name: str, dir_fd: int) -> int:
    """Opens a regular file for reading: follows no link, waits for no FIFO, leaves its access time where we may."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = os.open(name, flags | os.O_NOATIME, dir_fd=dir_fd)
    except OSError as error:
        if error.errno != errno.EPERM:
            raise
        fd = os.open(name, flags, dir_fd=dir_fd)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise FileNotFoundError(errno.ENOENT, "replaced meanwhile", name)
    return fd


def copy_bytes(source: int, target: int, size: int, tick: Callable[[int], None]) -> Sum:
    """Copies an open file, holes as holes, and returns the sum of what was read. Raises OSError."""
    total = Sum()
    os.ftruncate(target, size)
    for start, end in pieces(source, size):
        total = _add_hole(total, start - total.length, tick)
        os.lseek(source, start, os.SEEK_SET)
        os.lseek(target, start, os.SEEK_SET)
        while total.length < end:
            chunk = os.read(source, min(CHUNK, end - total.length))
            if not chunk:
                return total
            write_all(target, chunk)
            total = total.add(chunk)
            tick(len(chunk))
    return _add_hole(total, size - total.length, tick)


def read_back(copy: int, size: int, tick: Callable[[int], None]) -> Sum:
    """The sum of an open copy, from the disk where the system lets us. Raises OSError."""
    os.posix_fadvise(copy, 0, 0, os.POSIX_FADV_DONTNEED)
    total = Sum()
    for start, end in pieces(copy, size):
        total = _add_hole(total, start - total.length, tick)
        os.lseek(copy, start, os.SEEK_SET)
        while total.length < end and (chunk := os.read(copy, min(CHUNK, end - total.length))):
            total = total.add(chunk)
            tick(0)
    return _add_hole(total, size - total.length, tick)


def write_all(fd: int, data: bytes) -> None:
    """Writes all of it. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def pieces(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """Where the data is, up to `size`; all of it on file systems that do not tell."""
    at = 0
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
            end = os.lseek(fd, start, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole from here
                return
            start, end = at, size
        if start >= size:
            return
        yield start, min(end, size)
        at = end


def _add_hole(total: Sum, length: int, tick: Callable[[int], None]) -> Sum:
    zeros = bytes(min(CHUNK, max(length, 0)))
    while length > 0:
        piece = zeros[:length]
        total = total.add(piece)
        tick(len(piece))
        length -= len(piece)
    return total
