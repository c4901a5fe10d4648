"""An exact snapshot of a tree, to be compared with one taken later: nothing that a user could notice is left out.

Access times are left out, for looking changes them; so are change times, which nobody can set, and inode numbers.
"""

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Entry:
    """One name: kind and mode, owner, times, size, what is in it, what hangs on it."""

    mode: int
    uid: int
    gid: int
    mtime_ns: int
    size: int | None  # None for directories, where it is the file system's business
    content: str  # a hash, the target of a link, the numbers of a device
    links: tuple[bytes, ...]  # all names of the same inode below the top, when it has more than one link
    outside: int  # further links of the same inode that are not below the top
    data: tuple[tuple[int, int], ...]  # where data and not holes are
    attributes: tuple[tuple[str, bytes], ...]


def snapshot(top: str | os.PathLike[str]) -> Mapping[bytes, Entry]:
    """Every name below `top`, and `top` itself as b".", with all that can be told of it. Leaves access times."""
    found = dict(_walk(os.fsencode(top), b"."))
    names: dict[tuple[int, int], list[bytes]] = {}
    for name, (seen, _) in found.items():
        if not stat.S_ISDIR(seen.st_mode) and seen.st_nlink > 1:
            names.setdefault((seen.st_dev, seen.st_ino), []).append(name)
    result = {}
    for name, (seen, path) in found.items():
        is_directory = stat.S_ISDIR(seen.st_mode)
        links = tuple(sorted(names.get((seen.st_dev, seen.st_ino), ()))) if not is_directory else ()
        result[name] = Entry(
            mode=seen.st_mode,
            uid=seen.st_uid,
            gid=seen.st_gid,
            mtime_ns=seen.st_mtime_ns,
            size=None if is_directory else seen.st_size,
            content=_content(seen, path),
            links=links,
            outside=seen.st_nlink - max(1, len(links)) if not is_directory else 0,
            data=_data(seen, path),
            attributes=_attributes(path),
        )
    return result


def differences(before: Mapping[bytes, Entry], after: Mapping[bytes, Entry]) -> list[str]:
    """What is not the same, in words; empty when nothing differs."""
    told = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old is None or new is None:
            told.append(f"{name!r}: {'came' if old is None else 'went'}")
            continue
        for what, value in vars(old).items():
            other: Any = getattr(new, what)
            if value != other:
                told.append(f"{name!r}: {what} {value!r} -> {other!r}")
    return told


def _walk(path: bytes, name: bytes) -> Iterator[tuple[bytes, tuple[os.stat_result, bytes]]]:
    seen = os.lstat(path)
    yield name, (seen, path)
    if stat.S_ISDIR(seen.st_mode):
        fd = _open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            inside = sorted(os.fsencode(entry) for entry in os.listdir(fd))
        finally:
            os.close(fd)
        for entry in inside:
            yield from _walk(path + b"/" + entry, entry if name == b"." else name + b"/" + entry)


def _content(seen: os.stat_result, path: bytes) -> str:
    if stat.S_ISLNK(seen.st_mode):
        return repr(os.readlink(path))
    if stat.S_ISCHR(seen.st_mode) or stat.S_ISBLK(seen.st_mode):
        return str(seen.st_rdev)
    if not stat.S_ISREG(seen.st_mode):
        return ""
    digest = hashlib.blake2b()
    with os.fdopen(_open(path, os.O_RDONLY), "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _data(seen: os.stat_result, path: bytes) -> tuple[tuple[int, int], ...]:
    if not stat.S_ISREG(seen.st_mode):
        return ()
    found, at = [], 0
    fd = _open(path, os.O_RDONLY)
    try:
        while at < seen.st_size:
            try:
                start = os.lseek(fd, at, os.SEEK_DATA)
            except OSError:
                break
            at = os.lseek(fd, start, os.SEEK_HOLE)
            found.append((start, at))
    finally:
        os.close(fd)
    return tuple(found)


def _attributes(path: bytes) -> tuple[tuple[str, bytes], ...]:
    try:
        names = sorted(os.listxattr(path, follow_symlinks=False))
    except OSError:
        return ()
    return tuple((name, os.getxattr(path, name, follow_symlinks=False)) for name in names)


def _open(path: bytes, flags: int) -> int:
    flags |= os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        return os.open(path, flags | os.O_NOATIME)
    except PermissionError:
        return os.open(path, flags)
