"""The trash: where one step puts what it takes from a root, so that it can be put back whatever is killed when.

    <root>/.jamaint-trash/<execution>/<step>/   all 0700 and ours
        gone/<path>     what was taken, by rename: it is in its place or here
        loose/<figures> the same, where many files were taken one by one from a directory (shards.py)
        made/<path>     a second name for each file that the step made and linked into its place
        marks/<path>    a link whose target says how a made file was (size, time of writing) and from what it was made
        turns/<figures> each rename and new file of a rotation (turning.py)
        times/<figures> how each directory was before (records.py)
        wholes/<figures> directories that were taken in one rename, with all in them (wholes.py)
        ended           made when the step is through: what is later than it was done by others

So the trash is its own journal: each act is one call, and what has been done can be read from the trash alone.
"""

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from jamaint.files.access import syscalls
from jamaint.files.access.batch_stat import Statuses
from jamaint.files.access.globs import TRASH
from jamaint.files.access.root import Place, Root, RootRefusedError
from jamaint.files.access.skip_report import STOPS_EVERYTHING, Skipped, words
from jamaint.files.access.tree_walk import BATCH
from jamaint.files.rights.attributes import drop_access_lists
from jamaint.files.trash import moved_directories, shards
from jamaint.files.trash.directory_records import MADE, PASSED, TOUCHED, Records
from jamaint.files.trash.inventory import Part, Record
from jamaint.files.trash.removal import (
    HALF_DIRECTORY,
    HALF_FILE,
    Likeness,
    RemovalTally,
    Second,
    StagedFile,
    make_whole,
    note_error,
    sync,
    unchanged,
)
from jamaint.files.trash.shards import LOOSE, Shards
from jamaint.files.trash.stand_in import exchange
from jamaint.files.trash.stops import DiskError

OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
GONE, FORMED, MARKS, TURNS, TIMES, ENDED = "gone", "made", "marks", "turns", "times", "ended"


class TrashDisplacedError(Exception):
    """What was taken by mistake could not be put back, for something else is in its place; it is in the trash."""


class TrashBusyError(Exception):
    """Another process works with this step's trash."""


_MADE_AGAIN = "a directory on the way to it was taken whole and has been made again since: the next execution takes it"

Move = Callable[..., None]
"""A rename that is called as os.rename() is, with two open directories."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A directory that was taken whole, and whose fate is open: from where, and where it lies now.

    `gone` is the open directory of the trash that it lies in, `base` the one that `rel` leads to it from.
    """

    place: Place
    name: str
    rel: str
    expected: os.stat_result
    gone: int
    base: int


@dataclass(frozen=True, slots=True)
class _Where:
    """Where files of one directory go: an open directory of the trash, how, and (name, path in it) of each."""

    fd: int
    move: Move
    paths: Callable[[Sequence[str]], Iterable[tuple[str, str]]]


