"""Mounts: the file systems on disks of this machine, each once; and where one is mounted.

In a unit with a root directory of its own every bound directory is the root of a mount, so that the kernel's word says
nothing there about the machine. Such a unit has the table of process 1 bound in (systemd/jamaint-files@.service).
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from jamaint.files.access import syscalls
from jamaint.files.access.root import Root

MOUNTINFO = "/proc/self/mountinfo"
MACHINE_MOUNTINFO = "/run/jamaint-mountinfo"
"""The table of process 1, in a unit that sees other mounts than the machine has."""


@dataclass(frozen=True, slots=True)
class Mount:
    """One file system: where it is mounted first, its type, and the device that it is on."""

    path: str
    kind: str
    source: str
    read_only: bool


def mounts(path: str = MOUNTINFO) -> list[Mount]:
    """Those on a device of /dev, without bind mounts of the same. Raises OSError."""
    found: dict[str, Mount] = {}
    with open(path, encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            before, _, after = line.rstrip("\n").partition(" - ")
            place, what = before.split(" "), after.split(" ")
            if len(place) < 6 or len(what) < 3 or not what[1].startswith("/dev/"):
                continue
            read_only = "ro" in place[5].split(",") or "ro" in what[2].split(",")
            mount = Mount(plain(place[4]), what[0], plain(what[1]), read_only)
            if place[3] == "/" or place[2] not in found:
                known = found.get(place[2])
                if known is None or len(mount.path) < len(known.path):
                    found[place[2]] = mount
    return sorted(found.values(), key=lambda mount: mount.path)


class _Entry(NamedTuple):
    """One line of a table: the device's numbers, the directory of the file system, and where it is mounted."""

    device: str
    root: str
    point: str


def is_mount_point(root: Root, own: str = MOUNTINFO, machine: str = MACHINE_MOUNTINFO) -> bool:
    """True if a file system is mounted on this directory on the machine, or another directory is bound there.

    False for what only this unit has mounted: the directory as the machine has it. Raises OSError where the machine's
    mounts cannot be read.
    """
    if not syscalls.is_mount_root(root.fd):
        return False
    try:
        there = _holding(root.path, _entries(machine))
    except FileNotFoundError:
        return True  # no unit with a root of its own: what is mounted here is mounted on the machine
    here = _holding(root.path, _entries(own))
    if there is None or here is None or there.point == root.path:
        return True
    below = os.path.relpath(root.path, there.point)
    return (here.device, here.root) != (there.device, os.path.join(there.root, below))


def _entries(path: str) -> Iterator[_Entry]:
    with open(path, encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            words = line.split(" ")
            if len(words) >= 5:
                yield _Entry(words[2], plain(words[3]), plain(words[4]))


def _holding(path: str, entries: Iterator[_Entry]) -> _Entry | None:
    """The mount that a path lies on: the longest that leads to it, of several the topmost."""
    best = None
    for one in entries:
        is_above = path == one.point or path.startswith(one.point.rstrip("/") + "/")
        if is_above and (best is None or len(one.point) >= len(best.point)):
            best = one
    return best


def mount_of(path: str, among: list[Mount], table: str = MOUNTINFO) -> Mount | None:
    """The one that a path lies on; None when it is on none of them, as when something else is mounted in between."""
    real = os.path.realpath(path)
    above = [one for one in among if real == one.path or real.startswith(one.path.rstrip("/") + "/")]
    found = max(above, key=lambda one: len(one.path), default=None)
    if found is None:
        return None
    nearest, its_own = _holding(real, _entries(table)), _holding(found.path, _entries(table))
    if nearest is None or its_own is None or len(nearest.point) <= len(found.path):
        return found
    return found if nearest.device == its_own.device else None


def plain(text: str) -> str:
    """As it is, where the kernel has written a blank as \\040 and the like."""
    for number in ("040", "011", "012", "134"):
        text = text.replace(f"\\{number}", chr(int(number, 8)))
    return text
