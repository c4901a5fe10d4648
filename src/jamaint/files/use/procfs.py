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

_LINKS = ("cwd", "root", "exe")
_MAPPING = re.compile(rb"(?m)^\S+ (\S{4}) \S+ ([0-9a-f]+):([0-9a-f]+) ([1-9][0-9]*)")
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

    `root` leads to the file system in which the kernel's paths are meant, for a process that has an empty one.
    """
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != own:
            yield from _of_process(int(entry))
    yield from _locks(own)
    yield from _of_kernel(root)


def _of_process(pid: int) -> Iterator[Use]:
    try:
        numbers = os.listdir(f"/proc/{pid}/fd")
    except PermissionError:
        yield HIDDEN, 0, 0, pid
        return
    except OSError:  # it has ended
        return
    for link in (*_LINKS, *(f"fd/{number}" for number in numbers)):
        path = f"/proc/{pid}/{link}"
        try:
            mode, device, inode = syscalls.identity(path)
            if stat.S_ISREG(mode):
                writes = link not in _LINKS and os.lstat(path).st_mode & stat.S_IWUSR
                yield WRITER if writes else READER, device, inode, pid
            elif device != _PIPES and stat.S_IFMT(mode) not in (0, stat.S_IFSOCK):
                yield OTHER, device, inode, pid
        except OSError:  # closed meanwhile
            continue
    for allows, major, minor, number in set(_MAPPING.findall(_read(f"/proc/{pid}/maps"))):
        kind = WRITER if allows[1:2] == b"w" and allows[3:4] == b"s" else READER
        yield kind, os.makedev(int(major, 16), int(minor, 16)), int(number), pid


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
            yield _read(path).rstrip(b"\n"), purpose
    for line in _read("/proc/swaps").splitlines()[1:]:
        yield _ESCAPE.sub(lambda found: bytes([int(found[1], 8)]), line.split(b" ")[0].split(b"\t")[0]), SWAP
    for path in _BITMAP_FILE.findall(_read("/proc/mdstat")):
        yield path, BITMAP


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:  # not there, or not for us
        return b""


def _device_of_pipes() -> int:
    ends = os.pipe()
    try:
        return os.fstat(ends[0]).st_dev
    finally:
        for end in ends:
            os.close(end)


_PIPES = _device_of_pipes()
