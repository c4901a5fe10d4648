"""Suspend what a command has started while its execution is paused, and resume it after that."""

import signal
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

P = TypeVar("P", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Pausing:
    """How a command is made to stand still: `wanted` is the number of the pause in force, or 0.

    `stood_still` is told that number, how many processes were stopped, and how many could not be (another user's).
    """

    wanted: Callable[[], int]
    stood_still: Callable[[int, int, int], None]


NEVER = Pausing(lambda: 0, lambda _number, _stopped, _missed: None)


class Standing(Generic[P]):
    """The processes that `find` finds, each signalled by `send`, which says false where that cannot be."""

    def __init__(
        self, pausing: Pausing, find: Callable[[], list[P]], send: Callable[[P, signal.Signals], bool]
    ) -> None:
        self._pausing, self._find, self._send = pausing, find, send
        self._number = 0
        self._stopped: set[P] = set()

    def look(self) -> bool:
        """Does what is wanted now; whether they stand still."""
        number = self._pausing.wanted()
        if number and number != self._number:
            missed = self._stop()
            self._pausing.stood_still(number, len(self._stopped), missed)
        elif not number and self._number:
            for process in self._stopped:
                self._send(process, signal.SIGCONT)
            self._stopped.clear()
        self._number = number
        return number != 0

    def _stop(self) -> int:
        """Stops all there is, until a look finds none that is new; how many could not be stopped."""
        while True:
            fresh = [process for process in self._find() if process not in self._stopped]
            stopped = {process for process in fresh if self._send(process, signal.SIGSTOP)}
            self._stopped |= stopped
            if not stopped:
                return len(fresh)
