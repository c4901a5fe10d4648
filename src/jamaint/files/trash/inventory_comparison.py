"""Inventory comparison: what the record of a step names, and neither its trash nor its root has any more."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from jamaint.files.access.root import NotEntered, RootRefused, readable
from jamaint.files.trash.inventory import Part
from jamaint.files.trash.shards import LOOSE, numbers
from jamaint.files.trash.step_trash import Leftover
from jamaint.files.trash.trash import GONE, OPEN

NAMED = 20
"""Missing files that are named."""


@dataclass(slots=True)
class Missing:
    """What is recorded, and neither in the trash nor in its place."""

    total: int = 0
    count: int = 0
    below_wholes: int = 0
    """Those in directories that were taken whole and are still in the trash."""
    names: list[str] = field(default_factory=list)

    def words(self) -> str:
        """What is said of it."""
        are, they = ("is", "it") if self.count == 1 else ("are", "they")
        what = f"{self.count:,} of {self.total:,} files {are} not in the trash any more: {they} cannot be put back"
        more = f" and {self.count - len(self.names):,} more" if self.count > len(self.names) else ""
        return f"{what}: {', '.join(self.names)}{more}"


class Comparison:
    """Looks for what was taken from one root, before anything is put back."""

    def __init__(self, left: Leftover) -> None:
        self._left, self._root = left, left.root
        self._numbers = {record.rel: record.number for record in left.records.of.values()}
        self._found: tuple[str, frozenset[str], frozenset[str], Mapping[str, int]] | None = None

    def missing(self, parts: Iterator[Part]) -> Missing:
        """Raises Unreadable, OSError, NotEntered."""
        found = Missing()
        for rel, names, inodes in parts:
            gone, loose, place = self._listings(rel)
            found.total += len(names)
            for name, inode in zip(names, inodes, strict=True):
                if name not in gone and name not in loose and not _same(place.get(name), inode):
                    found.count += 1
                    found.below_wholes += bool(gone) and rel not in self._left.records.of
                    if len(found.names) < NAMED:
                        found.names.append(name if rel == "." else f"{rel}/{name}")
        return found

    def _listings(self, rel: str) -> tuple[frozenset[str], frozenset[str], Mapping[str, int]]:
        if self._found is None or self._found[0] != rel:
            self._found = rel, self._in_gone(rel), self._in_drawers(rel), self._in_place(rel)
        return self._found[1:]

    def _in_gone(self, rel: str) -> frozenset[str]:
        names: frozenset[str] = frozenset()
        with suppress(FileNotFoundError, NotADirectoryError, RootRefused):
            gone = self._left.part(GONE)
            if gone is not None:
                try:
                    names = _listed(gone, rel)
                finally:
                    os.close(gone)
        return names

    def _in_drawers(self, rel: str) -> frozenset[str]:
        loose, number = self._left.part(LOOSE), self._numbers.get(rel)
        if loose is None:
            return frozenset()
        try:
            with suppress(FileNotFoundError):
                fd = os.open(str(number), OPEN, dir_fd=loose)
                try:
                    return frozenset(name for drawer in numbers(fd) for name in _listed(fd, str(drawer)))
                finally:
                    os.close(fd)
            return frozenset()
        finally:
            os.close(loose)

    def _in_place(self, rel: str) -> Mapping[str, int]:
        try:
            with self._root.descend(rel) as place:
                fd = readable(place.fd)
        except NotEntered as refusal:
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


def _listed(parent: int, rel: str) -> frozenset[str]:
    fd = os.open(rel, OPEN | os.O_NOATIME, dir_fd=parent)
    try:
        return frozenset(os.listdir(fd))
    finally:
        os.close(fd)
