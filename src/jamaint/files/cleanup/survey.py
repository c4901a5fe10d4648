"""Survey: looks once through all roots of a task and sorts the files it meets into what is to be done with them."""

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

from jamaint.files.access.globs import Globs, States, exclusion, is_glob, split_root
from jamaint.files.access.root import Root, RootRefusedError, open_root
from jamaint.files.access.skip_report import Skipped
from jamaint.files.access.tree_walk import Another, Batches, Rules, walk
from jamaint.files.rights.borrowed import acting_as, can_lend
from jamaint.files.rights.owners import opened
from jamaint.files.trash.removal import held_by
from jamaint.files.use.open_files import OpenFiles
from jamaint.host.accounts import Account

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
    account: Account | None = None
    """The owner with whose rights everything below is done; None for those that this process has."""

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

    def acting(self) -> AbstractContextManager[None]:
        """Act with the owner's rights within the block."""
        return acting_as(self.account)

    @contextmanager
    def reopen(self) -> Iterator[Root]:
        """Open the root again, checked anew, and act with its owner's rights within the block. Raises
        RootRefusedError."""
        with self.acting(), self.open() as root:
            yield root

    def open(self) -> Root:
        """Open the root, within `acting`. Raises RootRefusedError, also when it is another directory by now."""
        root = open_root(self.path)
        if not os.path.samestat(root.stat, self.stat):
            os.close(root.fd)
            raise RootRefusedError(self.path, f"{self.path} was replaced since it was looked at", "unsafe")
        return root


@dataclass(frozen=True, slots=True)
class Survey:
    """All roots of a task: those that were looked through, and those that were not, with the reason."""

    found: Sequence[Found]
    refused: Sequence[RootRefusedError]


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

    A directory of another user's becomes a root of its own, if this process is root: what is done there is done with
    that user's rights. A file that a process holds open for writing is left to it. One that globs of two roots mean
    counts for the root that is deeper.
    """
    globs: dict[str, list[str]] = {}
    for pattern in paths:
        fixed, rest = split_root(pattern)
        globs.setdefault(fixed, []).append(rest)
    found: list[Found] = []
    refused: list[RootRefusedError] = []
    pending = {path: _Area(patterns, [path]) for path, patterns in globs.items()}
    while pending:
        path = min(pending)  # what is found in one lies below it
        area = pending.pop(path)
        try:
            with opened(path) as (root, account):
                _note_directories(root, area.patterns, skipped)
                deeper = [f"{other}/{rest}" for other in globs if other.startswith(path + "/") for rest in globs[other]]
                rules = Rules(
                    Globs(area.patterns),
                    Globs([rule for base in area.bases for rule in _from_root(exclude, base)], hidden=True),
                    Globs(pattern.lstrip("/") for pattern in deeper),
                )
                another = _Another(pending, root.path, area.bases, rules.included) if can_lend() else None
                looking = _Looking(sort, held.writers_on(root.stat.st_dev), skipped, checkpoint, another)
                one = _look(root, rules, looking)
                one.account = account
                found.append(one)
        except RootRefusedError as refusal:
            refused.append(refusal)
    return Survey(found, refused)


@dataclass(slots=True)
class _Area:
    """What is to be looked through below one directory; `bases` are those of the patterns, for exclusions."""

    patterns: list[str]
    bases: list[str]


@dataclass(frozen=True, slots=True)
class _Looking:
    """How a root is looked through."""

    sort: Sorting
    writers: dict[int, int]
    skipped: Skipped
    checkpoint: Callable[[], None]
    another: Another | None


@dataclass(frozen=True, slots=True)
class _Another:
    """Notes directories of other users below a root: each is looked through as a root of its own, with their rights."""

    pending: dict[str, _Area]
    path: str
    bases: list[str]
    included: Globs

    def __call__(self, rel: str, states: States) -> None:
        there = self.pending.setdefault(f"{self.path}/{rel}", _Area([], []))
        there.patterns += self.included.rests(states)
        there.bases += self.bases


def owners_words(found: Iterable[Found]) -> list[str]:
    """Return a sentence on whose rights are used in the directories of others; nothing where there are none."""
    owners = sorted({root.account.name for root in found if root.account is not None})
    return [f"In directories of {', '.join(owners)}: with the rights of whom each belongs to."] if owners else []


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


def _look(root: Root, rules: Rules, looking: _Looking) -> Found:
    sort, writers, skipped = looking.sort, looking.writers, looking.skipped
    found = Found(root.path, root.stat)
    oldest, newest = None, None
    for rel, name, seen in walk(root, rules, skipped, looking.checkpoint, looking.another):
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
