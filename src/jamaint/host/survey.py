"""Survey: looks once through all roots of a task and sorts the files it meets into what is to be done with them."""

import os
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from jamaint.host.globs import Globs, exclusion, is_glob, split_root
from jamaint.host.openfiles import OpenFiles
from jamaint.host.roots import Root, RootRefused, open_root
from jamaint.host.skipped import Skipped
from jamaint.host.taking import held_by
from jamaint.host.trees import Batches, Rules, walk

SAMPLE = 20
"""Files of each kind that are shown to people."""

Sorting = Callable[[Root, str, str, os.stat_result], str]
"""(root, directory, name, stat) -> what to do with the file; the empty text for nothing."""


@dataclass(slots=True)
class Found:
    """What was found below one root. Times are in nanoseconds; `work` has the files by what to do with them.

    `sample` has the first of them as (path, size, mtime).
    """

    path: str
    stat: os.stat_result
    files: int = 0
    bytes: int = 0
    oldest: int | None = None
    newest: int | None = None
    work: dict[str, Batches] = field(default_factory=dict)
    sample: dict[str, list[tuple[str, int, int]]] = field(default_factory=dict)

    @property
    def times(self) -> list[int]:
        """Access and modification time of the root as it was looked at."""
        return [self.stat.st_atime_ns, self.stat.st_mtime_ns]

    def count(self, what: str) -> int:
        """Files to do this with."""
        return self.work[what].count if what in self.work else 0

    def size(self, what: str) -> int:
        """Bytes of those files."""
        return self.work[what].bytes if what in self.work else 0

    def reopen(self) -> Root:
        """Opens the root again, checked anew. Raises RootRefused, also when it is another directory by now."""
        root = open_root(self.path)
        if not os.path.samestat(root.stat, self.stat):
            os.close(root.fd)
            raise RootRefused(self.path, f"{self.path} was replaced since it was looked at", "unsafe")
        return root


@dataclass(frozen=True, slots=True)
class Survey:
    """All roots of a task: those that were looked through, and those that were not, with the reason."""

    found: Sequence[Found]
    refused: Sequence[RootRefused]


def survey(
    paths: Iterable[str],
    exclude: Sequence[str],
    *,
    sort: Sorting,
    held: OpenFiles,
    skipped: Skipped,
    checkpoint: Callable[[], None],
) -> Survey:
    """Looks through the directories that the globs in `paths` are about; changes nothing, access times included.

    A file that a process holds open for writing is left to it. One that globs of two roots mean counts for the root
    that is deeper.
    """
    globs: dict[str, list[str]] = {}
    for pattern in paths:
        fixed, rest = split_root(pattern)
        globs.setdefault(fixed, []).append(rest)
    found: list[Found] = []
    refused: list[RootRefused] = []
    for path in sorted(globs):
        try:
            with open_root(path) as root:
                _note_directories(root, globs[path], skipped)
                deeper = [f"{other}/{rest}" for other in globs if other.startswith(path + "/") for rest in globs[other]]
                rules = Rules(
                    Globs(globs[path]),
                    Globs(_from_root(exclude, path), hidden=True),
                    Globs(pattern.lstrip("/") for pattern in deeper),
                )
                writers = held.writers_on(root.stat.st_dev)
                found.append(_look(root, rules, sort=sort, writers=writers, skipped=skipped, checkpoint=checkpoint))
        except RootRefused as refusal:
            refused.append(refusal)
    return Survey(found, refused)


def free_bytes(roots: Iterable[Found]) -> int:
    """What is free for us now on the file systems of these roots, each counted once."""
    free = {}
    for root in roots:
        try:
            status = os.statvfs(root.path)
        except OSError:
            continue
        free[root.stat.st_dev] = status.f_bavail * status.f_frsize
    return sum(free.values())


def _look(
    root: Root,
    rules: Rules,
    *,
    sort: Sorting,
    writers: dict[int, int],
    skipped: Skipped,
    checkpoint: Callable[[], None],
) -> Found:
    found = Found(root.path, root.stat)
    oldest, newest = None, None
    for rel, name, seen in walk(root, rules, skipped, checkpoint):
        found.files += 1
        found.bytes += seen.st_size
        time = seen.st_mtime_ns
        oldest = time if oldest is None or time < oldest else oldest
        newest = time if newest is None or time > newest else newest
        what = sort(root, rel, name, seen)
        if not what:
            continue
        if seen.st_ino in writers:
            skipped.add(root.name(rel, name), held_by(writers[seen.st_ino]))
            continue
        if what not in found.work:
            found.work[what], found.sample[what] = Batches(), []
        batches = found.work[what]
        if batches.count < SAMPLE:
            found.sample[what].append((root.name(rel, name), seen.st_size, time))
        batches.add(rel, name, seen)
    found.oldest, found.newest = oldest, newest
    return found


def _note_directories(root: Root, patterns: Sequence[str], skipped: Skipped) -> None:
    """Tells of plain paths that are directories: only files are meant, so nothing would ever be done there."""
    for name in patterns:
        try:
            is_directory = not is_glob(name) and stat.S_ISDIR(os.lstat(name, dir_fd=root.fd).st_mode)
        except OSError:
            continue
        if is_directory:
            path = root.name(".", name)
            skipped.add(path, f"it is a directory; name the files in it, as {path}/*.log", problem=True)


def _from_root(exclude: Sequence[str], path: str) -> Sequence[str]:
    """Exclusions as globs from /: those without a leading slash are meant below this root."""
    return [rule if rule.startswith("/") else f"{path}/{rule}" for rule in map(exclusion, exclude)]
