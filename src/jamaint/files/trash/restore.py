"""Undo: reads from the trash what a step has done, and takes it back, also when the step or an undo was killed.

Nothing that anybody else has put into a place is overwritten or removed: it is reported as kept, and what belongs there
stays in the trash, so that the undo can be asked for again. Each directory, each shard and each root is a part of its
own: what cannot be reached in one is a problem, and keeps no other from coming back. Nothing here recurses.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from jamaint.files.access import syscalls
from jamaint.files.access.directory_cursor import Descent
from jamaint.files.access.root import DirectoryRefusedError, Place, RootRefusedError, open_root
from jamaint.files.access.skip_report import Few, why_not, words
from jamaint.files.access.traversal import traverse
from jamaint.files.access.tree_walk import BATCH
from jamaint.files.trash.directory_records import PASSED, SETTLED, TOUCHED
from jamaint.files.trash.inventory import Part
from jamaint.files.trash.inventory_comparison import Comparison
from jamaint.files.trash.moved_directories import WHOLES, read
from jamaint.files.trash.recently_restored import Restored
from jamaint.files.trash.removal import HALF_DIRECTORY, Likeness, make_whole
from jamaint.files.trash.restore_created import MadeRemoval
from jamaint.files.trash.shards import LOOSE, numbers
from jamaint.files.trash.stand_in import let_go_of_double
from jamaint.files.trash.step_trash import ReopenedTrash, remove_empty
from jamaint.files.trash.trash import GONE, OPEN
from jamaint.host.plan_file import PlanFileError


@dataclass(slots=True)
class Outcome:
    """What an undo did or would do. `kept` is what stands in the way or was changed, `problems` what went wrong."""

    restored: int = 0
    removed: int = 0
    wholes: list[int] = field(default_factory=list)
    kept: Few = field(default_factory=Few)
    problems: Few = field(default_factory=Few)
    missing: list[dict[str, str]] = field(default_factory=list)
    """The problems that another undo cannot mend: what is in the trash no more."""

    @contextmanager
    def guarding(self, path: str) -> Iterator[None]:
        """Makes a problem of what the system refuses within the block, so that other parts go on."""
        try:
            yield
        except (DirectoryRefusedError, RootRefusedError) as refusal:
            self.problems.add(path, refusal.why)
        except OSError as error:
            self.problems.add(path, words(error))


def undo(
    way_back: Mapping[str, Any],
    dry_run: bool,
    checkpoint: Callable[[], None],
    progress: Callable[[int], None],
    *,
    taken: "Taken | None" = None,
    tally: Restored | None = None,
) -> dict[str, Any]:
    """Takes back one step: {restored, removed, kept, problems}. `way_back` is Step.undo: {trash, step, roots}.

    Right also when the step never began or was cut short, and when it is called again. A dry run changes nothing and
    gives the same figures. `tally` gets what is back in which root. Raises TrashBusyError when the step's trash is in
    use.
    """
    outcome, tally = Outcome(), tally or Restored()
    tick = _Tick(outcome, checkpoint, progress)
    with ExitStack() as stack:
        roots: dict[int, _Undoing | None] = {}
        for position, entry in enumerate(way_back["roots"]):
            number = entry.get("number", position)
            roots[number] = None
            with outcome.guarding(entry["path"]):
                root = stack.enter_context(open_root(entry["path"], bool(entry.get("shared"))))
                times = (int(entry["times"][0]), int(entry["times"][1]))
                left = ReopenedTrash(root, times, way_back["trash"], way_back["step"], dry_run)
                stack.callback(left.close)
                roots[number] = _Undoing(left, dry_run, outcome, tick)
        parts = [part for part in roots.values() if part is not None]
        if taken is not None:
            for part in parts:
                _compare(part, taken, (way_back["trash"], way_back["step"]), outcome, tally)
        for act in (_Undoing.restore_gone, _Undoing.restore_loose):  # what is loose has its directories back by then
            for part in parts:
                before, known = outcome.restored, len(outcome.wholes)
                act(part)
                tally.add(part.root.path, outcome.restored - before, outcome.wholes[known:])
        made = MadeRemoval(roots, dry_run, outcome, tick)
        for part in parts:
            with outcome.guarding(part.root.path):
                made.remove(part.left)
        for part in reversed(parts):  # of roots within roots, the inner one was changed last
            part.end()
    return {
        "restored": outcome.restored,
        "removed": outcome.removed,
        "kept": outcome.kept.items,
        "problems": outcome.problems.items,
        **({"missing": outcome.missing} if outcome.missing else {}),
    }


def _compare(part: "_Undoing", taken: "Taken", key: tuple[str, str], outcome: Outcome, tally: Restored) -> None:
    """Tell what was taken and is neither in the trash nor in its place any more, and what was changed in the trash."""
    path = part.root.path
    try:
        found = Comparison(part.left).missing(taken.parts((*key, path)))
    except (OSError, DirectoryRefusedError, RootRefusedError, PlanFileError) as error:
        why = words(error) if isinstance(error, OSError) else str(error)
        outcome.problems.add(path, f"what comes back cannot be compared with what was taken: {why}")
        return
    for why in found.words():
        outcome.missing.append({"path": path, "why": why})
        outcome.problems.add(path, why)
    if found.count:
        outcome.restored -= found.below_wholes
        tally.add(path, -found.below_wholes)


class Taken(Protocol):
    """The record of what was taken: see inventory.Inventory."""

    def parts(self, key: Sequence[str]) -> Iterator[Part]:
        """Return the files that were taken, of one (trash, step, root), directory by directory."""


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

    def __init__(self, left: ReopenedTrash, dry_run: bool, outcome: Outcome, tick: _Tick) -> None:
        self.left, self.root = left, left.root
        self._dry_run, self._outcome, self._tick = dry_run, outcome, tick
        self._kept: set[str] = set()
        whole = left.part(WHOLES)
        self._wholes = {} if whole is None else read(whole)
        if whole is not None:
            os.close(whole)

    def restore_gone(self) -> None:
        """Puts back what was taken."""
        with self._outcome.guarding(self.root.path):
            gone = self.left.part(GONE)
            if gone is None:
                return
            trash = Descent(replace(self.root, shared=True), gone)

            def failed(name: str, error: OSError | DirectoryRefusedError) -> None:
                why = error.why if isinstance(error, DirectoryRefusedError) else words(error)
                self._outcome.problems.add(self.root.name(trash.rel, name), f"{why}; it stays in the trash")

            traverse([trash], lambda: self._restore_level(trash), lambda name: self._leave(name, trash), failed)

    def restore_loose(self) -> None:
        """Puts back what was taken file by file: what was taken first, first."""
        with self._outcome.guarding(self.root.path):
            loose = self.left.part(LOOSE)
            if loose is None:
                return
            try:
                of = {record.number: record.rel for record in self.left.records.of.values()}
                for number in numbers(loose):
                    self._restore_number(loose, str(number), of.get(number))
            finally:
                os.close(loose)

    def end(self) -> None:
        """Gives the directories their times back and removes what is empty of the trash."""
        if not self._dry_run:
            with self._outcome.guarding(self.root.path):
                self.left.end(self._outcome.problems.add)

    def has(self, rel: str) -> bool:
        """Whether a file that was taken from here is back, or would be."""
        directory, _, name = rel.rpartition("/")
        with suppress(DirectoryRefusedError, OSError), self.root.descend(directory or ".") as place:
            os.lstat(name, dir_fd=place.fd)
            return True
        return self._dry_run and self._is_gone(rel)

    def waits(self, rel: str) -> bool:
        """Whether a file that was taken from here still has to stay in the trash."""
        return rel in self._kept

    def _restore_level(self, trash: Descent) -> set[str]:
        """Puts back what lies in one directory of the trash; the names of those in it that mirror others."""
        directories: set[str] = set()
        with self._opened(trash.rel) as place:
            self._restore_all(trash.here.fd, place, directories)
        return directories

    def _leave(self, name: str, trash: Descent) -> None:
        self._remove_empty(name, trash.here.fd)

    def _restore_number(self, loose: int, name: str, rel: str | None) -> None:
        """Puts back what is in the shards of one directory."""
        if rel is None:
            why = "its record in the trash is missing: it is not known where what lies in it belongs"
            self._outcome.problems.add(self.root.name(f"{LOOSE}/{name}"), why)
            return
        with self._outcome.guarding(self.root.name(rel)):
            fd = os.open(name, OPEN, dir_fd=loose)
            try:
                with self._opened(rel) as place:
                    for shard in map(str, numbers(fd)):
                        self._restore_drawer(fd, shard, place)
            finally:
                os.close(fd)
            self._remove_empty(name, loose)

    def _restore_drawer(self, fd: int, shard: str, place: "_Target") -> None:
        with self._outcome.guarding(self.root.name(place.rel)):
            inner = os.open(shard, OPEN, dir_fd=fd)
            try:
                self._restore_all(inner, place, None)
            finally:
                os.close(inner)
            self._remove_empty(shard, fd)

    @contextmanager
    def _opened(self, rel: str) -> Iterator["_Target"]:
        target = _Target(rel, self._open_place)
        try:
            yield target
        finally:
            target.close()

    def _restore_all(self, gone: int, place: "_Target", directories: set[str] | None) -> None:
        """Puts back what is in an open directory of the trash. `directories` gets those in it that mirror others, to be
        gone through next; None where what is in it was taken, all of it."""
        kept: set[str] = set()
        while self._restore_listed(gone, place, directories, kept) and not self._dry_run:
            pass  # a directory may hide entries from a listing while others leave it
        self._kept.update(_join(place.rel, name) for name in kept)

    def _restore_listed(self, gone: int, place: "_Target", directories: set[str] | None, kept: set[str]) -> int:
        moved = 0
        with os.scandir(gone) as entries:
            for entry in entries:
                name = entry.name
                if directories is not None and self._is_mirror(entry, place.rel):
                    directories.add(name)
                elif name not in kept:
                    self._tick()
                    if self._put_back(gone, place, name):
                        moved += 1
                    else:
                        kept.add(name)
        return moved

    def _is_mirror(self, entry: os.DirEntry[str], rel: str) -> bool:
        return entry.is_dir(follow_symlinks=False) and _join(rel, entry.name) in self.left.records.of

    def _put_back(self, gone: int, target: "_Target", name: str) -> bool:
        rel, place = target.rel, target.place
        path = self.root.name(rel, name)
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
            return self._is_same(gone, place, name)
        except OSError as error:
            self._outcome.problems.add(path, why_not(error, name, place.fd))
            return False
        self._outcome.restored += self._items(rel, name)
        return True

    def _is_same(self, gone: int, place: Place, name: str) -> bool:
        """Puts back what has two names: on some file systems a link and an unlink stand for a rename, and a kill may
        have come between."""
        path = self.root.name(place.rel, name)
        try:
            if not self._dry_run and let_go_of_double(gone, name, place.fd):
                return True
            if not os.path.samestat(os.lstat(name, dir_fd=gone), os.lstat(name, dir_fd=place.fd)):
                self._outcome.kept.add(path, "another file is in its place; it stays in the trash")
                return False
            if not self._dry_run:
                os.unlink(name, dir_fd=gone)
        except OSError as error:
            self._outcome.problems.add(path, words(error))
            return False
        self._outcome.restored += self._items(place.rel, name)
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
            return self._unless_strangers(self.root.descend(rel))
        except DirectoryRefusedError as refusal:
            if not refusal.missing:
                return refusal.why
        if self._dry_run:
            return self._strangers_on_the_way(rel)
        try:
            return self._make_again(rel)
        except DirectoryRefusedError as refusal:
            return refusal.why
        except OSError as error:
            return f"it cannot be made again: {words(error)}"

    def _unless_strangers(self, place: Place) -> Place | str:
        why = self.left.new_owner(place)
        if why is None:
            return place
        os.close(place.fd)
        return why

    def _strangers_on_the_way(self, rel: str) -> str:
        """Why a directory that is not there would not be made again, or nothing."""
        while rel != ".":
            rel = rel.rpartition("/")[0] or "."
            try:
                with self.root.descend(rel) as place:
                    return self.left.new_owner(place) or ""
            except DirectoryRefusedError as refusal:
                if not refusal.missing:
                    return refusal.why
        return ""

    def _make_again(self, rel: str) -> Place:
        """Makes what is missing on the way to a directory, and opens it. Raises DirectoryRefusedError, OSError."""
        above, here = ".", self.root.descend(".")
        stats: list[os.stat_result] = []
        try:
            for name in rel.split("/"):
                self._make_one_again(here, above, name)
                inner, seen = self.root.look_in(here.fd, name)
                os.close(here.fd)
                stats.append(seen)
                above = _join(above, name)
                here = Place(above, inner, stats)
                why = self.left.new_owner(here)
                if why is not None:  # nothing is made in it
                    raise DirectoryRefusedError(why)
        except BaseException:
            os.close(here.fd)
            raise
        return here

    def _make_one_again(self, parent: Place, above: str, name: str) -> None:
        records, rel = self.left.records, _join(above, name)
        known = records.of.get(rel)
        if known is None or _exists(name, parent.fd):
            return
        for touched in (above, rel):
            record = records.of.get(touched)
            if record is not None and record.kind in (PASSED, SETTLED):
                records.change(record, TOUCHED, record.times)
        likeness = Likeness(known.mode, known.uid, known.gid)
        make_whole((self.left.step, HALF_DIRECTORY), (parent.fd, name), likeness)

    def _is_gone(self, rel: str) -> bool:
        gone = self.left.part(GONE)
        if gone is None:
            return False
        try:
            return _exists(rel, gone)
        finally:
            os.close(gone)

    def _remove_empty(self, name: str, dir_fd: int) -> None:
        if not self._dry_run:
            remove_empty(name, dir_fd, self.root, self._outcome.problems.add)


class _Target:
    """The directory `rel` that things go back to, opened when the first one does."""

    def __init__(self, rel: str, opener: Callable[[str], Place | str]) -> None:
        self.rel, self._opener = rel, opener
        self._place: Place | str | None = None

    @property
    def place(self) -> Place | str:
        """See _Undoing._open_place."""
        if self._place is None:
            self._place = self._opener(self.rel)
        return self._place

    def close(self) -> None:
        """Ends it."""
        if isinstance(self._place, Place):
            os.close(self._place.fd)


def _exists(name: str, dir_fd: int) -> bool:
    try:
        os.lstat(name, dir_fd=dir_fd)
        return True
    except (FileNotFoundError, NotADirectoryError):
        return False


def _join(rel: str, name: str) -> str:
    return name if rel == "." else f"{rel}/{name}"
