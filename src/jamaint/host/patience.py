"""Calls that the kernel may keep waiting for ever, as on a network file system whose server is gone, with a limit.

Such a call cannot be ended from within its process. So it is made in a thread that is left behind when its time is up,
and that ends with the process.
"""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class NoAnswerError(OSError):
    """The call has not come back in time."""


class Call(Generic[T]):
    """A call under way in a thread of its own; `work` gets a function to call now and then, as a sign of progress."""

    def __init__(self, work: Callable[[Callable[[], None]], T]) -> None:
        self._work = work
        self._done = threading.Event()
        self._marks = 0
        self._result: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def result(self, silence_seconds: float, told: Callable[[], object], look_seconds: float = 0.2) -> T:
        """Return what `work` returns, or raise what it raises; `told` is called now and then, and may raise too.

        Raises NoAnswerError when for that long `work` has shown no sign and its thread has not run at all.
        """
        before, silent = self._signs(), 0.0
        while not self._done.wait(look_seconds):
            told()
            now = self._signs()
            silent = 0.0 if now != before else silent + look_seconds
            before = now
            if silent >= silence_seconds:
                raise NoAnswerError(f"it does not answer: nothing has come for {silence_seconds:g} s")
        if self._error is not None:
            raise self._error
        return self._result[0]

    def _run(self) -> None:
        try:
            self._result.append(self._work(self._mark))
        except BaseException as error:
            self._error = error
        finally:
            self._done.set()

    def _mark(self) -> None:
        self._marks += 1

    def _signs(self) -> tuple[int, list[str]]:
        return self._marks, activity(f"/proc/self/task/{self._thread.native_id}")


def activity(task: str) -> list[str]:
    """Return what grows while a process or thread does something: its times, and how often it gave the processor away.

    `task` is its directory in /proc. One that a slow disk keeps waiting runs now and then; one that hangs never does.
    """
    try:
        with open(f"{task}/stat", encoding="ascii", errors="replace") as file:
            times = file.read().rpartition(")")[2].split()[11:13]
        with open(f"{task}/status", encoding="ascii", errors="replace") as lines:
            switches = [line for line in lines if "ctxt_switches" in line]
    except OSError:
        return []
    return [*times, *switches]


def within(seconds: float, work: Callable[[], T]) -> T:
    """Return what `work` returns, or raise what it raises; NoAnswerError when the kernel keeps it waiting that long."""
    return Call(lambda _mark: work()).result(seconds, lambda: None)
