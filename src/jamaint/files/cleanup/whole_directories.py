"""Take directories that a plan found expired as a whole. In large ones a second process helps to look.

Each is moved to the trash in one rename, looked through there, where nobody else reaches it any more, and put back if
something in it may not go. While the second process looks through one or two, the next is dealt with here.
"""

import os
import stat
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from itertools import groupby

from jamaint.files.access import syscalls
from jamaint.files.access.batch_stat import Statuses
from jamaint.files.access.forked_helper import ForkedHelper, HelperDiedError
from jamaint.files.access.parallel_walk import WORTH_FILES, second_processor
from jamaint.files.access.root import DirectoryRefusedError, Place, readable
from jamaint.files.cleanup.directory_recheck import RecheckResult, Whole, look_again
from jamaint.files.cleanup.eligibility import Judge
from jamaint.files.cleanup.removal_action import RemovalAction
from jamaint.files.cleanup.sweep import Tally
from jamaint.files.trash.stops import DiskError
from jamaint.files.trash.trash import Moved, Trash

_AHEAD = 2
"""Directories that are moved and wait for the second process."""


def take_units(units: Iterable[str], way: Trash, taking: RemovalAction, alone: Callable[[], bool]) -> None:
    """Takes directories, by their paths below the root; each is judged again. `alone`: whether nobody may help."""
    judge, helped = taking.judge, _Helped(way, taking, alone)
    try:
        for above, rels in groupby(units, key=lambda rel: rel.rpartition("/")[0]):
            try:
                place = way.root.descend(above or ".")
            except DirectoryRefusedError:
                continue  # the second look tells what there is
            with place:
                before = os.fstat(place.fd)
                try:
                    for rel in rels:
                        name = rel.rpartition("/")[2]
                        seen = _may_go(judge, place, name, at_root=above == "")
                        if seen is not None:
                            helped.take(place, name, seen)
                    helped.settle(0)
                except BaseException:  # asked to stop, or the disk is full
                    helped.put_back()
                    raise
                _restore_times(place, before)
    finally:
        helped.close()


def _may_go(judge: Judge, place: Place, name: str, at_root: bool) -> os.stat_result | None:
    """How a directory is, if it is one and may go by what is seen of itself."""
    try:
        seen = os.lstat(name, dir_fd=place.fd)
        stays = judge.directory_stays(name, seen, at_root, partial(syscalls.born, name, place.fd))
        stays = stays or (judge.rule.kept.get(seen.st_ino, "") if at_root else "")
    except OSError:
        return None
    return seen if stat.S_ISDIR(seen.st_mode) and not stays and judge.directory_is_old(seen) else None


class _Helped:
    """Directories that are moved, in the order in which the second process looks through them."""

    def __init__(self, way: Trash, taking: RemovalAction, alone: Callable[[], bool]) -> None:
        self._way, self._taking, self._alone = way, taking, alone
        self._beside: ForkedHelper | None = None
        self._lost = not (second_processor() and taking.judge.rule.forgets)
        self._moved: deque[Moved] = deque()

    def take(self, place: Place, name: str, seen: os.stat_result) -> None:
        """Takes one, here or by giving it away, and settles what has been looked through meanwhile."""
        if self._alone():
            self.settle(0)
        if self._helps():
            moved = self._taking.move(self._way, place, name, seen)
            if moved is not None:
                self._moved.append(moved)
                self._give(moved)
        else:
            self._taking.directory(place, name, seen, Tally())
        self.settle(_AHEAD)

    def settle(self, ahead: int) -> None:
        """Settles what has been looked through, and waits until no more than `ahead` are open."""
        while self._moved and (len(self._moved) > ahead or self._lost or (self._beside and self._beside.answered)):
            looked = self._answer()
            self._taking.settle(self._way, self._moved.popleft(), looked)

    def put_back(self) -> None:
        """Puts back all whose fate is open."""
        stopped: DiskError | None = None
        while self._moved:
            try:
                self._taking.put_back(self._way, self._moved.popleft())
            except DiskError as reason:
                stopped = reason
        if stopped is not None:
            raise stopped

    def close(self) -> None:
        """Ends the second process."""
        if self._beside is not None:
            self._beside.close()
            self._beside = None

    def _helps(self) -> bool:
        enough = not self._lost and self._taking.files_taken >= WORTH_FILES
        return enough and len(self._moved) < _AHEAD and not self._alone()

    def _give(self, moved: Moved) -> None:
        try:
            if self._beside is None:
                self._beside = ForkedHelper(
                    partial(_begin, self._taking.judge, moved.base, self._way.lock_fd, self._way.records)
                )
            self._beside.give((moved.rel, moved.expected))
        except (HelperDiedError, OSError):
            self._lost = True

    def _answer(self) -> RecheckResult:
        """What was found in the oldest; looked for here where the second process was lost."""
        if not self._lost and self._beside is not None:
            try:
                found: RecheckResult = self._beside.answer(self._taking.stopping)
            except HelperDiedError:
                self._lost = True
            else:
                return found
        return self._taking.look_again(self._moved[0])


def _begin(judge: Judge, base: int, lock_fd: int, lists: bool) -> Callable[[tuple[str, os.stat_result]], RecheckResult]:
    os.close(lock_fd)  # an undo after our end need not wait for this process
    room = Statuses()

    def act(task: tuple[str, os.stat_result]) -> RecheckResult:
        rel, expected = task
        return look_again(Whole(judge, rel, room, lambda: None, lists), (base, rel), expected)

    return act


def _restore_times(place: Place, before: os.stat_result) -> None:
    try:
        fd = readable(place.fd)
        try:
            os.utime(fd, ns=(before.st_atime_ns, before.st_mtime_ns))
        finally:
            os.close(fd)
    except OSError:  # where we may not, it keeps the new ones
        return
