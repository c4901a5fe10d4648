"""Keys of a cache with their values, kept in a file until a rollback or a purge: written before they are removed.

A record is a fixed head (lengths of key and value, when it expires, idle time) and then both. A record without a value
takes back an earlier one, whose place stands where the expiry would: that key was not removed after all. What a crash
cut short at the end was never removed, so a reader stops there.
"""

import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress

from jamaint.caches.redis import Kept

_HEAD = struct.Struct("<4sIIqI")
_MAGIC = b"kept"


class KeptKeys:
    """One file, `<directory>/<execution>/<name>`; nobody else can read it."""

    def __init__(self, directory: str, execution: str, name: str) -> None:
        self._directory = os.path.join(directory, execution)
        self.path = os.path.join(self._directory, name)
        self._written = 0

    def add(self, kept: Sequence[Kept]) -> int:
        """Appends records and returns the place of the first; they are on the disk then. Raises OSError, and has then
        added nothing. To be called on a file that this object has begun."""
        self._append(kept)
        self._written += len(kept)
        return self._written - len(kept)

    def take_back(self, places: Sequence[int]) -> None:
        """Notes that the keys of these records were not removed."""
        if places:
            self.add([Kept(b"", b"", place, 0) for place in places])

    def _append(self, kept: Sequence[Kept]) -> None:
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        data = b"".join(
            _HEAD.pack(_MAGIC, len(one.key), len(one.value), one.expires_at_ms, one.idle_seconds) + one.key + one.value
            for one in kept
        )
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self.path, flags, 0o600)
        try:
            before = os.fstat(descriptor).st_size
            try:
                _write(descriptor, data)
                os.fsync(descriptor)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(descriptor, before)
                raise
            if before == 0:
                _sync_directory(self._directory)
        finally:
            os.close(descriptor)

    def read(self) -> Iterator[Kept]:
        """Every key that was removed, the oldest first; none where there is no file."""
        void = {one.expires_at_ms for one in self._records() if not one.value}
        return (one for place, one in enumerate(self._records()) if one.value and place not in void)

    def count(self) -> int:
        """How many keys have been added, those that were taken back included; 0 where there is no file."""
        return sum(bool(one.value) for one in self._records())

    def _records(self) -> Iterator[Kept]:
        try:
            file = open(self.path, "rb")  # noqa: SIM115 - closed by the next line
        except FileNotFoundError:
            return
        with file:
            while len(head := file.read(_HEAD.size)) == _HEAD.size:
                magic, of_key, of_value, expires, idle = _HEAD.unpack(head)
                key, value = file.read(of_key), file.read(of_value)
                if magic != _MAGIC or len(value) != of_value:
                    return
                yield Kept(key, value, expires, idle)

    def size(self) -> int:
        """Bytes on the disk."""
        try:
            return os.stat(self.path).st_blocks * 512
        except FileNotFoundError:
            return 0

    def remove(self) -> int:
        """Removes the file; the bytes that were its own. Right also when it is gone."""
        size = self.size()
        with suppress(FileNotFoundError):
            os.unlink(self.path)
        with suppress(OSError):
            os.rmdir(self._directory)
        return size


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _sync_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
