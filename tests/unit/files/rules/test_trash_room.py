"""Room for a trash: what goes to it, what goes at once, and what cannot go."""

from typing import Any

import pytest

from jamaint.core.purges import FreeSpace
from jamaint.files.rules.trash_room import RootSpace, TrashRoom, trash_room

MIB = 1 << 20


def room(free: int, *, inodes: tuple[int, int] = (0, 0), files: int = 100, **how: Any) -> TrashRoom:
    """What is decided for /srv/a, with so much of 100 MiB free."""
    one = RootSpace("/srv/a", files, FreeSpace(free, 100 * MIB, *inodes))
    return trash_room([one], **{"keeps": True, "low_space": 0.0, "when_full": "keep", **how})


def test_trash_with_room_needs_no_word() -> None:
    assert room(5 * MIB) == TrashRoom()
    assert room(50 * MIB, inodes=(5, 100), files=0) == TrashRoom()


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (room(50 * MIB, keeps=False), "The task keeps no undo data"),
        (room(9 * MIB, low_space=0.1), "Only 9.0% of the space of the disk of /srv/a is free (the limit is 10.0%)"),
        (
            room(0, when_full="unlink"),
            "Only 0.0% of the space of the disk of /srv/a is free, and the task says `rollback.when_full: unlink`",
        ),
        (
            room(50 * MIB, inodes=(1, 100), when_full="unlink"),
            "Only 1.0% of the inodes of the disk of /srv/a is free, and the task says `rollback.when_full: unlink`",
        ),
    ],
)
def test_files_go_at_once_only_where_that_is_said(found: TrashRoom, why: str) -> None:
    assert found == TrashRoom(direct={"/srv/a": why})


def test_trash_that_frees_nothing_is_a_warning_with_what_helps() -> None:
    found = room(4 * MIB)
    assert (found.direct, found.refused) == ({}, {})
    (warning,) = found.warnings
    assert "frees nothing before it is purged" in warning
    assert "`jamaintctl purge --until-free 10% /srv/a`" in warning


@pytest.mark.parametrize("where", [{"free": 4096}, {"free": 50 * MIB, "inodes": (18, 1000)}])
def test_trash_that_cannot_be_made_is_refused(where: dict[str, Any]) -> None:
    found = room(**where)
    assert found.refused["/srv/a"].startswith("a trash for 100 files cannot be made below /srv/a: only ")
    assert (found.direct, found.warnings) == ({}, [])
    assert room(**where, files=0) == TrashRoom()
