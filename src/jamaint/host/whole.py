"""Whole: judges a directory again when it has been taken in one rename, where nobody else reaches it any more."""

import ctypes
import os
import stat
from collections.abc import Callable
from functools import partial
from typing import Any

from jamaint.host import syscalls
from jamaint.host.descent import Descent
from jamaint.host.globs import OURS
from jamaint.host.judging import EXCLUDED, Judge, Three, in_trash
from jamaint.host.roots import NotEntered
from jamaint.host.skipped import why_not
from jamaint.host.taking import Taken
from jamaint.host.trees import BATCH

_PLAIN = stat.S_IFMT(0o177777) | stat.S_ISVTX
_NO_INODES: frozenset[int] = frozenset()
YOUNG = "has changed since it was looked at"


class _Stays(Exception):  # noqa: N818 - it is what was found
    """Something in it may not go."""


class Whole:
    """One directory, by its path below the root."""

    def __init__(self, judge: Judge, rel: str, told: Callable[[], object]) -> None:
        self._judge, self._rel, self._told = judge, rel, told
        self._room = ctypes.create_string_buffer(256)
        self.taken = Taken()
        self.directories = 0

    def look(self, fd: int) -> int | str:
        """Looks through it, open as `fd`: how many files are in it, or why it may not go."""
        descent = Descent(in_trash(self._judge.root), os.dup(fd))
        states = self._judge.at(self._rel)
        try:
            stack = [(self._list(descent, states), states)]
            while stack:
                todo, states = stack[-1]
                if todo:
                    name = todo.pop()
                    level = descent.enter(name)
                    born = partial(syscalls.born, ".", level.fd)
                    why = self._judge.directory_stays(name, level.seen, False, born)
                    if why or not self._judge.directory_may_go(level.seen, level.fd, open_to_all=False):
                        self._stay(descent, "", why or YOUNG)
                    inner = self._judge.into(states, name)
                    stack.append((self._list(descent, inner), inner))
                    continue
                stack.pop()
                if stack:
                    descent.leave()
        except _Stays as stays:
            return str(stays)
        except NotEntered as refusal:
            return refusal.why
        except OSError as error:
            return why_not(error, ".", fd)
        finally:
            descent.close()
        return self.taken.files

    def _list(self, descent: Descent, states: Three) -> list[str]:
        """Judges the files in a directory; returns the directories in it. Raises _Stays."""
        judge, rule, fd = self._judge, self._judge.rule, descent.here.fd
        is_old, everything, least = judge.file_is_old, judge.takes_everything, rule.least_bytes
        meant, stays, in_use = judge.meant(states), judge.stays(states), judge.use.why
        special = rule.held is not None or rule.also is not None
        status, room, add, device = syscalls.status, self._room, self.taken.add, judge.root.stat.st_dev
        directories: list[str] = []
        self.directories += 1
        self._told()
        for number, name in enumerate(os.listdir(fd), 1):
            seen: Any = status(name, fd, device, room)
            if stays is not None and (stays[0](name) or stays[1](name)):
                self._stay(descent, name, EXCLUDED)
            if name[0] == "." and name.startswith(OURS):
                self._stay(descent, name, "it belongs to jamaint")
            if stat.S_ISDIR(seen.st_mode):
                directories.append(name)
                continue
            if not (everything or is_old(seen)) or seen.st_size < least or (meant is not None and not meant(name)):
                self._stay(descent, name, YOUNG)
            if seen.locked:
                self._stay(descent, name, f"it is {seen.locked} (chattr)")
            if special or seen.st_ino in in_use or seen.st_mode & _PLAIN != stat.S_IFREG:
                path = judge.root.name(self._path(descent), name)
                why = judge.file_stays(lambda path=path: path, name, fd, seen, False)  # type: ignore[misc]
                if why:
                    self._stay(descent, name, why)
            add(seen, _NO_INODES)
            if not number % BATCH:
                self._told()
        return directories

    def _path(self, descent: Descent) -> str:
        return self._rel if descent.rel == "." else f"{self._rel}/{descent.rel}"

    def _stay(self, descent: Descent, name: str, why: str) -> None:
        raise _Stays(f"{self._judge.root.name(self._path(descent), name)}: {why}")
