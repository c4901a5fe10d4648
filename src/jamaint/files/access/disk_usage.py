"""Disk usage: what all below a root takes on its disk, in one pass that checks nothing else."""

import errno
import os
from collections.abc import Callable
from functools import partial

from jamaint.files.access.batch_stat import Statuses, listed
from jamaint.files.access.directory_cursor import Descent
from jamaint.files.access.parallel_walk import ParallelWalk
from jamaint.files.access.root import DirectoryRefusedError, Root
from jamaint.files.access.skip_report import Skipped, why_not
from jamaint.files.access.tree_walk import BATCH

BLOCK = 512
Told = tuple[int, int, dict[int, int], Skipped]
"""Blocks, files, the blocks of those with more names by inode, and what was left out."""


def measure(root: Root, skipped: Skipped, checkpoint: Callable[[], None], alone: Callable[[], bool]) -> tuple[int, int]:
    """(bytes, files): blocks of all files, each once however many names it has; directories' own are left out.

    Changes nothing, access times included; does not leave the root's mount. What cannot be entered is in `skipped`.
    `alone`: whether no second process may help.
    """
    found = _Found(skipped)
    sharing = ParallelWalk(partial(_begin_apart, root), found.merge, alone)
    try:
        heed = sharing.heeding(checkpoint)
        _measure(root, found, heed, None, sharing)
        for name in sharing.end(heed):
            _measure(root, found, heed, name, None)
    finally:
        sharing.close()
    return found.blocks * BLOCK, found.files


def _begin_apart(root: Root) -> Callable[[str | None], Told | None]:
    found = _Found(Skipped())

    def act(name: str | None) -> Told | None:
        if name is None:
            return found.tell()
        _measure(root, found, lambda: None, name, None)
        return None

    return act


def _measure(
    root: Root, found: "_Found", checkpoint: Callable[[], None], only: str | None, sharing: ParallelWalk | None
) -> None:
    """Measures one directory of the root, or all that is in it but what `sharing` takes."""
    descent, skipped = Descent(root, os.dup(root.fd)), found.skipped
    try:
        stack = [_list(root, descent, found, checkpoint) if only is None else [only]]
        while stack:
            if not stack[-1]:
                stack.pop()
                if stack:
                    descent.leave()
                continue
            name = stack[-1].pop()
            if len(stack) == 1 and sharing is not None and sharing.give(name, found.files):
                continue
            try:
                descent.enter(name)
            except DirectoryRefusedError as refusal:
                if not refusal.missing:
                    skipped.add(root.name(descent.rel, name), refusal.why, problem=refusal.failed)
            except OSError as error:
                skipped.add(root.name(descent.rel, name), why_not(error, name, descent.here.fd), problem=True)
            else:
                stack.append(_list(root, descent, found, checkpoint))
    except DirectoryRefusedError as refusal:  # the way up is lost: somebody has moved a directory away under us
        skipped.add(root.path, refusal.why, problem=True)
    finally:
        descent.close()


class _Found:
    def __init__(self, skipped: Skipped) -> None:
        self.seen = Statuses()
        self.skipped = skipped
        self.blocks = 0
        self.files = 0
        self.linked: dict[int, int] = {}
        """The blocks of files that have more names and were counted, by inode."""

    def add_all(self) -> None:
        """Counts what was just seen."""
        blocks, links = self.seen.blocks, self.seen.links
        self.files += len(blocks)
        self.blocks += sum(blocks)
        if set(links) <= {1}:
            return
        for inode, size, names in zip(self.seen.inodes, blocks, links, strict=True):
            if names > 1 and inode in self.linked:
                self.files -= 1
                self.blocks -= size
            elif names > 1:
                self.linked[inode] = size

    def tell(self) -> Told:
        """All that was found."""
        return self.blocks, self.files, self.linked, self.skipped

    def merge(self, told: Told) -> None:
        """Adds what was found elsewhere; what both have met, once."""
        blocks, files, linked, skipped = told
        twice = self.linked.keys() & linked.keys()
        self.files += files - len(twice)
        self.blocks += blocks - sum(linked[inode] for inode in twice)
        self.linked |= linked
        self.skipped.merge(skipped)


def _list(root: Root, descent: Descent, found: _Found, checkpoint: Callable[[], None]) -> list[str]:
    """Counts the files of the directory where we are; the directories in it."""
    fd, rel, seen = descent.here.fd, descent.rel, found.seen

    def failed(name: str, error: OSError) -> None:
        if error.errno != errno.ENOENT:
            found.skipped.add(root.name(rel, name), why_not(error, name, fd), problem=True)

    inner: list[str] = []
    checkpoint()
    for names, directories in listed(fd):
        full = len(names) + len(directories) == BATCH
        inner += directories
        names = seen.look(names, fd, failed)  # noqa: PLW2901
        found.add_all()
        if full:
            checkpoint()
    return inner
