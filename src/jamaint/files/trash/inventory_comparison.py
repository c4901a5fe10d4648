"""Inventory comparison: what the record of a step names, and its trash and its root do not have as it was taken."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from jamaint.files.access.batch_stat import Statuses, listed
from jamaint.files.access.root import DirectoryRefusedError, RootRefusedError, readable
from jamaint.files.trash.inventory import Part
from jamaint.files.trash.shards import LOOSE, numbers
from jamaint.files.trash.step_trash import ReopenedTrash
from jamaint.files.trash.trash import GONE, OPEN

NAMED = 20
"""Missing files that are named."""


_Mark = tuple[int, ...]
"""Inode, size in bytes, and mtime in nanoseconds of a file."""
_Marks = dict[str, _Mark]


@dataclass(slots=True)
class Missing:
    """What is recorded, and neither in the trash nor in its place."""

    total: int = 0
    count: int = 0
    below_wholes: int = 0
    """Those in directories that were taken whole and are still in the trash."""
    names: list[str] = field(default_factory=list)
    changed: int = 0
    """Those that are in the trash with another inode, size or time of writing than they were taken with."""
    changed_names: list[str] = field(default_factory=list)

    def add(self, name: str, below_whole: bool) -> None:
        """Count one that is missing."""
        self.count += 1
        self.below_wholes += below_whole
        if len(self.names) < NAMED:
            self.names.append(name)

    def add_changed(self, name: str) -> None:
        """Count one that was edited or replaced."""
        self.changed += 1
        if len(self.changed_names) < NAMED:
            self.changed_names.append(name)

    def words(self) -> Iterator[str]:
        """Yield a sentence for those that are missing, and one for those that were changed."""
        if self.count:
            are, they = ("is", "it") if self.count == 1 else ("are", "they")
            what = f"{self.count:,} of {self.total:,} files {are} not in the trash any more: {they} cannot be put back"
            yield f"{what}: {_listed_names(self.names, self.count)}"
        if self.changed:
            was, they = ("was", "it") if self.changed == 1 else ("were", "they")
            what = f"{self.changed:,} of {self.total:,} files {was} edited or replaced in the trash"
            yield f"{what}, and {they} cannot be put back as taken: {_listed_names(self.changed_names, self.changed)}"


class Comparison:
    """Looks for what was taken from one root, before anything is put back."""

    def __init__(self, left: ReopenedTrash) -> None:
        self._left, self._root = left, left.root
        self._numbers = {record.rel: record.number for record in left.records.of.values()}
        self._found: tuple[str, _Marks, Mapping[str, int]] | None = None
        self._seen = Statuses()

    def missing(self, parts: Iterator[Part]) -> Missing:
        """Raises Unreadable, OSError, DirectoryRefusedError."""
        found = Missing()
        for part in parts:
            trash, place = self._listings(part.rel)
            found.total += len(part.names)
            below_whole = bool(trash) and part.rel not in self._left.records.of
            for name, mark in zip(part.names, _marks(part), strict=True):
                path = name if part.rel == "." else f"{part.rel}/{name}"
                there = trash.get(name)
                if there is not None:
                    if not _is_as_taken(there, mark):
                        found.add_changed(path)
                elif not _same(place.get(name), mark[0]):
                    found.add(path, below_whole)
        return found

    def _listings(self, rel: str) -> "tuple[_Marks, Mapping[str, int]]":
        if self._found is None or self._found[0] != rel:
            self._found = rel, {**self._in_gone(rel), **self._in_drawers(rel)}, self._in_place(rel)
        return self._found[1:]

    def _in_gone(self, rel: str) -> "_Marks":
        with suppress(FileNotFoundError, NotADirectoryError, RootRefusedError):
            gone = self._left.part(GONE)
            if gone is not None:
                try:
                    return self._listed(gone, rel)
                finally:
                    os.close(gone)
        return {}

    def _in_drawers(self, rel: str) -> "_Marks":
        loose, number = self._left.part(LOOSE), self._numbers.get(rel)
        found: _Marks = {}
        if loose is None:
            return found
        try:
            with suppress(FileNotFoundError):
                fd = os.open(str(number), OPEN, dir_fd=loose)
                try:
                    for shard in numbers(fd):
                        found |= self._listed(fd, str(shard))
                finally:
                    os.close(fd)
            return found
        finally:
            os.close(loose)

    def _listed(self, parent: int, rel: str) -> "_Marks":
        """Return what lies in a directory of the trash, but for directories."""
        found: _Marks = {}
        fd = os.open(rel, OPEN | os.O_NOATIME, dir_fd=parent)
        try:
            for files, _ in listed(fd):
                names, seen = self._seen.look(files, fd, _gone_meanwhile), self._seen
                columns = seen.inodes, seen.sizes, seen.nanoseconds("modification")
                found.update(zip(names, zip(*columns, strict=True), strict=True))
        finally:
            os.close(fd)
        return found

    def _in_place(self, rel: str) -> Mapping[str, int]:
        try:
            with self._root.descend(rel) as place:
                fd = readable(place.fd)
        except DirectoryRefusedError as refusal:
            if refusal.missing:
                return {}
            raise
        try:
            with os.scandir(fd) as entries:
                return {entry.name: entry.inode() for entry in entries}
        finally:
            os.close(fd)


def _same(found: int | None, recorded: int) -> bool:
    return found is not None and (recorded in (0, found))


def _marks(part: Part) -> Iterator[_Mark]:
    """Return (inode, size, mtime) of each file of a part; (inode,) in a record of before."""
    if part.sizes or not part.names:
        return zip(part.inodes, part.sizes, part.mtimes, strict=True)
    return zip(part.inodes, strict=True)


def _is_as_taken(found: _Mark, recorded: _Mark) -> bool:
    return found[: len(recorded)] == recorded or recorded == (0,)


def _gone_meanwhile(_name: str, _error: OSError) -> None:
    """It is told as missing."""


def _listed_names(names: list[str], count: int) -> str:
    more = f" and {count - len(names):,} more" if count > len(names) else ""
    return f"{', '.join(names)}{more}"
