"""Undo: reads from the trash alone what a step has done, and takes it back, also when the step or an undo was killed.

Nothing that anybody else has put into a place is overwritten or removed: it is reported as kept, and what belongs there
stays in the trash, so that the undo can be asked for again.
"""

import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any

from jamaint.host import syscalls
from jamaint.host.drawers import LOOSE, numbers
from jamaint.host.leftover import Leftover
from jamaint.host.records import PASSED, TOUCHED
from jamaint.host.roots import NotEntered, Place, RootRefused, open_root
from jamaint.host.skipped import Few, why_not, words
from jamaint.host.taking import HALF_DIRECTORY, Likeness, make_whole
from jamaint.host.trash import FORMED, GONE, MARKS, OPEN
from jamaint.host.trees import BATCH
from jamaint.host.wholes import WHOLES, read


@dataclass(slots=True)
class Outcome:
    """What an undo did or would do. `kept` is what stands in the way or was changed, `problems` what went wrong."""

    restored: int = 0
    removed: int = 0
    wholes: list[int] = field(default_factory=list)
    kept: Few = field(default_factory=Few)
    problems: Few = field(default_factory=Few)


def undo(
    way_back: Mapping[str, Any],
    dry_run: bool,
    checkpoint: Callable[[], None],
    progress: Callable[[int], None],
    inodes: list[int] | None = None,
) -> dict[str, Any]:
    """Takes back one step: {restored, removed, kept, problems}. `way_back` is Step.undo: {trash, step, roots}.

    Right also when the step never began or was cut short, and when it is called again. A dry run changes nothing and
    gives the same figures. `inodes` gets those of directories that were taken whole and are back. Raises trash.Busy
    when the step's trash is in use.
    """
    outcome = Outcome()
    tick = _Tick(outcome, checkpoint, progress)
    with ExitStack() as stack:
        roots: list[_Undoing | None] = []
        for entry in way_back["roots"]:
            try:
                root = stack.enter_context(open_root(entry["path"], bool(entry.get("shared"))))
                times = (int(entry["times"][0]), int(entry["times"][1]))
                left = Leftover(root, times, way_back["trash"], way_back["step"], dry_run)
                stack.callback(left.close)
                roots.append(_Undoing(left, dry_run, outcome, tick))
            except RootRefused as refusal:
                outcome.problems.add(entry["path"], refusal.why)
                roots.append(None)
        parts = [part for part in roots if part is not None]
        for part in parts:
            part.restore_gone()
        for part in parts:  # the directories are back by now
            part.restore_loose()
        for part in parts:
            part.remove_made(roots)
        for part in reversed(parts):  # of roots within roots, the inner one was changed last
            part.end()
    if inodes is not None:
        inodes += outcome.wholes
    return {
        "restored": outcome.restored,
        "removed": outcome.removed,
        "kept": outcome.kept.items,
        "problems": outcome.problems.items,
    }


class _Tick:
    """Counts acts; every BATCH of them is a safe point."""

    def __init__(self, outcome: Outcome, checkpoint: Callable[[], None], progress: Callable[[int], None]) -> None:
        self._outcome, self._checkpoint, self._progress = outcome, checkpoint, progress
        self._count = 0

    def __call__(self) -> None:
        self._count += 1
        if self._count % BATCH == 0:
            self._progress(self._outcome.restored + self._outcome.removed)
            self._checkpoint()


