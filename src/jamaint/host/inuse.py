"""In use: what processes hold on one file system, open or locked, and sockets that somebody listens on."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from jamaint.host.openfiles import OpenFiles

LOCKS, SOCKETS = "/proc/locks", ("/proc/1/net/unix", "/proc/net/unix")
"""Sockets as the machine has them: a worker without a network has a table of its own, and an empty one."""


@dataclass(frozen=True, slots=True)
class InUse:
    """Why files and directories of one file system are left alone, by inode; `sockets` are the paths of live ones."""

    why: Mapping[int, str] = field(default_factory=dict)
    sockets: frozenset[str] = frozenset()


def in_use(device: int, held: OpenFiles) -> InUse:
    """What is in use on the file system of that number, as far as /proc lets us see."""
    why = {inode: f"process {pid} holds it open" for inode, pid in held.all_on(device).items()}
    why |= {inode: "process {} has locked it".format(pid or "of another container") for inode, pid in _locked(device)}
    return InUse(why, _live_sockets())


def _locked(device: int) -> list[tuple[int, int]]:
    """(inode, pid) of each file and directory that is locked (flock, fcntl), our own locks left out."""
    found = []
    own = os.getpid()
    for words in map(str.split, _lines(LOCKS)):
        if "->" in words or len(words) < 6:  # one that waits for a lock
            continue
        pid, place = words[-4], words[-3]
        try:
            major, minor, inode = place.split(":")
            holder = int(pid)
            if holder != own and os.makedev(int(major, 16), int(minor, 16)) == device:
                found.append((int(inode), max(holder, 0)))
        except ValueError:  # a lock on nothing: <none>
            continue
    return found


def _live_sockets() -> frozenset[str]:
    fields = (line.split(None, 7) for path in SOCKETS for line in _lines(path))
    return frozenset(words[7] for words in fields if len(words) == 8 and words[7].startswith("/"))


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read().split("\n")
    except OSError:  # not there in a sandbox: what is open tells most of it
        return []
