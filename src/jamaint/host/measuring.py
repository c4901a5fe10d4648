"""Measuring: what all that is below a root takes on its disk, in one pass that judges nothing and so is quick."""

import os
from collections.abc import Callable

from jamaint.host.descent import Descent
from jamaint.host.roots import NotEntered, Root
from jamaint.host.skipped import Skipped, why_not
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
        self.blocks = 0
        self.files = 0
        self.linked: set[int] = set()
        """Inodes of files that have more names and were counted."""


def _list(root: Root, descent: Descent, found: _Found, skipped: Skipped, checkpoint: Callable[[], None]) -> list[str]:
    """Counts the files of the directory where we are; the directories in it."""
    directories: list[str] = []
    files = blocks = 0
    checkpoint()
    with os.scandir(descent.here.fd) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                directories.append(entry.name)
                continue
            try:
                seen = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            except OSError as error:
                path = root.name(descent.rel, entry.name)
                skipped.add(path, why_not(error, entry.name, descent.here.fd), problem=True)
                continue
            if seen.st_nlink > 1:
                if seen.st_ino in found.linked:
                    continue
                found.linked.add(seen.st_ino)
            files += 1
            blocks += seen.st_blocks
            if not files % BATCH:
                checkpoint()
    found.files += files
    found.blocks += blocks
    return directories
