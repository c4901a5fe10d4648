"""Recheck of a directory that was taken in one rename, where nobody else reaches it any more."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from jamaint.files.access import syscalls
from jamaint.files.access.batch_stat import Statuses, listed
from jamaint.files.access.directory_cursor import Descent
from jamaint.files.access.globs import OURS
from jamaint.files.access.root import DirectoryRefusedError
from jamaint.files.access.skip_report import why_not, words
from jamaint.files.cleanup.eligibility import EXCLUDED, Judge, Name, Three, in_trash
from jamaint.files.trash.inventory import Part
from jamaint.files.trash.removal import CHANGED, Taken

_NO_INODES: frozenset[int] = frozenset()
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
YOUNG = "has changed since it was looked at"


class _DirectoryStaysError(Exception):
    """Something in it may not go."""


@dataclass(frozen=True, slots=True)
class RecheckResult:
    """What was found in a directory: how many files, or why it may not go; and what goes with it."""

    found: int | str
    taken: Taken
    directories: int
    parts: Sequence[Part] = ()
    """What is in it, directory by directory, where that is asked for: see trash.Part."""


def look_again(whole: "Whole", at: tuple[int, str], expected: os.stat_result) -> RecheckResult:
    """Looks through a directory that was moved to (open directory, path in it). What `told` raises passes."""
    base, path = at
    try:
        fd = _opened(path, base)
    except OSError as error:
        return RecheckResult(words(error), whole.taken, 0)
    try:
        found = whole.look(fd) if os.path.samestat(os.fstat(fd), expected) else CHANGED
        return RecheckResult(found, whole.taken, whole.directories, whole.parts)
    finally:
        os.close(fd)


def _opened(path: str, base: int) -> int:
    try:
        return os.open(path, _OPEN | os.O_NOATIME, dir_fd=base)
    except PermissionError:  # only the owner may leave its access time
        return os.open(path, _OPEN, dir_fd=base)


class Whole:
    """One directory, by its path below the root. `seen` is the room to look in."""

    def __init__(self, judge: Judge, rel: str, seen: Statuses, told: Callable[[], object], lists: bool = False) -> None:
        self._judge, self._rel, self._told, self._lists = judge, rel, told, lists
        self.parts: list[Part] = []
        self._seen = seen
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
        except _DirectoryStaysError as stays:
            return str(stays)
        except DirectoryRefusedError as refusal:
            return refusal.why
        except OSError as error:
            return why_not(error, ".", fd)
        finally:
            descent.close()
        return self.taken.files

    def _list(self, descent: Descent, states: Three) -> list[str]:
        """Judges the files in a directory; returns the directories in it. Raises _Stays."""
        judge, fd = self._judge, descent.here.fd
        meant, stays = judge.meant(states), judge.stays(states)
        found: list[str] = []
        self.directories += 1
        self._told()
        for names, directories in listed(fd):
            for name in directories:
                self._judge_name(descent, name, stays)
            found += directories
            names = self._seen.look(names, fd, _failed)  # noqa: PLW2901
            if not names:
                continue
            if self._lists:
                seen = self._seen
                part = self._path(descent), list(names), seen.inodes, seen.sizes, seen.nanoseconds("modification")
                self.parts.append(Part(*part))
            old, _ = judge.sift(self._seen)
            all_old = len(old) == len(names)
            if all_old and meant is None and stays is None and judge.plain(names, self._seen, at_root=False):
                self.taken.add_some(self._seen, old, _NO_INODES)
            else:
                self._judge_each(descent, names, old, meant, stays)
            self._told()
        return found

    def _judge_each(
        self,
        descent: Descent,
        names: Sequence[str],
        old: Sequence[int],
        meant: Name | None,
        stays: tuple[Name, Name] | None,
    ) -> None:
        judge, fd, aged = self._judge, descent.here.fd, set(old)
        for number, name in enumerate(names):
            seen = self._seen.one(number)
            self._judge_name(descent, name, stays)
            if number not in aged or seen.st_size < judge.rule.least_bytes or (meant is not None and not meant(name)):
                self._stay(descent, name, YOUNG)
            if seen.locked:
                self._stay(descent, name, f"it is {seen.locked} (chattr)")
            why = judge.file_stays(name, fd, seen, False)
            if why:
                self._stay(descent, name, why)
            self.taken.add(seen, _NO_INODES)

    def _judge_name(self, descent: Descent, name: str, stays: tuple[Name, Name] | None) -> None:
        if stays is not None and (stays[0](name) or stays[1](name)):
            self._stay(descent, name, EXCLUDED)
        if name.startswith(OURS):
            self._stay(descent, name, "it belongs to jamaint")

    def _path(self, descent: Descent) -> str:
        return self._rel if descent.rel == "." else f"{self._rel}/{descent.rel}"

    def _stay(self, descent: Descent, name: str, why: str) -> None:
        raise _DirectoryStaysError(f"{self._judge.root.name(self._path(descent), name)}: {why}")


def _failed(_: str, error: OSError) -> None:
    raise error
