"""Measuring: what all that is below a root takes on its disk, in one pass that judges nothing and so is quick."""

import errno
import os
from collections.abc import Callable

from jamaint.host.descent import Descent
from jamaint.host.roots import NotEntered, Root
from jamaint.host.skipped import Skipped, why_not
from jamaint.host.statuses import Statuses, listed
from jamaint.host.trees import BATCH

BLOCK = 512


def measure(root: Root, skipped: Skipped, checkpoint: Callable[[], None]) -> tuple[int, int]:
    """(bytes, files): blocks of all files, each once however many names it has; directories' own are left out.

    Changes nothing, access times included; does not leave the root's mount. What cannot be entered is in `skipped`.
    """
    descent = Descent(root, os.dup(root.fd))
    found = _Found()
    try:
        stack = [_list(root, descent, found, skipped, checkpoint)]
        while stack:
            if not stack[-1]:
                stack.pop()
                if stack:
                    descent.leave()
                continue
            name = stack[-1].pop()
            try:
                descent.enter(name)
            except NotEntered as refusal:
                if not refusal.missing:
                    skipped.add(root.name(descent.rel, name), refusal.why, problem=refusal.failed)
            except OSError as error:
                skipped.add(root.name(descent.rel, name), why_not(error, name, descent.here.fd), problem=True)
            else:
                stack.append(_list(root, descent, found, skipped, checkpoint))
    except NotEntered as refusal:  # the way up is lost: somebody has moved a directory away under us
        skipped.add(root.path, refusal.why, problem=True)
    finally:
        descent.close()
    return found.blocks * BLOCK, found.files


class _Found:
    def __init__(self) -> None:
        self.seen = Statuses()
        self.blocks = 0
        self.files = 0
        self.linked: set[int] = set()
        """Inodes of files that have more names and were counted."""

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
                self.linked.add(inode)


def _list(root: Root, descent: Descent, found: _Found, skipped: Skipped, checkpoint: Callable[[], None]) -> list[str]:
    """Counts the files of the directory where we are; the directories in it."""
    fd, rel, seen = descent.here.fd, descent.rel, found.seen

    def failed(name: str, error: OSError) -> None:
        if error.errno != errno.ENOENT:
            skipped.add(root.name(rel, name), why_not(error, name, fd), problem=True)

    inner: list[str] = []
    checkpoint()
    for names, directories in listed(fd):
        inner += directories
        names = seen.look(names, fd, failed)  # noqa: PLW2901
        found.add_all()
        if len(names) == BATCH:
            checkpoint()
    return inner