class _Undoing:
    """The undo of one step below one root."""

    def __init__(self, left: Leftover, dry_run: bool, outcome: Outcome, tick: _Tick) -> None:
        self._left, self._root = left, left.root
        self._dry_run, self._outcome, self._tick = dry_run, outcome, tick
        self._kept: set[str] = set()
        whole = left.part(WHOLES)
        self._wholes = {} if whole is None else read(whole)
        if whole is not None:
            os.close(whole)

    def restore_gone(self) -> None:
        """Puts back what was taken."""
        gone = self._left.part(GONE)
        if gone is not None:
            self._restore(gone, ".")

    def restore_loose(self) -> None:
        """Puts back what was taken file by file: what was taken first, first."""
        loose = self._left.part(LOOSE)
        if loose is None:
            return
        of = {record.number: record.rel for record in self._left.records.of.values()}
        try:
            for number in numbers(loose):
                name = str(number)
                if number in of:
                    self._restore_drawers(os.open(name, OPEN, dir_fd=loose), of[number])
                    self._remove_empty(name, loose)
                else:
                    why = "its record in the trash is missing: it is not known where what lies in it belongs"
                    self._outcome.problems.add(self._root.name(f"{LOOSE}/{name}"), why)
        finally:
            os.close(loose)

    def remove_made(self, roots: Sequence["_Undoing | None"]) -> None:
        """Removes what was made, as far as its original is back and nobody has changed it."""
        formed, marks = self._left.part(FORMED), self._left.part(MARKS)
        if formed is not None and marks is not None:
            self._remove(formed, marks, ".", roots)

    def end(self) -> None:
        """Gives the directories their times back and removes what is empty of the trash."""
        if not self._dry_run:
            self._left.end(self._outcome.problems.add)

    def has(self, rel: str) -> bool:
        """Whether a file that was taken from here is back, or would be."""
        directory, _, name = rel.rpartition("/")
        with suppress(NotEntered, OSError), self._root.descend(directory or ".") as place:
            os.lstat(name, dir_fd=place.fd)
            return True
        return self._dry_run and self._is_gone(rel)

    def waits(self, rel: str) -> bool:
        """Whether a file that was taken from here still has to stay in the trash."""
        return rel in self._kept

    def _restore(self, gone: int, rel: str) -> None:
        """Puts back what is in an open directory of the trash, and closes it."""
        directories: set[str] = set()
        try:
            with self._opened(rel) as place:
                self._restore_all(gone, place, rel, directories)
            for name in directories:
                self._restore(os.open(name, OPEN, dir_fd=gone), _join(rel, name))
                self._remove_empty(name, gone)
        finally:
            os.close(gone)

    def _restore_drawers(self, fd: int, rel: str) -> None:
        """Puts back what is in the drawers of one directory, open as `fd`, and closes it."""
        try:
            with self._opened(rel) as place:
                for drawer in map(str, numbers(fd)):
                    inner = os.open(drawer, OPEN, dir_fd=fd)
                    try:
                        self._restore_all(inner, place, rel, None)
                    finally:
                        os.close(inner)
                    self._remove_empty(drawer, fd)
        finally:
            os.close(fd)

    @contextmanager
    def _opened(self, rel: str) -> Iterator[Place | str]:
        place = self._open_place(rel)
        with place if isinstance(place, Place) else nullcontext():
            yield place

    def _restore_all(self, gone: int, place: Place | str, rel: str, directories: set[str] | None) -> None:
        """Puts back what is in an open directory of the trash. `directories` gets those in it that mirror others, to be
        gone through next; None where what is in it was taken, all of it."""
        kept: set[str] = set()
        while self._restore_listed(gone, place, rel, directories, kept) and not self._dry_run:
            pass  # a directory may hide entries from a listing while others leave it
        self._kept.update(_join(rel, name) for name in kept)

    def _restore_listed(
        self, gone: int, place: Place | str, rel: str, directories: set[str] | None, kept: set[str]
    ) -> int:
        moved = 0
        with os.scandir(gone) as entries:
            for entry in entries:
                name = entry.name
                if directories is not None and self._is_mirror(entry, rel):
                    directories.add(name)
                elif name not in kept:
                    self._tick()
                    if self._put_back(gone, place, rel, name):
                        moved += 1
                    else:
                        kept.add(name)
        return moved

    def _is_mirror(self, entry: os.DirEntry[str], rel: str) -> bool:
        return entry.is_dir(follow_symlinks=False) and _join(rel, entry.name) in self._left.records.of

    def _put_back(self, gone: int, place: Place | str, rel: str, name: str) -> bool:
        path = self._root.name(rel, name)
        if isinstance(place, str):
            if place:
                self._outcome.kept.add(path, f"its directory cannot be used: {place}; it stays in the trash")
                return False
            self._outcome.restored += self._items(rel, name)  # a dry run; the directory would be made
            return True
        try:
            if not self._dry_run:
                syscalls.rename_noreplace(name, name, src_dir_fd=gone, dst_dir_fd=place.fd)
            elif _exists(name, place.fd):
                raise FileExistsError
        except FileExistsError:
            # On some file systems a link and an unlink stand for a rename, and a kill may have come between.
            if not os.path.samestat(os.lstat(name, dir_fd=gone), os.lstat(name, dir_fd=place.fd)):
                self._outcome.kept.add(path, "another file is in its place; it stays in the trash")
                return False
            if not self._dry_run:
                os.unlink(name, dir_fd=gone)
        except OSError as error:
            self._outcome.problems.add(path, why_not(error, name, place.fd))
            return False
        self._outcome.restored += self._items(rel, name)
        return True

    def _items(self, rel: str, name: str) -> int:
        """How many files come back with a name: all that are in a directory that was taken whole."""
        whole = self._wholes.get(_join(rel, name))
        if whole is None:
            return 1
        self._outcome.wholes.append(whole.inode)
        return max(1, whole.items)

    def _open_place(self, rel: str) -> Place | str:
        """The directory that something goes back to; else why not, which is empty when a dry run would make it."""
        try:
            return self._root.descend(rel)
        except NotEntered as refusal:
            if not refusal.missing:
                return refusal.why
        if self._dry_run:
            return ""
        try:
            return self._make_again(rel)
        except NotEntered as refusal:
            return refusal.why
        except OSError as error:
            return f"it cannot be made again: {words(error)}"

    def _make_again(self, rel: str) -> Place:
        above, records = ".", self._left.records
        for name in rel.split("/"):
            here = _join(above, name)
            known = records.of.get(here)
            with self._root.descend(above) as parent:
                if known is not None and not _exists(name, parent.fd):
                    for touched in (above, here):
                        record = records.of.get(touched)
                        if record is not None and record.kind == PASSED:
                            records.change(record, TOUCHED, record.times)
                    make_whole(
                        (self._left.step, HALF_DIRECTORY), (parent.fd, name), Likeness(known.mode, known.uid, known.gid)
                    )
            above = here
        return self._root.descend(rel)

    def _remove(self, formed: int, marks: int, rel: str, roots: Sequence["_Undoing | None"]) -> None:
        """Removes what was made in one directory and below; both are open, and closed then."""
        try:
            for name in os.listdir(formed):
                if stat.S_ISDIR(os.lstat(name, dir_fd=formed).st_mode):
                    inner = os.open(name, OPEN, dir_fd=formed), os.open(name, OPEN, dir_fd=marks)
                    self._remove(*inner, _join(rel, name), roots)
                    self._remove_empty(name, formed)
                elif self._remove_one(formed, marks, rel, name, roots) and not self._dry_run:
                    os.unlink(name, dir_fd=formed)
                    os.unlink(name, dir_fd=marks)
        finally:
            os.close(formed)
            os.close(marks)

    def _remove_one(self, formed: int, marks: int, rel: str, name: str, roots: Sequence["_Undoing | None"]) -> bool:
        """Removes a made file from its place; true when the trash needs to know of it no longer."""
        self._tick()
        path = self._root.name(rel, name)
        size, mtime, source = os.readlink(name, dir_fd=marks).split(".", 2)
        number, _, original = source.partition("/")
        root = roots[int(number)]
        if root is not None and root.waits(original):
            return False
        if root is None or not root.has(original):
            self._outcome.kept.add(path, "it stays, for its original is not in its place")
            return False
        try:
            with self._root.descend(rel) as place:
                seen = os.lstat(name, dir_fd=place.fd)
                if seen.st_ino == os.lstat(name, dir_fd=formed).st_ino:  # else it is somebody else's by now
                    self._remove_ours(place, name, seen, (int(size), int(mtime)))
        except NotEntered as refusal:
            if not refusal.missing:
                self._outcome.kept.add(path, refusal.why)
            return refusal.missing
        except FileNotFoundError:  # somebody has removed it
            return True
        except OSError as error:
            self._outcome.problems.add(path, words(error))
            return False
        return True

    def _remove_ours(self, place: Place, name: str, seen: os.stat_result, made: tuple[int, int]) -> None:
        if (seen.st_size, seen.st_mtime_ns) != made:
            self._outcome.kept.add(self._root.name(place.rel, name), "it was changed after it was made")
            return
        if not self._dry_run:
            os.unlink(name, dir_fd=place.fd)
        self._outcome.removed += 1

    def _is_gone(self, rel: str) -> bool:
        gone = self._left.part(GONE)
        if gone is None:
            return False
        try:
            return _exists(rel, gone)
        finally:
            os.close(gone)

    def _remove_empty(self, name: str, dir_fd: int) -> None:
        if not self._dry_run:
            with suppress(OSError):  # what is kept is in it
                os.rmdir(name, dir_fd=dir_fd)


def _exists(name: str, dir_fd: int) -> bool:
    try:
        os.lstat(name, dir_fd=dir_fd)
        return True
    except (FileNotFoundError, NotADirectoryError):
        return False


def _join(rel: str, name: str) -> str:
    return name if rel == "." else f"{rel}/{name}"
