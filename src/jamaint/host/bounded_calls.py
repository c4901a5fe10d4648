"""Calls that the kernel may keep waiting for ever, as on a network file system whose server is gone, with a limit.

Such a call cannot be ended from within its process. So it is made in a thread that is left behind when its time is up,
and that ends with the process.
"""

import json
import os
import select
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, NoReturn, TypeVar

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


def in_child(
    work: Callable[[], Any], silence_seconds: float, told: Callable[[], object], look_seconds: float = 0.2
) -> Any:
    """Return what `work` returns, which JSON must be able to say, made in a child process; `told` as in Call.result.

    For what a thread that was left behind before would keep waiting too: to take another user's rights waits for all
    threads. Raises OSError with what `work` raised, and NoAnswerError as Call.result does.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        _answer(writing, work)
    os.close(writing)
    try:
        answer = json.loads(_heard(reading, pid, silence_seconds, told, look_seconds) or '{"error": "it was ended"}')
    finally:
        os.close(reading)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)  # one that the kernel keeps waiting is left behind
    if "error" in answer:
        raise OSError(answer["error"])
    return answer["result"]


def _answer(writing: int, work: Callable[[], Any]) -> NoReturn:
    """The child's whole life."""
    try:
        answer = {"result": work()}
    except BaseException as error:
        answer = {"error": str(error) or type(error).__name__}
    try:
        data = memoryview(json.dumps(answer).encode())
        while data:
            data = data[os.write(writing, data) :]
    finally:
        os._exit(0)  # nothing here is ours to put in order


def _heard(reading: int, pid: int, silence_seconds: float, told: Callable[[], object], look_seconds: float) -> bytes:
    found, before, silent = b"", activity(f"/proc/{pid}"), 0.0
    while True:
        if select.select([reading], [], [], look_seconds)[0]:
            data = os.read(reading, 1 << 16)
            if not data:
                return found
            found += data
            continue
        told()
        now = activity(f"/proc/{pid}")
        silent = 0.0 if now != before else silent + look_seconds
        before = now
        if silent >= silence_seconds:
            raise NoAnswerError(f"it does not answer: nothing has come for {silence_seconds:g} s")


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
