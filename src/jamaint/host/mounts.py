"""Mounts: the file systems on disks of this machine, each once."""

import os
from dataclasses import dataclass

MOUNTINFO = "/proc/self/mountinfo"


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
            mount = Mount(_plain(place[4]), what[0], _plain(what[1]), read_only)
            if place[3] == "/" or place[2] not in found:
                known = found.get(place[2])
                if known is None or len(mount.path) < len(known.path):
                    found[place[2]] = mount
    return sorted(found.values(), key=lambda mount: mount.path)


def mount_of(path: str, among: list[Mount]) -> Mount | None:
    """The one that a path lies on; None when it is on none of them."""
    real = os.path.realpath(path)
    above = [one for one in among if real == one.path or real.startswith(one.path.rstrip("/") + "/")]
    return max(above, key=lambda one: len(one.path), default=None)


def _plain(text: str) -> str:
    """As it is, where the kernel has written a blank as \\040 and the like."""
    for number in ("040", "011", "012", "134"):
        text = text.replace(f"\\{number}", chr(int(number, 8)))
    return text
