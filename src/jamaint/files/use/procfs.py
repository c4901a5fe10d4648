"""Every use of a file that /proc and /sys tell: what processes hold open, mapped or locked, and what the kernel uses.

It runs in a process of its own with the right to look into all others (jamaint.openfiles_server), or in a worker with
the worker's rights. Nothing here opens a file that somebody else has named: links of /proc are asked for the identity
of what they lead to, and no server of a network file system is asked.
"""

import glob
import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress

from jamaint.files.access import syscalls
from jamaint.files.use.records import (
    BITMAP,
    GADGET,
    HIDDEN,
    KERNEL,
    LOCK,
    LOOP,
    OTHER,
    READER,
    SWAP,
    TARGET,
    WRITER,
    Use,
)

_LINKS = ("../cwd", "../root", "../exe")
_Mapping = tuple[bool, bytes, bytes]
"""(shared and writable, device, inode) of a mapped file, as the kernel writes the numbers."""
_ESCAPE = re.compile(rb"\\([0-7]{3})")
_BITMAP_FILE = re.compile(rb" bitmap: .* file: (/[^\n]*)")
_BACKING = (
    ("/sys/block/loop*/loop/backing_file", LOOP),
    ("/sys/kernel/config/target/core/fileio_*/*/udev_path", TARGET),
    ("/sys/kernel/config/usb_gadget/*/functions/mass_storage.*/lun.*/file", GADGET),
)
"""Files of one line, the path of the file that the kernel has open."""


def uses(own: int, root: str = "") -> Iterator[Use]:
    """Return each use of a file there is now, but those of the process `own`.

    A file that several processes have mapped is told once, for one of them. `root` leads to the file system in which
    the kernel's paths are meant, for a process that has an empty one. Raises OSError where a process that lives cannot
    be looked into for another reason than missing rights (EMFILE, ENOMEM), or the kernel does not tell its locks, swap
    files or RAID bitmaps: what is in use is then not known.
    """
    known: set[_Mapping] = set()
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != own:
            yield from _of_process(int(entry), known)
    yield from _locks(own)
    yield from _of_kernel(root)


def _of_process(pid: int, known: set[_Mapping]) -> Iterator[Use]:
    try:
        fd = os.open(f"/proc/{pid}/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        yield HIDDEN, 0, 0, pid
        return
    except (FileNotFoundError, ProcessLookupError):  # it has ended
        return
    try:
        yield from _of_links(fd, pid)
    finally:
        os.close(fd)
    yield from _of_mappings(pid, known)


def _of_links(fd: int, pid: int) -> Iterator[Use]:
    """Return the uses that the links in the open directory /proc/PID/fd, and those beside it, lead to.

    They are looked up from there: to look for a process by its number costs more than all else of a link.
    """
    try:
        names = [*_LINKS, *os.listdir(fd)]
    except (FileNotFoundError, ProcessLookupError):  # it has ended
        return
    for name, (mode, device, inode) in syscalls.identities(names, fd):
        if stat.S_ISREG(mode):
            try:
                writes = name not in _LINKS and os.lstat(name, dir_fd=fd).st_mode & stat.S_IWUSR
            except OSError:  # closed meanwhile
                continue
            yield WRITER if writes else READER, device, inode, pid
        elif device != _PIPES and stat.S_IFMT(mode) not in (0, stat.S_IFSOCK):
            yield OTHER, device, inode, pid


def _of_mappings(pid: int, known: set[_Mapping]) -> Iterator[Use]:
    try:
        with open(f"/proc/{pid}/maps", "rb", buffering=0) as file:
            lines = file.readall().splitlines()
    except (FileNotFoundError, ProcessLookupError, PermissionError):  # it has ended, or shows its open files alone
        return
    for line in lines:
        _, allows, _, device, inode = line.split(b" ", 5)[:5]
        mapping = (allows[1:2] == b"w" and allows[3:4] == b"s", device, inode)
        if inode == b"0" or mapping in known:
            continue
        known.add(mapping)
        major, _, minor = device.partition(b":")
        yield WRITER if mapping[0] else READER, os.makedev(int(major, 16), int(minor, 16)), int(inode), pid


def _locks(own: int) -> Iterator[Use]:
    """Files and directories that are locked (flock, fcntl, a lease); pid 0 is one of another container."""
    for line in _read("/proc/locks").splitlines():
        words = line.split()
        if b"->" in words or len(words) < 6:  # one that waits for a lock
            continue
        try:
            major, minor, inode = words[-3].split(b":")
            pid = max(int(words[-4]), 0)
            if pid != own:
                yield LOCK, os.makedev(int(major, 16), int(minor, 16)), int(inode), pid
        except ValueError:  # a lock on nothing: <none>
            continue


def _of_kernel(root: str) -> Iterator[Use]:
    for path, purpose in _paths_of_kernel():
        try:
            mode, device, inode = syscalls.identity(root + os.fsdecode(path))
        except OSError:  # deleted, or of a container
            continue
        if stat.S_ISREG(mode):
            yield KERNEL, device, inode, purpose


def _paths_of_kernel() -> Iterator[tuple[bytes, int]]:
    for pattern, purpose in _BACKING:
        for path in glob.iglob(pattern):
            with suppress(PermissionError):  # some are root's alone, and name nothing that others could clean
                yield _read(path).rstrip(b"\n"), purpose
    for line in _read("/proc/swaps").splitlines()[1:]:
        yield _ESCAPE.sub(lambda found: bytes([int(found[1], 8)]), line.split(b" ")[0].split(b"\t")[0]), SWAP
    for path in _BITMAP_FILE.findall(_read("/proc/mdstat")):
        yield path, BITMAP


def _read(path: str) -> bytes:
    """Return the file's content; nothing where this kernel has no such file.

    Raises OSError for one that cannot be read: an empty answer would say that nothing is locked, or swapped to.
    """
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


def _device_of_pipes() -> int:
    ends = os.pipe()
    try:
        return os.fstat(ends[0]).st_dev
    finally:
        for end in ends:
            os.close(end)


_PIPES = _device_of_pipes()
