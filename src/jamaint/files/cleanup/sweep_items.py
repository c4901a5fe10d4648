"""Plan items of a sweep, and the rule by which only those go."""

import os
import stat
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from jamaint.core.plans import Item
from jamaint.files.access.directory_cursor import Descent
from jamaint.files.access.root import DirectoryRefusedError, Place, Root, RootRefusedError, open_root
from jamaint.files.access.skip_report import Skipped, words
from jamaint.files.cleanup.eligibility import Judge, Only, Rule, in_trash
from jamaint.files.cleanup.survey_items import changed_since
from jamaint.files.cleanup.sweep import Sweep, Tally
from jamaint.files.rules.ages import Ages
from jamaint.files.use.in_use import InUse

_BY = ("modification",)
Tell = Callable[[Item], None]


def list_items(root: Root, rule: Rule, use: InUse, tell: Tell, checkpoint: Callable[[], None]) -> None:
    """Tells each file and directory below the root that the rule takes; a directory after all that is in it."""
    Sweep(Judge(root, rule, use), _Listing(root, tell, checkpoint), Skipped(), checkpoint).go()


class _Listing:
    """The taking that tells what would be taken. One that has changed since it was judged is left out."""

    direct = False
    changes = False
    marks = True

    def __init__(self, root: Root, tell: Tell, checkpoint: Callable[[], None]) -> None:
        self._root, self._tell, self._checkpoint = root, tell, checkpoint

    def files(self, place: Place, names: Sequence[str], prints: Sequence[int], tally: Tally) -> bool:  # noqa: ARG002
        """See sweep.Taking."""
        for name, mark in zip(names, prints, strict=True):
            try:
                seen = os.lstat(name, dir_fd=place.fd)
            except OSError:
                continue
            if hash((seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns)) == mark:
                self._say(_join(place.rel, name), seen)
        return True

    def directory(self, place: Place, name: str, expected: os.stat_result, tally: Tally) -> bool:  # noqa: ARG002
        """See sweep.Taking."""
        descent = Descent(in_trash(self._root), os.dup(place.fd))
        try:
            level = descent.enter(name)
            if os.path.samestat(level.seen, expected):
                self._all_in(descent, place.rel)
        except (DirectoryRefusedError, OSError):
            return True
        finally:
            descent.close()
        return True

    def _all_in(self, descent: Descent, above: str) -> None:
        stack = [self._files_in(descent, above)]
        while stack:
            if stack[-1]:
                descent.enter(stack[-1].pop())
                stack.append(self._files_in(descent, above))
                continue
            stack.pop()
            self._say(_join(above, descent.rel), descent.here.seen)
            descent.leave()

    def _files_in(self, descent: Descent, above: str) -> list[str]:
        """Tells the files of the directory where we are; the directories in it."""
        directories = []
        fd, rel = descent.here.fd, _join(above, descent.rel)
        self._checkpoint()
        for name in os.listdir(fd):
            seen = os.lstat(name, dir_fd=fd)
            if stat.S_ISDIR(seen.st_mode):
                directories.append(name)
            else:
                self._say(f"{rel}/{name}", seen)
        return directories

    def _say(self, rel: str, seen: os.stat_result) -> None:
        path = f"{rel}/" if stat.S_ISDIR(seen.st_mode) else rel
        self._tell(
            Item(self._root.path, path, seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
        )


class Remaining:
    """What of a plan's items still is what it was, each looked at once; why each other is left alone is `skipped`.

    Of each item eight bytes are kept: a million of them are no load.
    """

    def __init__(self, items: Iterable[Item], checkpoint: Callable[[], None]) -> None:
        self.skipped = Skipped()
        self._marks = array("q")
        self._roots: dict[str, Root | None] = {}
        self._place: tuple[tuple[str, str], Place | None] | None = None
        try:
            for item in items:
                checkpoint()
                self._look(item)
        finally:
            self._leave()
            for root in self._roots.values():
                if root is not None:
                    os.close(root.fd)
        self._marks = array("q", sorted(self._marks))

    def rule(self, rule: Rule) -> Rule:
        """The same rule for just these items: what protects a file is as it was, what makes one go is the plan."""
        return replace(
            rule,
            ages=Ages(0, _BY, _BY),
            before=None,
            pattern=None,
            least_bytes=0,
            directories=True,
            unit=False,
            whole_only=False,
            kept={},
            also=None,
            held=None,
            old=None,
            only=Only(self._is_one, self._is_one),
        )

    def _is_one(self, seen: Any) -> bool:
        mark = _mark(seen)
        at = bisect_left(self._marks, mark)
        return at < len(self._marks) and self._marks[at] == mark

    def _look(self, item: Item) -> None:
        path = item.path.rstrip("/")
        root = self._root(item.root)
        if root is None:
            self.skipped.add(f"{item.root}/{path}", "its root cannot be used any more")
            return
        rel, _, name = path.rpartition("/")
        try:
            place = self._enter(root, rel or ".")
            seen = None if place is None else os.lstat(name, dir_fd=place.fd)
        except FileNotFoundError:
            seen = None
        except OSError as error:
            self.skipped.add(root.name(path), words(error))
            return
        why = "it is no longer there" if seen is None else changed_since(item, seen)
        if seen is None or why is not None:
            self.skipped.add(root.name(path), why or "")
        else:
            self._marks.append(_mark(seen))

    def _root(self, path: str) -> Root | None:
        if path not in self._roots:
            try:
                self._roots[path] = open_root(path, shared=True)
            except RootRefusedError:
                self._roots[path] = None
        return self._roots[path]

    def _enter(self, root: Root, rel: str) -> Place | None:
        """The directory, kept open for the next item, which is mostly in it too; None when it is no longer there."""
        if self._place is None or self._place[0] != (root.path, rel):
            self._leave()
            try:
                self._place = ((root.path, rel), root.descend(rel))
            except DirectoryRefusedError:
                self._place = ((root.path, rel), None)
        return self._place[1]

    def _leave(self) -> None:
        if self._place is not None and self._place[1] is not None:
            os.close(self._place[1].fd)
        self._place = None


def _mark(seen: Any) -> int:
    # To take one of a file's names is a change of the file, which its other names have then, too.
    changed_ns = seen.st_ctime_ns if seen.st_nlink == 1 or stat.S_ISDIR(seen.st_mode) else 0
    return hash((seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, changed_ns))


def _join(above: str, rel: str) -> str:
    if rel == ".":
        return above
    return rel if above == "." else f"{above}/{rel}"
