"""The system calls that the standard library does not have: renameat2 and statx, and what is asked of them here."""

import ctypes
import errno
import os
import stat
import struct
from collections.abc import Iterable, Iterator

_NOREPLACE = 1
_EMPTY_PATH = 0x1000
_NOFOLLOW = 0x100
_NO_AUTOMOUNT = 0x800
_DONT_SYNC = 0x4000
_TYPE, _INO, _BORN, _MNT_ID = 0x1, 0x100, 0x800, 0x1000
_IMMUTABLE, _APPEND, _MOUNT_ROOT = 0x10, 0x20, 0x2000

_libc = ctypes.CDLL(None, use_errno=True)
_renameat2 = _libc.renameat2
_renameat2.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
_statx = _libc.statx
_statx.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_char_p)


def rename_noreplace(src: str, dst: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
    """Renames and never overwrites: raises FileExistsError when `dst` is there, any other OSError as rename does.

    File systems that cannot (NFS, some of FUSE) get a link and an unlink: a kill between the two leaves both names of
    the same inode, and whoever puts things back has to take that for done.
    """
    if _renameat2(src_dir_fd, os.fsencode(src), dst_dir_fd, os.fsencode(dst), _NOREPLACE) == 0:
        return
    number = ctypes.get_errno()
    if number not in (errno.EINVAL, errno.ENOSYS):
        raise OSError(number, os.strerror(number), src, None, dst)
    try:
        os.link(src, dst, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd, follow_symlinks=False)
    except PermissionError:
        if not stat.S_ISDIR(os.lstat(src, dir_fd=src_dir_fd).st_mode):
            raise
        _rename_directory(src, dst, src_dir_fd, dst_dir_fd)
    else:
        os.unlink(src, dir_fd=src_dir_fd)


def _rename_directory(src: str, dst: str, src_dir_fd: int, dst_dir_fd: int) -> None:
    """A directory that comes in between is replaced only if it is empty: so says the kernel."""
    try:
        os.lstat(dst, dir_fd=dst_dir_fd)
    except FileNotFoundError:
        os.rename(src, dst, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
    else:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), src, None, dst)


def mount_id(fd: int) -> int:
    """The mount that an open file or directory is on; bind mounts of one file system differ in it.

    Its server is not asked: it may be gone.
    """
    found = _status(fd, b"", _EMPTY_PATH | _DONT_SYNC, _MNT_ID)
    if found[0] & _MNT_ID:
        number: int = struct.unpack_from("=Q", found[1], 144)[0]
        return number
    with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as lines:  # kernels before 5.8
        return next(int(line.split()[1]) for line in lines if line.startswith("mnt_id"))


def locked_by_attribute(name: str, dir_fd: int) -> str | None:
    """ "immutable" or "append-only" when chattr has made it so, else None. Raises OSError."""
    attributes = struct.unpack_from("=Q", _status(dir_fd, os.fsencode(name), _NOFOLLOW | _NO_AUTOMOUNT, 0)[1], 8)[0]
    if attributes & _IMMUTABLE:
        return "immutable"
    return "append-only" if attributes & _APPEND else None


def is_mount_root(fd: int) -> bool:
    """Whether something is mounted on an open directory; false on a kernel that cannot tell (before 5.8)."""
    return bool(struct.unpack_from("=Q", _status(fd, b"", _EMPTY_PATH, 0)[1], 8)[0] & _MOUNT_ROOT)


def born(name: str, dir_fd: int) -> int | None:
    """When a file was made, in nanoseconds since 1970; None where the file system does not tell. Raises OSError."""
    mask, found = _status(dir_fd, os.fsencode(name), _NOFOLLOW | _NO_AUTOMOUNT, _BORN)
    if not mask & _BORN:
        return None
    seconds, nanoseconds = struct.unpack_from("=qI", found, 80)
    return int(seconds) * 10**9 + int(nanoseconds)


def leads_somewhere(name: str, dir_fd: int) -> bool:
    """Whether what a link leads to is there, as far as this machine knows: nothing is mounted for it."""
    try:
        _status(dir_fd, os.fsencode(name), _NO_AUTOMOUNT | _DONT_SYNC, _TYPE)
    except OSError as error:
        return error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
    return True


_IDENTITY = struct.Struct("=28xH2xQ96xII")
"""st_mode at 28, st_ino at 32, the numbers of the device at 136 of a struct statx."""


def identity(path: str) -> tuple[int, int, int]:
    """(st_mode, st_dev, st_ino) of what `path` leads to, as far as this machine knows: no server is asked."""
    found = _status(-100, os.fsencode(path), _NO_AUTOMOUNT | _DONT_SYNC, _TYPE | _INO)[1]
    major, minor = struct.unpack_from("=II", found, 136)
    return struct.unpack_from("=H", found, 28)[0], os.makedev(major, minor), struct.unpack_from("=Q", found, 32)[0]


def identities(names: Iterable[str], dir_fd: int) -> Iterator[tuple[str, tuple[int, int, int]]]:
    """Return each name with the `identity` of what it leads to from an open directory; none where it leads nowhere."""
    room = ctypes.create_string_buffer(256)
    for name in names:
        if _statx(dir_fd, os.fsencode(name), _NO_AUTOMOUNT | _DONT_SYNC, _TYPE | _INO, room) == 0:
            mode, inode, major, minor = _IDENTITY.unpack_from(room)
            yield name, (mode, os.makedev(major, minor), inode)


def _status(dir_fd: int, name: bytes, flags: int, mask: int) -> tuple[int, bytes]:
    room = ctypes.create_string_buffer(256)
    if _statx(dir_fd, name, flags, mask, room) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), os.fsdecode(name))
    return struct.unpack_from("=I", room.raw, 0)[0], room.raw
