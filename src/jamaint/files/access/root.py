"""Roots: a directory in which we act, opened so that nobody else can swap it, or anything on the way, under us.

A path string is resolved once, component by component from /, and never followed through a link. Everything below is
then reached by file descriptor. Who may write in a directory may swap what is in it: so each one that we pass must
belong to root or to us, and be writable by nobody else whom we have to fear (groups.py).

A shared root (/tmp) is one in which others have directories of their own: it may be written by everyone, if it is
sticky, and what lies below may belong to anybody. Whoever acts there acts by descriptor, and trusts nothing he sees.
"""

import errno
import os
import pwd
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from jamaint.files.access import syscalls
from jamaint.files.access.skip_report import words
from jamaint.files.rights.writable_groups import other_writer

_PASS = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC  # asking for a directory would trigger an automount
_READ = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_NO_NAMES = frozenset({"", ".", ".."})


class RootRefusedError(Exception):
    """A root that is not used; `kind` is missing, unsafe (it could be replaced by others) or failed.

    `owner` is the uid of whom it, or the first directory on the way to it that is another's, belongs to.
    """

    def __init__(self, path: str, why: str, kind: str, owner: int | None = None) -> None:
        super().__init__(why)
        self.owner = owner
        self.path = path
        self.why = why
        self.kind = kind


class DirectoryRefusedError(Exception):
    """A directory below a root that is left alone, and why; `missing` when it is not there, `failed` on an error.

    `owner` is the uid of whom it belongs to, where it is another's.
    """

    def __init__(self, why: str, missing: bool = False, failed: bool = False, owner: int | None = None) -> None:
        super().__init__(why)
        self.owner = owner
        self.why = why
        self.missing = missing
        self.failed = failed


@dataclass(slots=True)
class Place:
    """An open directory below a root: `rel` is "." for the root, else a/b; `stats` are of each component of `rel`.

    `fd` is good for acting in it by name, not for listing it.
    """

    rel: str
    fd: int
    stats: Sequence[os.stat_result]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self.fd)


@dataclass(slots=True)
class Root:
    """An open root. `stat` is as it was when it was opened; `mount` tells bind mounts of its file system apart."""

    path: str
    fd: int
    stat: os.stat_result
    mount: int
    shared: bool = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self.fd)

    def name(self, rel: str, name: str = "") -> str:
        """The whole path of a thing below, for people to read."""
        base = self.path if rel == "." else f"{self.path}/{rel}"
        return f"{base}/{name}" if name else base

    def look_in(self, parent_fd: int, name: str) -> tuple[int, os.stat_result]:
        """Opens a directory in an open one, for passing through. Raises DirectoryRefusedError with the reason.

        Names of plans and of the trash come from outside: none leads up.
        """
        if name in _NO_NAMES or "/" in name:
            raise DirectoryRefusedError("it has no name of its own", failed=True)
        try:
            fd = os.open(name, _LOOK, dir_fd=parent_fd)
        except OSError as error:
            raise _not_entered(error) from None
        try:
            if syscalls.mount_id(fd) != self.mount:  # asked first: the server of another mount may not answer
                raise DirectoryRefusedError("another file system is mounted there")
            seen = os.fstat(fd)
            if not stat.S_ISDIR(seen.st_mode):
                raise DirectoryRefusedError("it is a link or no directory any more")
            if seen.st_dev != self.stat.st_dev:
                raise DirectoryRefusedError("another file system is mounted there")
            risk = None if self.shared else _risk(fd, seen, above=False)
            if risk is not None:
                why = f"it {risk[0]}, so what is in it could be replaced by others: {risk[1]}"
                raise DirectoryRefusedError(why, failed=True, owner=_other(seen))
        except BaseException:
            os.close(fd)
            raise
        return fd, seen

    def descend(self, rel: str) -> Place:
        """Opens a directory below, each component checked anew. Raises DirectoryRefusedError."""
        fd = os.open(".", _PASS, dir_fd=self.fd)
        stats: list[os.stat_result] = []
        try:
            for name in () if rel == "." else rel.split("/"):
                inner, seen = self.look_in(fd, name)
                os.close(fd)
                fd = inner
                stats.append(seen)
        except BaseException:
            os.close(fd)
            raise
        return Place(rel, fd, stats or [os.fstat(self.fd)])

    def risk(self) -> str | None:
        """What is unsafe about the root itself now, or None: an open root may be given away meanwhile."""
        found = _risk(self.fd, os.fstat(self.fd), above=self.shared)
        return None if found is None else found[0]


