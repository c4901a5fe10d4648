"""Stand-ins: an empty directory that its file system cannot rename goes to the trash as another that is just like it.

On overlayfs a directory of a lower layer (of a container's image) cannot be renamed: EXDEV. Empty, it can be removed;
so one with its owner, mode, times and extended attributes is made in the trash first, and that is what an undo puts
back. Killed between the two, both are there, and are alike: an undo lets go of the one in the trash.
"""

import contextlib
import errno
import os
import stat

from jamaint.files.access import syscalls
from jamaint.files.rights.attributes import AttributesDifferError, FileAttributes

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOATIME


def exchange(place: tuple[int, str], expected: os.stat_result, trash: int, aside: tuple[int, str]) -> os.stat_result:
    """Removes an empty directory at `place`, with a stand-in of the same name in the open directory `trash`.

    Both tuples are (open directory, name); at `aside` the stand-in is made. Returns how the stand-in is. Raises OSError
    with EXDEV where the directory is not empty, is not the one `expected`, or could not be made alike.
    """
    parent, name = place
    try:
        fd = os.open(name, _OPEN, dir_fd=parent)
    except PermissionError:  # only its owner may look at it without a trace
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), name) from None
    made = -1
    try:
        seen = os.fstat(fd)
        if not os.path.samestat(seen, expected) or os.listdir(fd):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), name)
        made = _make(fd, seen, aside)
        syscalls.rename_noreplace(aside[1], name, src_dir_fd=aside[0], dst_dir_fd=trash)
        try:
            os.rmdir(name, dir_fd=parent)
        except OSError:
            os.rmdir(name, dir_fd=trash)
            raise
        _give(fd, made, (seen.st_atime_ns, seen.st_mtime_ns))  # somebody may have changed them meanwhile
        return os.fstat(made)
    except AttributesDifferError:
        with contextlib.suppress(OSError):
            os.rmdir(aside[1], dir_fd=aside[0])
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), name) from None
    except OSError as error:
        if error.errno == errno.ENOTEMPTY:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), name) from None
        raise
    finally:
        for each in (fd, made):
            if each >= 0:
                os.close(each)


def let_go_of_double(trash: int, name: str, parent: int) -> bool:
    """Removes a stand-in from an open directory of the trash whose original is still in its place, and just like it.

    False where they differ, or one is no empty directory. Raises OSError.
    """
    fds: list[int] = []
    try:
        for directory in (trash, parent):
            fds += [os.open(name, _OPEN, dir_fd=directory)]
        double, original = fds
        if os.listdir(double) or not _are_alike(double, original):
            return False
        os.rmdir(name, dir_fd=trash)
        return True
    except NotADirectoryError:
        return False
    finally:
        for fd in fds:
            os.close(fd)


def _make(like: int, seen: os.stat_result, aside: tuple[int, str]) -> int:
    """Makes an empty directory like an open one, and opens it. Raises OSError, AttributesDifferError."""
    parent, half = aside
    with contextlib.suppress(FileNotFoundError):
        os.rmdir(half, dir_fd=parent)  # of one that was killed
    os.mkdir(half, 0o700, dir_fd=parent)
    fd = os.open(half, _OPEN, dir_fd=parent)
    try:
        _give(like, fd, (seen.st_atime_ns, seen.st_mtime_ns))
    except BaseException:
        os.close(fd)
        raise
    return fd


def _give(like: int, fd: int, times: tuple[int, int]) -> None:
    FileAttributes.of(like, os.fstat(like)).settle(fd, times)


def _are_alike(one: int, other: int) -> bool:
    first, second = os.fstat(one), os.fstat(other)
    if (first.st_atime_ns, first.st_mtime_ns) != (second.st_atime_ns, second.st_mtime_ns):
        return False
    modes = stat.S_IMODE(first.st_mode) == stat.S_IMODE(second.st_mode)
    return modes and not FileAttributes.of(other, second).differs(one)
