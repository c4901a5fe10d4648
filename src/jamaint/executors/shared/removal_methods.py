"""Removal method: to the trash, at once, or not at all, by how full the disk is."""

from collections.abc import Collection, Iterable
from dataclasses import replace

from jamaint.executors.shared.executor import Work
from jamaint.files.access.free_space import own_space, takes_blocks
from jamaint.files.access.root import RootRefusedError
from jamaint.files.cleanup.survey import Survey
from jamaint.files.rules.trash_room import RootSpace, TrashRoom, read_only_words, trash_room
from jamaint.files.trash.obstacles import is_read_only, look_at


def room_for(
    work: Work, roots: Iterable[tuple[str, int]], full: Collection[str] = (), *, by_owner: bool = False
) -> TrashRoom:
    """Decide it for (path, how many files are to go); a root that cannot be looked at is told when its turn comes.

    `full` are those whose disk lacks room by the task's own word. `by_owner`: each owner's trash is made with his
    rights.
    """
    spaces = []
    for path, files in roots:
        try:
            space, place = own_space(path), look_at(path, by_owner)
        except (OSError, RootRefusedError):
            continue
        against = (place.read_only, place.unfit, place.doubt)
        spaces.append(RootSpace(path, files, space, takes_blocks(path), path in full, *against))
    return trash_room(spaces, keeps=work.keeps_way_back, low_space=work.low_space, when_full=work.when_full)


def _is_read_only(path: str) -> bool:
    """False of a root that is gone by now, too: whoever enters it next tells so."""
    try:
        return is_read_only(path)
    except OSError:
        return False


def writable(found: Survey) -> Survey:
    """The survey without the roots in which nothing can be renamed or removed; these are refused."""
    refused = [
        RootRefusedError(root.path, read_only_words(root.path), "failed")
        for root in found.found
        if _is_read_only(root.path)
    ]
    left = [root for root in found.found if root.path not in {one.path for one in refused}]
    return replace(found, found=left, refused=[*found.refused, *refused])
