"""The trash's own journal of directories: how each one was before the step first changed it.

One symbolic link a directory, made in one call, so that it is there whole or not at all: the name carries the figures,
the target is the directory's path below its root. A link's own times would not do: reading it changes them.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

TOUCHED = "t"  # we change what is in it
PASSED = "p"  # on the way to one that we change; needed if it has to be made again
MADE = "d"  # was not there, we make it
SETTLED = "s"  # an undo that left something has set its times: the next one goes by those that it has then


@dataclass(frozen=True, slots=True)
class Record:
    """A directory as it was: mode with type, owner, times in nanoseconds. `number` is the order of recording."""

    kind: str
    number: int
    rel: str
    mode: int
    uid: int
    gid: int
    atime: int
    mtime: int

    @property
    def link(self) -> str:
        return f"{self.kind}{self.number}.{self.mode:o}.{self.uid}.{self.gid}.{self.atime}.{self.mtime}"

    @property
    def times(self) -> tuple[int, int]:
        return self.atime, self.mtime


@dataclass(slots=True)
class Records:
    """All records of one step below one root, in memory and in the directory open as `fd`."""

    fd: int
    of: dict[str, Record] = field(default_factory=dict)
    _next: int = 0

    @classmethod
    def read(cls, fd: int) -> "Records":
        """Reads back what stands in the directory; of two for one path (a kill between) the later one counts."""
        found = cls(fd)
        for record in sorted(_all(fd), key=lambda record: record.number):
            found.of[record.rel] = record
            found._next = record.number + 1
        return found

    def note(self, kind: str, rel: str, seen: os.stat_result) -> None:
        """Writes down a directory once; one that was passed becomes touched when it is to be changed."""
        known = self.of.get(rel)
        if known is not None and (known.kind != PASSED or kind == PASSED):
            return
        record = Record(
            kind, self._next, rel, seen.st_mode, seen.st_uid, seen.st_gid, seen.st_atime_ns, seen.st_mtime_ns
        )
        if known is None:
            os.symlink(rel, record.link, dir_fd=self.fd)
        else:
            os.rename(known.link, record.link, src_dir_fd=self.fd, dst_dir_fd=self.fd)
        self._next += 1
        self.of[rel] = record

    def change(self, record: Record, kind: str, times: tuple[int, int]) -> Record:
        """Replaces a record by one of another kind or with other times, in one call."""
        changed = replace(record, kind=kind, atime=times[0], mtime=times[1])
        if changed != record:
            os.rename(record.link, changed.link, src_dir_fd=self.fd, dst_dir_fd=self.fd)
            self.of[record.rel] = changed
        return changed

    def forget(self, rel: str) -> None:
        """Removes the record of a directory."""
        record = self.of.pop(rel, None)
        if record is not None:
            os.unlink(record.link, dir_fd=self.fd)


def _all(fd: int) -> Iterator[Record]:
    for link in os.listdir(fd):
        head, *figures = link.split(".")
        if head[:1] in (TOUCHED, PASSED, MADE, SETTLED) and head[1:].isdigit() and len(figures) == 5:
            mode, uid, gid, atime, mtime = figures
            rel = os.readlink(link, dir_fd=fd)
            yield Record(head[0], int(head[1:]), rel, int(mode, 8), int(uid), int(gid), int(atime), int(mtime))
