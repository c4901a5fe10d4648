"""Purges before their time: which ways back may go, in what order, and what of them is enough."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

HELD = ("open", "incomplete", "purging")
"""The states of a rollback point in which there is something to purge."""


@dataclass(frozen=True, slots=True)
class KeptWayBack:
    """What one execution keeps. `bytes` and `items` are what it said that it keeps; `disks` are the file systems that
    its trash lies on, by the numbers of their devices (none: where it lies is not known)."""

    point_id: str
    execution_id: str
    task_name: str
    kept_since: datetime
    expires_at: datetime
    status: str
    run_status: str
    trusted: bool
    in_hand: bool
    left: int = 0
    bytes: int = 0
    items: int = 0
    disks: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class FreeSpace:
    """What a file system has free, and has in all: bytes and inodes; 0 inodes in all where it does not count them."""

    free: int
    total: int
    free_inodes: int = 0
    inodes: int = 0

    @property
    def share(self) -> float:
        """The free share of the space or of the inodes, whichever is less."""
        shares = [self.free / self.total] if self.total else []
        shares += [self.free_inodes / self.inodes] if self.inodes else []
        return min(shares, default=1.0)

    def after(self, kept: KeptWayBack) -> "FreeSpace":
        """As it would be once that way back is purged, by what its execution said."""
        free, inodes = min(self.total, self.free + kept.bytes), min(self.inodes, self.free_inodes + kept.items)
        return FreeSpace(free, self.total, inodes, self.inodes)


def why_not(kept: KeptWayBack, incomplete: bool) -> str | None:
    """Return why a way back is not purged before its time, or None. `incomplete`: what a rollback left may go too."""
    if kept.run_status in ("scheduled", "running"):
        return "its execution still runs"
    if kept.in_hand or kept.status == "undoing":
        return "it is being rolled back or purged"
    if kept.status not in HELD:
        return f"there is nothing to purge: it is {kept.status} already"
    if not kept.trusted:
        return "its rollback point was not written by this daemon, or was changed since: look at its trash yourself"
    if kept.status == "incomplete" and not incomplete:
        left = f"{kept.left:,} of its items" if kept.left else "some of its items"
        return f"a rollback could not restore {left}, which exist only in the trash: --incomplete purges them too"
    return None


def oldest_first(kept: Iterable[KeptWayBack]) -> list[KeptWayBack]:
    """Return them in the order in which they are purged."""
    return sorted(kept, key=lambda one: (one.kept_since, one.point_id))


def not_there(kept: KeptWayBack, disk: str, path: str) -> str | None:
    """Return why to purge a way back would free nothing on the disk of a path, or None."""
    if disk in kept.disks:
        return None
    return f"it keeps nothing on the disk of {path}" if kept.disks else "on which disk it keeps something is not known"


def devices_of(paths: Iterable[str], mounts: Sequence[tuple[str, str]]) -> frozenset[str]:
    """Return the devices that paths lie on; `mounts` are (mount point, device), a later one over an earlier."""
    return frozenset(device for path in paths if (device := device_of(path, mounts)))


def device_of(path: str, mounts: Sequence[tuple[str, str]]) -> str:
    """Return the device that a path lies on, or the empty text."""
    return _mount_of(path, mounts)[1]


def mount_point_of(path: str, mounts: Sequence[tuple[str, str]]) -> str:
    """Return where the file system is mounted that a path lies on."""
    return _mount_of(path, mounts)[0]


def _mount_of(path: str, mounts: Sequence[tuple[str, str]]) -> tuple[str, str]:
    found = ("", "")
    for mount, device in mounts:
        if len(mount) >= len(found[0]) and (path == mount or path.startswith(mount.rstrip("/") + "/")):
            found = mount, device
    return found


def roots_of(undo: Any) -> list[str]:
    """Return the directories that a step's way back keeps a trash in, those of its parts included."""
    if isinstance(undo, Mapping):
        own = [one["path"] for one in undo.get("roots") or () if isinstance(one, Mapping) and "path" in one]
        return own + [path for key, value in undo.items() if key != "roots" for path in roots_of(value)]
    if isinstance(undo, list | tuple):
        return [path for value in undo for path in roots_of(value)]
    return []