class Trash:
    """The way out with a way back: the trash of one step below one root. Nothing is made before the first act.

    `in_drawers`: for a step that only takes. What a made file was made from is not found in shards.
    """

    def __init__(
        self, root: Root, execution: str, step: str, in_drawers: bool = False, record: "Record | None" = None
    ) -> None:
        self.root, self._in_drawers, self._record = root, in_drawers, record
        self._execution, self._step_name = execution, step
        self._step = -1
        self._bases: dict[str, int] = {}
        self._fresh: set[tuple[str, str]] = set()
        self._drawers: Shards | None = None
        self._records = Records(-1)
        self._whole_number = -1
        self._seen = Statuses()

    def take(self, place: Place, names: Sequence[str], prints: Sequence[int], ledger: RemovalTally) -> list[str]:
        """See RemovalMethod. Each file is in its place or in the trash at any moment."""
        in_drawers = self._in_drawers and len(names) >= shards.WORTH
        try:
            self._touch_to_take(place)
            where = self._to_drawers(place) if in_drawers else self._to_mirror(place)
        except FileExistsError as error:
            for name in names:
                ledger.skipped.add(self.root.name(place.rel, name), str(error.strerror), problem=True)
            return list(names)
        left: list[str] = []
        try:
            for start in range(0, len(names), BATCH):
                some = slice(start, start + BATCH)
                marks = dict(zip(names[some], prints[some], strict=True))
                left += self._take_some(place, where, marks, ledger)
        finally:
            os.close(where.fd)
        return left

    def _to_mirror(self, place: Place) -> "_Where":
        gone, fresh = self._mirror(GONE, place.rel)
        self._fresh.discard((GONE, place.rel))  # from now on there is something in it
        # Nothing can be overwritten in a directory that we have just made and nobody else may write in.
        move: Move = os.rename if fresh else syscalls.rename_noreplace
        return _Where(gone, move, lambda names: zip(names, names, strict=True))

    def _to_drawers(self, place: Place) -> "_Where":
        if self._drawers is None:
            self._drawers = Shards(self._base(LOOSE), self.root.name(".", TRASH))
        number, all_of_them = self._records.of[place.rel].number, self._drawers
        fd = all_of_them.of(number)
        return _Where(fd, os.rename, lambda names: all_of_them.places(number, fd, names))

    def _take_some(self, place: Place, where: "_Where", prints: Mapping[str, int], ledger: RemovalTally) -> list[str]:
        same, left = unchanged(self._seen, self.root, place, prints, ledger)
        if self._record is not None and same:
            self._record([self._part(place, same)])
        moved: dict[str, int] = {}
        move, source, target = where.move, place.fd, where.fd
        try:
            for name, path in where.paths(same):
                try:
                    move(name, path, src_dir_fd=source, dst_dir_fd=target)
                    moved[path] = prints[name]
                except OSError as error:
                    left.append(name)
                    note_error(error, self.root, place, name, ledger.skipped)
        finally:  # also when the disk is full
            left += self._check_taken(place, where.fd, moved, ledger)
        return left

    def _part(self, place: Place, names: list[str]) -> Part:
        """Return what is recorded of files; they are looked at once more where others were looked at with them."""
        if len(names) != self._seen.count:
            names = self._seen.look(names, place.fd, lambda _name, _error: None)
        seen = self._seen
        return Part(place.rel, names, seen.inodes, seen.sizes, seen.nanoseconds("modification"))

    def _check_taken(self, place: Place, gone: int, prints: Mapping[str, int], ledger: RemovalTally) -> list[str]:
        """Puts back what was changed in the moment before it was taken, and counts the others; by path in `gone`."""
        left: list[str] = []

        def failed(path: str, error: OSError) -> None:
            left.append(_name(path))
            note_error(error, self.root, place, _name(path), ledger.skipped)

        paths = self._seen.look(list(prints), gone, failed)
        now = self._seen.prints()
        same = [number for number, path in enumerate(paths) if now[number] == prints[path]]
        ledger.taken.add_some(self._seen, same, ledger.held.any)
        changed = [path for number, path in enumerate(paths) if now[number] != prints[path]]
        stopped: list[DiskError] = []
        for path in changed:  # all of them, whatever becomes of one
            try:
                self._put_file_back(place, gone, path, ledger.skipped)
            except DiskError as reason:
                stopped.append(reason)
        if stopped:
            raise stopped[0]
        return left + [_name(path) for path in changed]

    def move_directory(self, place: Place, name: str, expected: os.stat_result) -> "Moved":
        """Takes a directory with all in it, in one rename, until settle() or put_back() says what becomes of it.

        An empty one that cannot be renamed goes as a stand-in. Raises FileExistsError when something in it is in the
        trash already.
        """
        self._touch_to_take(place)
        rel = name if place.rel == "." else f"{place.rel}/{name}"
        if rel in self._records.of:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), rel)
        gone, _ = self._mirror(GONE, place.rel)
        try:
            try:
                syscalls.rename_noreplace(name, name, src_dir_fd=place.fd, dst_dir_fd=gone)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                expected = exchange((place.fd, name), expected, gone, (self._step, HALF_DIRECTORY))
        except BaseException:
            os.close(gone)
            raise
        return Moved(place, name, rel, expected, gone, self._base(GONE))

    @property
    def records(self) -> bool:
        """Whether it has to be told what is in directories that are taken whole."""
        return self._record is not None

    def settle(self, moved: "Moved", found: int | str, parts: Sequence[Part] = ()) -> str | None:
        """Keeps a moved directory if so many files were found in it that may go; if not, puts it back, and says why."""
        if isinstance(found, str):
            self.put_back(moved)
            return found
        if self._record is not None and parts:
            try:
                self._record(parts)
            except BaseException:  # what is not recorded is not taken
                self.put_back(moved)
                raise
        os.close(moved.gone)
        self._note_whole(moved.rel, moved.expected.st_ino, found)
        return None

    def put_back(self, moved: "Moved") -> None:
        """Puts a moved directory back. Raises Displaced."""
        try:
            syscalls.rename_noreplace(moved.name, moved.name, src_dir_fd=moved.gone, dst_dir_fd=moved.place.fd)
        except FileExistsError:
            why = f"{self.root.name(moved.rel)} changed while it was taken, and has been made again since"
            raise TrashDisplacedError(f"{why}: the first of them stays in the trash") from None
        except OSError as error:
            why = f"{self.root.name(moved.rel)} changed while it was taken, and cannot be put back: {words(error)}"
            raise TrashDisplacedError(f"{why}: it stays in the trash") from None
        finally:
            os.close(moved.gone)

    def half(self, place: Place) -> StagedFile:
        """See RemovalMethod."""
        self._touch(place)
        return StagedFile(self._step, HALF_FILE, place.fd)

    def publish(self, place: Place, file: StagedFile | Second, names: Iterator[str], source: str) -> str:
        """See RemovalMethod. It gets its name in the trash first: what has none there was not made by us."""
        self._touch(place)
        seen = os.fstat(file.fd)
        mark = f"{seen.st_size}.{seen.st_mtime_ns}.{source}"
        marks, _ = self._mirror(MARKS, place.rel)  # before the others: where there is something made, its mark is
        formed, _ = self._mirror(FORMED, place.rel)
        try:
            name = self._reserve(place, marks, names, mark)
            try:
                file.link(formed, name)
            except OSError:
                os.unlink(name, dir_fd=marks)
                raise
            while True:
                try:
                    os.link(name, name, src_dir_fd=formed, dst_dir_fd=place.fd, follow_symlinks=False)
                    return name
                except FileExistsError:
                    other = self._reserve(place, marks, names, mark)
                    syscalls.rename_noreplace(name, other, src_dir_fd=formed, dst_dir_fd=formed)
                    os.unlink(name, dir_fd=marks)
                    name = other
        finally:
            os.close(formed)
            os.close(marks)

    def withdraw(self, place: Place, name: str, inode: int) -> None:
        """See RemovalMethod."""
        if os.lstat(name, dir_fd=place.fd).st_ino == inode:
            os.unlink(name, dir_fd=place.fd)
        for kind in (FORMED, MARKS):
            fd, _ = self._mirror(kind, place.rel)
            try:
                os.unlink(name, dir_fd=fd)
            finally:
                os.close(fd)

    def make_directory(self, parent: Place, name: str, like: os.stat_result) -> None:
        """See RemovalMethod."""
        rel = name if parent.rel == "." else f"{parent.rel}/{name}"
        self._touch(parent)
        aside, place = (self._step, HALF_DIRECTORY), (parent.fd, name)
        if not make_whole(aside, place, Likeness.of(like), lambda seen: self._records.note(MADE, rel, seen)):
            self._records.forget(rel)

    @property
    def lock_fd(self) -> int:
        """What holds the lock: a process of ours that has it too must let it go."""
        return self._step

    def turns(self, place: Place) -> int:
        """Opens the journal of renames within directories, for one in `place`; good until finish()."""
        self._touch(place)
        return self._base(TURNS)

    def finish(self) -> None:
        """See RemovalMethod. From now on a directory with a later time was changed by somebody else."""
        try:
            if self._step >= 0:
                self._sync()
                with contextlib.suppress(OSError):  # a full disk: then the times of before count, whoever came since
                    os.close(os.open(ENDED, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW, 0o600, dir_fd=self._step))
        finally:
            self.close()

    def close(self) -> None:
        """See RemovalMethod."""
        for fd in (*self._bases.values(), self._step):
            if fd >= 0:
                os.close(fd)
        self._bases, self._step, self._drawers = {}, -1, None

    def _sync(self) -> None:
        for record in self._records.of.values():
            if record.kind != PASSED:
                sync(self.root, record.rel)
        for fd in (*self._bases.values(), self._step):
            os.fsync(fd)

    def _touch(self, place: Place) -> None:
        """Writes down how a directory is, and those on the way to it, before anything in it changes."""
        if self._step < 0:
            self._open()
        names = place.rel.split("/")
        for depth in range(1, len(names)):
            self._records.note(PASSED, "/".join(names[:depth]), place.stats[depth - 1])
        self._records.note(TOUCHED, place.rel, place.stats[-1])

    def _touch_to_take(self, place: Place) -> None:
        """The same, for a directory that something is taken from.

        Raises FileExistsError when it, or one on the way to it, was taken whole and is there again: whoever has the
        first one open may still act in it. Of those in the trash the ones that we have made have a record.
        """
        if self._step < 0:
            self._open()
        fd = os.open(".", OPEN, dir_fd=self._base(GONE))
        try:
            names = place.rel.split("/") if place.rel != "." else []
            for depth, name in enumerate(names, 1):
                inner = os.open(name, OPEN, dir_fd=fd)
                os.close(fd)
                fd = inner
                if "/".join(names[:depth]) not in self._records.of:
                    raise FileExistsError(errno.EEXIST, _MADE_AGAIN, place.rel)
        except FileNotFoundError:  # nothing on the way to it has been
            pass
        finally:
            os.close(fd)
        self._touch(place)

    def _open(self) -> None:
        before = os.fstat(self.root.fd)
        try:
            self._step = _make_step(self.root, self._execution, self._step_name)
            lock(self._step)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(ENDED, dir_fd=self._step)  # the step goes on
            self._records = Records.read(self._base(TIMES))
            self._records.note(TOUCHED, ".", before)
        except OSError as error:
            self.close()
            why = f"{self.root.name('.', TRASH)} cannot be made: {words(error)}"
            if error.errno in STOPS_EVERYTHING:
                raise DiskError(why) from None
            raise RootRefusedError(self.root.path, why, "failed") from None
        except BaseException:
            self.close()
            raise

    def _base(self, kind: str) -> int:
        if kind not in self._bases:
            with contextlib.suppress(FileExistsError):
                os.mkdir(kind, 0o700, dir_fd=self._step)
                self._fresh.add((kind, "."))
            self._bases[kind] = _make_private(self._step, kind, self.root)
        return self._bases[kind]

    def _mirror(self, kind: str, rel: str) -> tuple[int, bool]:
        """Opens <kind>/<rel>, and says whether this process made it, so that it held nothing."""
        fd = os.open(".", OPEN, dir_fd=self._base(kind))
        names = [] if rel == "." else rel.split("/")
        try:
            for depth, name in enumerate(names, 1):
                path = "/".join(names[:depth])
                try:
                    inner = os.open(name, OPEN, dir_fd=fd)
                except FileNotFoundError:
                    os.mkdir(name, 0o700, dir_fd=fd)
                    self._fresh.add((kind, path))
                    inner = os.open(name, OPEN, dir_fd=fd)
                os.close(fd)
                fd = inner
        except BaseException:
            os.close(fd)
            raise
        return fd, (kind, rel) in self._fresh

    def _reserve(self, place: Place, marks: int, names: Iterator[str], mark: str) -> str:
        """The first name that is free in its place, marked as one that we are about to make."""
        for name in names:
            try:
                os.lstat(name, dir_fd=place.fd)
            except FileNotFoundError:
                with contextlib.suppress(FileExistsError):
                    os.symlink(mark, name, dir_fd=marks)
                    return name
        raise AssertionError("names never end")

    def _note_whole(self, rel: str, inode: int, items: int) -> None:
        fd = self._base(moved_directories.WHOLES)
        if self._whole_number < 0:
            self._whole_number = moved_directories.next_number(fd)
        moved_directories.note(fd, moved_directories.Whole(rel, self._whole_number, inode, items))
        self._whole_number += 1

    def _put_file_back(self, place: Place, gone: int, where: str, skipped: Skipped) -> None:
        name = _name(where)
        path = self.root.name(place.rel, name)
        try:
            syscalls.rename_noreplace(where, name, src_dir_fd=gone, dst_dir_fd=place.fd)
            skipped.add(path, "it changed while it was taken, and was put back")
        except FileExistsError:
            skipped.add(path, "it changed twice while it was taken; the first of them stays in the trash", problem=True)
        except OSError as error:
            why = f"it changed while it was taken, and cannot be put back: {words(error)}; it stays in the trash"
            skipped.add(path, why, problem=True)
            if error.errno in STOPS_EVERYTHING:
                raise DiskError(f"{path}: {why}") from None


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def open_private(parent: int, name: str, root: Root) -> int | None:
    """Opens a directory of the trash; None when it is not there. Raises RootRefusedError when it is not ours alone."""
    if "/" in name or name in ("", ".", ".."):  # names of executions and steps come from outside
        raise RootRefusedError(root.path, _not_ours(root, name, "it has no name of its own"), "unsafe")
    try:
        fd = os.open(name, OPEN | os.O_NOATIME, dir_fd=parent)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise RootRefusedError(root.path, _not_ours(root, name, words(error)), "unsafe") from None
        raise RootRefusedError(root.path, f"{_path(root, name)} cannot be opened: {words(error)}", "failed") from None
    seen = os.fstat(fd)
    if seen.st_uid != os.geteuid() or seen.st_mode & 0o077 or seen.st_dev != root.stat.st_dev:
        os.close(fd)
        what = f"it belongs to uid {seen.st_uid} and has mode {seen.st_mode & 0o7777:04o}"
        raise RootRefusedError(root.path, _not_ours(root, name, what), "unsafe")
    return fd


