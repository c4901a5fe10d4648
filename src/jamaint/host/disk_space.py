"""Disk space: how full the file system of a path is."""

import os
from collections.abc import Mapping, Sequence
from typing import Any


def disk(path: str) -> dict[str, Any]:
    """Figures of the file system that a path is on, in bytes. Raises OSError."""
    status = os.statvfs(path)
    total, free = status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize
    used = (status.f_blocks - status.f_bfree) * status.f_frsize
    inodes_used = status.f_files - status.f_ffree
    inodes = inodes_used / (inodes_used + status.f_favail) if inodes_used + status.f_favail else None
    device = os.stat(path).st_dev
    return {
        "bytes": used,
        "total": total,
        "free": free,
        "share": used / (used + free) if used + free else None,  # as df has it: what root keeps for itself is not ours
        "inodes_share": inodes,
        "device": device,
        "label": _mount_of(path, device),
    }


def _mount_of(path: str, device: int) -> str:
    """The topmost directory on the path that lies on the same file system."""
    path = os.path.realpath(path)
    while path != "/" and os.stat(os.path.dirname(path)).st_dev == device:
        path = os.path.dirname(path)
    return path


def each_disk_once(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Those that are figures of a disk once for each disk, by its number; all others as they are."""
    seen: set[Any] = set()
    once = []
    for one in found:
        device = one.get("device")
        if device is None or device not in seen:
            seen.add(device)
            once.append(dict(one))
    return once


def without_number(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The figures as people get them."""
    return [{key: value for key, value in one.items() if key != "device"} for one in found]
