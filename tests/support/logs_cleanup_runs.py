"""Runs logs.cleanup as a worker does, in this process or in one that is killed at its Nth change of the file system."""

import ctypes
import errno
import json
import os
import signal
import stat
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from jamaint.core.plans import MassDeletion, Step, step_from_json, step_to_json, undo_order
from jamaint.executors.logs_cleanup.executor import LogsCleanup
from jamaint.executors.shared.executor import StopRequestedError, Work
from jamaint.files.access import syscalls

DAY = 86400.0
NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
EVERYTHING = MassDeletion(share=1.0, items=0)
CHANGES = ("mkdir", "rmdir", "rename", "link", "unlink", "symlink", "utime", "fsync", "write", "ftruncate")
CHANGES_BY_FD = ("fchown", "fchmod", "setxattr")


class Talk:
    """A host that remembers what it was told; `stop_after` checkpoints it asks to stop."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.progressed: list[tuple[int, int | None, str]] = []
        self.logged: list[tuple[str, str]] = []
        self.taken_blocks: list[bytes] = []
        self.checkpoints = 0
        self._stop_after = stop_after

    def stop_after(self, count: int) -> None:
        """Asks to stop, but for so many checkpoints from now."""
        self._stop_after = self.checkpoints + count

    def progress(self, done: int, total: int | None, unit: str) -> None:
        """See Host."""
        self.progressed.append((done, total, unit))

    def log(self, level: str, message: str) -> None:
        """See Host."""
        self.logged.append((level, message))

    def checkpoint(self) -> None:
        """See Host."""
        self.checkpoints += 1
        if self._stop_after is not None and self.checkpoints > self._stop_after:
            raise StopRequestedError

    def paused(self) -> int:
        """See Host."""
        return 0

    def waiting(self, why: str) -> None:
        """See Host."""

    def taken(self, block: bytes) -> None:
        """See Host."""
        self.taken_blocks.append(block)

    def alone(self) -> bool:
        """See Host."""
        return False

    def portion(self, most: int) -> int:
        """See Host."""
        return most

    def held(self, number: int) -> None:
        """See Host."""


@contextmanager
def fast_directory(otherwise: Path) -> Iterator[Path]:
    """A directory in memory, where there is one: many runs, each with its fsyncs, take minutes on a busy disk."""
    if os.access("/dev/shm", os.W_OK):
        with tempfile.TemporaryDirectory(dir="/dev/shm") as path:
            yield Path(path)
    else:
        yield otherwise


def work(execution: str = "e-1", **changes: Any) -> Work:
    """Work for logs.cleanup; config keys and fields of Work by name, the rest as harmless as can be."""
    config = {"log_paths": [], "retention_seconds": 30 * DAY, "compress": None, "archive": None, "exclude": []}
    config |= {key: changes.pop(key) for key in list(changes) if key in config}
    fields: dict[str, Any] = {
        "keeps_way_back": True,
        "mass_deletion": EVERYTHING,
        "low_space": 0.0,
        "now": NOW,
    } | changes
    return Work(execution=execution, task_name="logs", config=config, timeout_seconds=None, **fields)


def executor(host: Talk | None = None, **changes: Any) -> LogsCleanup:
    """The executor for such work."""
    return LogsCleanup(work(**changes), host or Talk())


def put(path: Path, age_days: float, content: bytes | int = 100, mode: int = 0o640) -> Path:
    """A log that was last written so long before NOW; makes its directories."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else b"line of a log\n" * (content // 14 + 1))
    path.chmod(mode)
    return grow_old(path, age_days)


def grow_old(path: Path, age_days: float) -> Path:
    """Sets the times of a file or directory so long before NOW, with odd nanoseconds."""
    when = int(NOW.timestamp() - age_days * DAY) * 10**9 + 123456789
    os.utime(path, ns=(when + 5, when), follow_symlinks=False)
    return path


def age_directories(top: Path) -> None:
    """Gives all directories old times, so that every change of one shows."""
    for directory, names, _ in os.walk(top, topdown=False):
        for name in names:
            grow_old(Path(directory, name), 100)
    grow_old(top, 100)


def run_all(logs: LogsCleanup, names: Sequence[str] = ()) -> tuple[list[Step], dict[str, dict[str, Any]]]:
    """Plans and runs the steps of these names, or all; each goes through JSON on the way, as over a pipe."""
    steps = [through_json(step) for step in logs.plan().steps]
    return steps, {step.name: logs.run(step) for step in steps if not names or step.name in names}


def undo_all(steps: Sequence[Step], dry_run: bool = False, **changes: Any) -> dict[str, Any]:
    """Takes all steps back, as an executor that knows nothing of the run; the figures together."""
    total: dict[str, Any] = {"restored": 0, "removed": 0, "kept": [], "problems": []}
    for step in undo_order(steps):
        found = executor(**changes).undo(step, dry_run)
        total = {key: value + found[key] for key, value in total.items()}
    return total


def through_json(step: Step) -> Step:
    """As it comes out at the other end of a pipe or of the store."""
    return step_from_json(json.loads(json.dumps(step_to_json(step))))


def run_killed(act: Callable[[], object], at: int) -> bool:
    """Runs `act` in a process of its own that is killed right before its change number `at`; false if it was not."""
    child = os.fork()
    if child == 0:
        _in_child(act, at)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, "see the traceback on stderr"
    return False


def in_fresh_process(act: Callable[[], Any]) -> Any:
    """What `act` returns, called in a process of its own, through JSON."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)

        def tell() -> None:
            os.write(writing, json.dumps(act()).encode())

        _in_child(tell, None)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        text = answer.read()
    _, status = os.waitpid(child, 0)
    assert status == 0, "see the traceback on stderr"
    return json.loads(text)


def count_changes(before: Callable[[int], None]) -> None:
    """Calls `before` with 1, 2, 3 … ahead of every call that changes the file system, in this process for good."""
    count = 0

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            count += 1
            before(count)
            return call(*args, **kwargs)

        return wrapper

    for name in (*CHANGES, *CHANGES_BY_FD):
        setattr(os, name, counted(getattr(os, name)))
    plain_open, counted_open = os.open, counted(os.open)

    def opening(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        makes = flags & os.O_CREAT or flags & os.O_TMPFILE == os.O_TMPFILE
        result: int = (counted_open if makes else plain_open)(path, flags, *args, **kwargs)
        return result

    setattr(os, "open", opening)  # noqa: B010 - mypy knows that it is a function
    vars(syscalls)["_renameat2"] = counted(syscalls._renameat2)


def without_modern_calls() -> None:
    """Makes this process see a file system without RENAME_NOREPLACE and without nameless files, as NFS is."""
    plain_open = os.open

    def opening(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "not here")
        return plain_open(path, flags, *args, **kwargs)

    def renameat2(*args: Any) -> int:
        ctypes.set_errno(errno.EINVAL)
        return -1

    setattr(os, "open", opening)  # noqa: B010 - mypy knows that it is a function
    vars(syscalls)["_renameat2"] = renameat2


def is_directory(path: Path) -> bool:
    """Whether a directory is there, not through a link."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except FileNotFoundError:
        return False


def _in_child(act: Callable[[], object], at: int | None) -> NoReturn:
    def kill(number: int) -> None:
        if number == at:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        if at is not None:
            count_changes(kill)
        act()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)