def lock(fd: int) -> None:
    """Holds a directory of the trash until it is closed. Raises Busy when another process does."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise TrashBusyError("another process is at work in this step's trash") from None


def _make_step(root: Root, execution: str, step: str) -> int:
    for _ in range(3):  # another execution may be removing the trash that it has emptied
        fds = [root.fd]
        try:
            for name in (TRASH, execution, step):
                fds.append(_make_private(fds[-1], name, root))
            return fds.pop()
        except FileNotFoundError:
            continue
        finally:
            for fd in fds[1:]:
                os.close(fd)
    raise FileNotFoundError(errno.ENOENT, "removed again and again", TRASH)


def _make_private(parent: int, name: str, root: Root) -> int:
    made = False
    if "/" not in name:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=parent)
            made = True
    try:
        fd = open_private(parent, name, root)
    except RootRefusedError as refusal:
        if not made or refusal.kind != "unsafe":
            raise
        with contextlib.suppress(OSError):
            os.rmdir(name, dir_fd=parent)
        why = f"{root.path} is on a file system that keeps no modes or owners: a trash there would be open to others; "
        raise RootRefusedError(root.path, f"{why}set `rollback: {{enabled: false}}` on the task", "failed") from None
    if fd is None:
        raise FileNotFoundError(errno.ENOENT, "removed while it was opened", name)
    if made:  # what its directory hands on is for what others make there
        drop_access_lists(fd)
        os.fchmod(fd, 0o700)
    return fd


def _not_ours(root: Root, name: str, why: str) -> str:
    return f"{_path(root, name)} is not a directory of ours alone: {why}; move it away"


def _path(root: Root, name: str) -> str:
    return f"{root.name('.', TRASH)}{'' if name == TRASH else '/…/' + name}"
