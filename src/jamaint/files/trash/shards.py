"""Shards: where the trash keeps files that were taken one by one from a directory, a few in each.

    loose/<number of the directory's record>/<shard>/<name>

A name is looked for and entered in a directory by reading it (ext4: a block of 4 KiB, some 100 names, twice for a
rename). Into a directory of 32 a rename takes half the time of one into a directory of hundreds.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from jamaint.files.access.skip_report import STOPS_EVERYTHING, words
from jamaint.files.trash.stops import DiskError

LOOSE = "loose"
WORTH = 8
"""Fewer files at a time are not worth a directory of their own."""
CAPACITY, LATER_CAPACITY, LATER = 32, 512, 1000
"""Files in a shard; from the thousandth shard on there are more in each, for a directory holds 31,998 of them on
ext3, and 64,998 on an ext4 without dir_nlink."""


class Shards:
    """Those of one step while it takes, in the open directory `fd`. Each is new: nothing is overwritten in it.

    `trash` is what the trash is called, for people.
    """

    def __init__(self, fd: int, trash: str) -> None:
        self._fd, self._trash = fd, trash
        self._next: dict[int, int] = {}

    def of(self, number: int) -> int:
        """Opens what the shards of a directory are in, by the number of its record; made when it is not there."""
        name = str(number)
        if number not in self._next:
            made = self._make(self._fd, name)
            fd = _open(self._fd, name)
            self._next[number] = 0 if made else max(numbers(fd), default=-1) + 1
            return fd
        return _open(self._fd, name)

    def places(self, number: int, fd: int, names: Sequence[str]) -> Iterator[tuple[str, str]]:
        """(name, its path below what of() gave); each shard is made right before its first. Raises DiskError."""
        rest = names
        while rest:
            shard = self._next[number]
            self._next[number] += 1
            if not self._make(fd, str(shard)):
                continue
            count = CAPACITY if shard < LATER else LATER_CAPACITY
            for name in rest[:count]:
                yield name, f"{shard}/{name}"
            rest = rest[count:]

    def _make(self, fd: int, name: str) -> bool:
        """Whether it was not there and is now. Raises DiskError."""
        try:
            os.mkdir(name, 0o700, dir_fd=fd)
            return True
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno in STOPS_EVERYTHING:
                raise DiskError(f"{self._trash} cannot be extended: {words(error)}") from None
            raise


@dataclass(frozen=True, slots=True)
class Drawn:
    """What lies in shards, as another process finds it; `of` are the paths of directories by record number."""

    of: Mapping[int, str]

    def ours(self, path: str) -> bool:
        """Whether a directory below `loose` is one that holds shards, or a shard."""
        above, _, shard = path.partition("/")
        return above.isdecimal() and int(above) in self.of and (not shard or shard.isdecimal())

    def origin(self, path: str) -> str:
        """The path below the root that something below `loose` was taken from."""
        number, _, rest = path.partition("/")
        above = self.of.get(int(number), f"{LOOSE}/{number}") if number.isdecimal() else f"{LOOSE}/{number}"
        _, _, name = rest.partition("/")
        return name if above == "." and name else f"{above}/{name}" if name else above


def numbers(fd: int) -> list[int]:
    """The numbers that directories in an open one have for names, in their order."""
    return sorted(int(name) for name in os.listdir(fd) if name.isdecimal())


def _open(parent: int, name: str) -> int:
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
