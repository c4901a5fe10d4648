"""Ways out: whether what an executor takes goes to a trash, at once, or not at all, by how full its disks are."""

from collections.abc import Collection, Iterable

from jamaint.core.room import RootSpace, TrashRoom, trash_room
from jamaint.executors.executor import Work
from jamaint.host.space import own_space, takes_blocks


def room_for(work: Work, roots: Iterable[tuple[str, int]], full: Collection[str] = ()) -> TrashRoom:
    """Decide it for (path, how many files are to go); a root that cannot be looked at is told when its turn comes.

    `full` are those whose disk lacks room by the task's own word.
    """
    spaces = []
    for path, files in roots:
        try:
            spaces.append(RootSpace(path, files, own_space(path), in_blocks=takes_blocks(path), full=path in full))
        except OSError:
            continue
    return trash_room(spaces, keeps=work.keeps_way_back, low_space=work.low_space, when_full=work.when_full)
