"""Parallel walk: a second process reads some directories of a large root, where nothing forbids it."""

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from jamaint.files.access.forked_helper import ForkedHelper, HelperDiedError

WORTH_FILES = 20_000
"""Files met so far from which on a second process pays."""
_AHEAD = 4
"""Directories that it is given before it has answered for them."""
_MOST = 20_000
"""Directories that it is given in all: they are remembered, for it may be lost."""


def second_processor() -> bool:
    """Whether there is one for us."""
    return len(os.sched_getaffinity(0)) > 1


class ParallelWalk:
    """What one pass over a root gives away of it.

    `begin` is called in the second process. It returns a function that looks through one directory, by its name in the
    root, and for None tells all that was found. `merge` is called with that at the end. `alone`: whether there may be
    no second process, as where limits hold.
    """

    def __init__(
        self, begin: Callable[[], Callable[[str | None], Any]], merge: Callable[[Any], None], alone: Callable[[], bool]
    ) -> None:
        self._begin, self._merge, self._alone = begin, merge, alone
        self._beside: ForkedHelper | None = None
        self._given: list[str] = []
        self._lost = not second_processor()

    def give(self, name: str, met: int) -> bool:
        """Gives one directory away; false when it is to be looked through here. `met`: files met here so far."""
        if self._lost or met < WORTH_FILES or len(self._given) >= _MOST or self._alone():
            return False
        try:
            beside = self._beside = self._beside or ForkedHelper(self._begin)
            while beside.pending and beside.answered:
                beside.answer(_nothing)
            if len(beside.pending) >= _AHEAD:
                return False
            beside.give(name)
        except (HelperDiedError, OSError):  # no process to be had, or it has been killed
            self._lost = True
            return False
        self._given.append(name)
        return True

    def heeding(self, told: Callable[[], None]) -> Callable[[], None]:
        """The same safe point, at which the second process stands still too where the first may have to wait."""

        def heed() -> None:
            if self._beside is None or not self._alone():
                told()
            else:
                with self._beside.standing():
                    told()

        return heed

    def end(self, told: Callable[[], None]) -> list[str]:
        """Waits for all that was given away and has it merged; returns what has to be looked through here after all."""
        beside, given = self._beside, self._given
        self._lost, self._given = True, []
        if beside is not None:
            with suppress(HelperDiedError):
                beside.give(None)
                while len(beside.pending) > 1:
                    beside.answer(told)
                self._merge(beside.answer(told))
                return []
        return given

    def close(self) -> None:
        """Ends the second process, if there is one."""
        if self._beside is not None:
            self._beside.close()
            self._beside = None


def _nothing() -> None:
    """There is nothing to wait for."""
