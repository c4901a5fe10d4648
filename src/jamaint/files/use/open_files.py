"""Which files are in use now, by device and inode: asked of the unit that may look into all processes, or looked up."""

import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field

from jamaint.files.rights.borrowed import own_rights
from jamaint.files.use import procfs
from jamaint.files.use.records import (
    END,
    FULL,
    HIDDEN,
    KERNEL,
    LOCK,
    OTHER,
    READER,
    RECORD,
    REQUEST,
    WRITER,
    Use,
    unpack,
)

ADDRESS = "JAMAINT_OPENFILES"
"""The variable with the socket of jamaint-openfiles; without it this process looks itself, as far as it may."""

REPLY_SECONDS = 30.0
_CHUNK_BYTES = 1 << 20


class OpenFilesError(OSError):
    """Nobody could tell which files are in use: nothing may be touched that might be."""


@dataclass(slots=True)
class OpenFiles:
    """Pids by (device, inode); `others` are directories (open, or somebody's working directory), FIFOs and devices.

    `locks` are locked files; `kernel` has the purpose of those that the kernel itself uses. `hidden` counts processes
    that could not be looked into.
    """

    writers: dict[tuple[int, int], int] = field(default_factory=dict)
    readers: dict[tuple[int, int], int] = field(default_factory=dict)
    hidden: int = 0
    others: dict[tuple[int, int], int] = field(default_factory=dict)
    locks: dict[tuple[int, int], int] = field(default_factory=dict)
    kernel: dict[tuple[int, int], int] = field(default_factory=dict)

    def writers_on(self, device: int) -> dict[int, int]:
        """pid by inode, of the files of one file system that are open for writing; -purpose where it is the kernel."""
        found = {inode: pid for (dev, inode), pid in self.writers.items() if dev == device}
        return found | {inode: -purpose for (dev, inode), purpose in self.kernel.items() if dev == device}

    def any_on(self, device: int) -> frozenset[int]:
        """Inodes of the files of one file system that are open at all: their space stays taken when they go."""
        files = (self.writers, self.readers, self.kernel)
        return frozenset(inode for held in files for dev, inode in held if dev == device)

    def all_on(self, device: int) -> dict[int, int]:
        """pid by inode of all that is held on one file system, directories too."""
        held = (self.others, self.readers, self.writers)
        return {inode: pid for files in held for (dev, inode), pid in files.items() if dev == device}

    def add(self, uses: Iterable[Use]) -> None:
        """Note these uses."""
        of = {READER: self.readers, WRITER: self.writers, OTHER: self.others, LOCK: self.locks, KERNEL: self.kernel}
        for kind, device, inode, value in uses:
            if kind == HIDDEN:
                self.hidden += 1
            elif kind in of:
                of[kind][device, inode] = value


def open_files() -> OpenFiles:
    """Return what is in use now; this process's own files are left out. Raises OpenFilesError."""
    address = os.environ.get(ADDRESS)
    with own_rights():  # those borrowed from a user show the processes of that user alone
        if address:
            return _asked(address)
        found = OpenFiles()
        try:
            found.add(procfs.uses(os.getpid()))
        except OSError as error:
            raise OpenFilesError(f"which files are in use cannot be learnt, so none is touched: {error}") from None
    return found


def open_files_for_figures() -> OpenFiles:
    """Return what is in use, or as much of it as this process sees: for figures only, never to decide by it."""
    try:
        return open_files()
    except OpenFilesError:
        found = OpenFiles()
        found.add(procfs.uses(os.getpid()))
        return found


def _asked(address: str) -> OpenFiles:
    try:
        with socket.socket(socket.AF_UNIX) as channel:
            channel.settimeout(REPLY_SECONDS)
            channel.connect(address)
            channel.sendall(REQUEST)
            return _reply(channel)
    except OSError as error:
        why = error.strerror or str(error) or "no answer"
        raise OpenFilesError(
            f"nobody can tell which files are in use, so none is touched: {address}: {why}; "
            "systemctl status jamaint-openfiles.socket tells more"
        ) from None


def _reply(channel: socket.socket) -> OpenFiles:
    found, rest = OpenFiles(), b""
    while chunk := channel.recv(_CHUNK_BYTES):
        data = rest + chunk
        whole = len(data) - len(data) % RECORD.size
        rest = data[whole:]
        last = next(unpack(data[whole - RECORD.size : whole]), None) if whole else None
        found.add(unpack(data[:whole]))
        if last is not None and last[0] == END:
            found.hidden = last[3]
            return found
        if last is not None and last[0] == FULL:
            raise OSError("more files are open than can be told")
    raise OSError("the answer broke off")