def open_root(path: str, shared: bool = False) -> Root:
    """Opens a directory by its whole path; leaves its access time. Raises RootRefusedError: missing, unsafe, failed."""
    names = path.split("/")[1:]
    if not path.startswith("/") or {"", ".", ".."} & set(names) or "\0" in path:
        why = f"{path or 'an empty path'}: name a directory by its whole path, without . or .."
        raise RootRefusedError(path, why, "unsafe")
    try:
        fd = os.open("/", _PASS)
    except OSError as error:
        raise RootRefusedError(path, f"{path} cannot be entered: {words(error)}", "failed") from None
    try:
        _check(fd, "/", path, above=True)
        for depth, name in enumerate(names, 1):
            here = "/" + "/".join(names[:depth])
            inner = _step(fd, name, here, path)
            os.close(fd)
            fd = inner
            seen = _check(fd, here, path, above=shared or depth < len(names))
        try:
            return Root(path, readable(fd), seen, syscalls.mount_id(fd), shared)
        except OSError as error:
            raise RootRefusedError(path, f"{path} cannot be read: {words(error)}", "failed") from None
    finally:
        os.close(fd)


def readable(fd: int) -> int:
    """Opens for listing, fsync and utime what is open for passing through; its access time stays where we may."""
    try:
        return os.open(".", _READ | os.O_NOATIME, dir_fd=fd)
    except OSError as error:
        if error.errno != errno.EPERM:
            raise
        return os.open(".", _READ, dir_fd=fd)  # only the owner may leave it


def _step(parent: int, name: str, here: str, root: str) -> int:
    try:
        return os.open(name, _PASS, dir_fd=parent)
    except FileNotFoundError:
        raise RootRefusedError(root, f"{here} does not exist", "missing") from None
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            raise RootRefusedError(root, _not_a_directory(parent, name, here), "unsafe") from None
        raise RootRefusedError(root, f"{here} cannot be entered: {words(error)}", "failed") from None


def _not_a_directory(parent: int, name: str, here: str) -> str:
    try:
        return f"{here} is a symbolic link to {os.readlink(name, dir_fd=parent)}; name the real directory"
    except OSError:
        return f"{here} is not a directory"


def _check(fd: int, here: str, root: str, above: bool) -> os.stat_result:
    seen = os.fstat(fd)
    risk = _risk(fd, seen, above)
    if risk is not None:
        why = f"{here} {risk[0]}, so what is in it could be replaced by others: {risk[1]}"
        raise RootRefusedError(root, why, "unsafe", _other(seen))
    return seen


def _risk(fd: int, seen: os.stat_result, above: bool) -> tuple[str, str] | None:
    """Return who else could swap what is in this directory, and what to do about it; None for nobody."""
    mode, other = seen.st_mode, _other(seen)
    if other is not None:
        return _of_another(other)
    if above and mode & stat.S_ISVTX:
        return None
    if mode & 0o002:
        return f"may be written by everyone (mode {mode & 0o7777:04o})", _SHARED if mode & stat.S_ISVTX else _OPEN
    return other_writer(fd, seen)


_SHARED = "have the program write in a directory of its own, and name that"
_OPEN = f"{_SHARED}; or take the right to write from others, if nothing needs it"


def _other(seen: os.stat_result) -> int | None:
    """Return whom a directory belongs to, if neither to root nor to whom this process acts as."""
    return None if seen.st_uid in (0, os.geteuid()) else seen.st_uid


def _of_another(uid: int) -> tuple[str, str]:
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"belongs to uid {uid}", "no account has that uid: give it to one that shall work there"
    advice = f"set `user: {name}` on the task (for logs, `user: owner`), to work with that user's rights"
    return f"belongs to {name} (uid {uid})", advice


def _not_entered(error: OSError) -> DirectoryRefusedError:
    if error.errno == errno.ENOENT:
        return DirectoryRefusedError("it is no longer there", missing=True)
    return DirectoryRefusedError(words(error), failed=True)
