"""Room for a trash: whether what goes is kept on a disk that is nearly full, goes at once, or cannot go at all."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from jamaint.core.purges import FreeSpace

FULL_SHARE = 0.05
"""With less than this free, of the space or of the inodes, a disk is full."""
FILES_A_DRAWER = 32
BASE_INODES = 16
"""What a trash takes beside its shards: directories, and the records in them."""
BLOCK = 4096


class RootSpace(NamedTuple):
    """A root of which so many files are to go, and what its disk has free for us. `in_blocks`: whether a directory
    takes a block there, as everywhere but in memory. `full`: it is to get room, whatever share is free. `read_only`:
    nothing can be removed there; `unfit` says why no trash can be made there, `doubt` why that may be so."""

    path: str
    files: int
    space: FreeSpace
    in_blocks: bool = True
    full: bool = False
    read_only: bool = False
    unfit: str = ""
    doubt: str = ""


@dataclass(slots=True)
class TrashRoom:
    """What becomes of each root's files: `direct` has those that go at once, and `refused` those that cannot go, with
    the reasons, by path; `warnings` say where the trash frees nothing that is needed."""

    direct: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def trash_room(roots: Iterable[RootSpace], *, keeps: bool, low_space: float, when_full: str) -> TrashRoom:
    """Decide it by what the task says: `keeps` is rollback.enabled, `low_space` (0..1) the daemon's limit."""
    found = TrashRoom()
    for one in roots:
        _decide(one, found, keeps, low_space, when_full)
    return found


def _decide(one: RootSpace, found: TrashRoom, keeps: bool, low_space: float, when_full: str) -> None:
    share = one.space.share
    free = f"{share:.1%} of the {_scarcer(one.space)} of the disk of {one.path} is free"
    if one.files and one.read_only:
        found.refused[one.path] = read_only_words(one.path)
    elif not keeps:
        found.direct[one.path] = "The task keeps no undo data"
    elif share < low_space:
        found.direct[one.path] = f"Only {free} (the limit is {low_space:.1%})"
    elif (one.full or share < FULL_SHARE) and when_full == "unlink":
        found.direct[one.path] = f"Only {free}, and the task says `rollback.when_full: unlink`"
    elif one.files and one.unfit:
        found.refused[one.path] = one.unfit
    elif one.files and not _has_room(one):
        found.refused[one.path] = (
            f"a trash for {one.files:,} files cannot be made below {one.path}: only {free}. {_helps(one.path)}"
        )
    elif one.files and (one.full or share < FULL_SHARE):
        found.warnings.append(
            f"only {free}, and what goes to the trash frees nothing before it is purged. {_helps(one.path)}"
        )

    if one.files and one.doubt and one.path not in found.direct and one.path not in found.refused:
        found.warnings.append(one.doubt)


def read_only_words(path: str) -> str:
    """Return what is said of a root in which nothing can be removed."""
    return f"{path} is on a file system that is mounted read-only: nothing is done there until it is mounted writable"


def _scarcer(space: FreeSpace) -> str:
    inodes = space.free_inodes / space.inodes if space.inodes else 1.0
    return "inodes" if inodes < (space.free / space.total if space.total else 1.0) else "space"


def _has_room(one: RootSpace) -> bool:
    needed = BASE_INODES + one.files // FILES_A_DRAWER
    return (not one.in_blocks or one.space.free >= needed * BLOCK) and (
        not one.space.inodes or one.space.free_inodes >= needed
    )


def _helps(path: str) -> str:
    purge = f"`jamaintctl purge --until-free 10% {path}` empties older trash"
    return f"{purge}; `rollback: {{when_full: unlink}}` on the task, or `rollback.low_space`, removes at once, for good"
