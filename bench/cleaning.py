"""Cleaning a tree: ours beside find, rm and systemd-tmpfiles, each on the same tree made anew; and what an undo takes.

FILES is the size of the tree (30000), BENCH_TREE where it is made: on the disk to be measured, or below /dev/shm.
"""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from measure import children, peak_mib
from places import WORK, at_the_end, scratch
from product import Daemon, daemon
from topic import AbsentError, Figures, Topic

FILES = int(os.environ.get("FILES", "30000"))
DIRECTORIES = 300
TREE = Path(os.environ.get("BENCH_TREE", str(WORK))) / "tree"
OLD_SECONDS = 30 * 86400
AGE = "10d"
WORKER_MIB = "worker MiB"

Act = Callable[[], float]


def program(*command: str, every: int = 1) -> Callable[[], Figures]:
    """A program that removes all that is old."""

    def act() -> float:
        if shutil.which(command[0]) is None:
            raise AbsentError(f"apt-get install {command[0]}")
        began = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return time.monotonic() - began

    return lambda: _measured(act, every)


def tmpfiles() -> Figures:
    """systemd-tmpfiles with one line, asked by mtime."""

    def act() -> float:
        with scratch() as directory:
            config = directory / "tree.conf"
            config.write_text(f"e {TREE} - - - mM:{AGE}\n")
            began = time.monotonic()
            subprocess.run(["systemd-tmpfiles", "--clean", config], check=True)
            return time.monotonic() - began

    return _measured(act, every=1)


def ours(task: str, every: int = 1) -> Callable[[], Figures]:
    """A task of the daemon, from its start to its end as they are written down."""

    def run() -> Figures:
        with _Peak(_daemon().pid) as peak:
            figures = _measured(lambda: _executed(task), every)
        return {**figures, WORKER_MIB: peak.mib}

    return run


def undo(every: int = 1) -> Callable[[], Figures]:
    """What was taken is put back."""

    def act() -> float:
        _executed("kept")
        with _daemon().caller() as caller:
            began = time.monotonic()
            caller.call("execution.rollback", execution="last")
            return time.monotonic() - began

    def run() -> Figures:
        _daemon()
        return _measured(act, every, left=FILES)

    return run


def _executed(task: str) -> float:
    with _daemon().caller() as caller:
        execution = caller.call("execution.start", task=task)["execution_id"]
        ended = caller.call("execution.wait", execution=execution)
    if ended["status"] != "completed":
        raise RuntimeError(f"{ended['status']}: {ended['error']}")
    return float(ended["duration"]) / 1000


def _measured(act: Act, every: int, left: int | None = None) -> Figures:
    left = FILES - FILES // every if left is None else left
    with _tree(every):
        seconds = act()
        found = sum(len(names) for at, _, names in os.walk(TREE) if ".jamaint-trash" not in at)
        if found != left:
            raise RuntimeError(f"{found} files are left, and not {left}")
    return {"files/s": FILES // every / seconds, "s": seconds}


class _Peak(threading.Thread):
    """The most memory, in MiB, that a worker of the daemon `pid` has had while this is open."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid, self._ends = pid, threading.Event()
        self.mib = 0.0

    def run(self) -> None:
        while not self._ends.wait(0.02):
            for child in children(self._pid):
                with suppress(OSError, LookupError):
                    if b"jamaint-worker" in Path(f"/proc/{child}/cmdline").read_bytes():
                        self.mib = max(self.mib, peak_mib(child))

    def __enter__(self) -> "_Peak":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self.join()


@contextmanager
def _tree(every: int) -> Iterator[None]:
    """FILES files in DIRECTORIES directories, every so many of them old; the others were written now."""
    shutil.rmtree(TREE, ignore_errors=True)
    old = time.time() - OLD_SECONDS
    for number in range(DIRECTORIES):
        directory = TREE / f"d{number:04}"
        directory.mkdir(parents=True, mode=0o755)
        for index in range(FILES // DIRECTORIES):
            path = directory / f"f{index:06}"
            path.write_bytes(b"some bytes of a file")
            if index % every == 0:
                os.utime(path, (old, old))
        if every == 1:
            os.utime(directory, (old, old))
    os.sync()
    try:
        yield
    finally:
        shutil.rmtree(TREE, ignore_errors=True)


@cache
def _daemon() -> Daemon:
    by = {"files": ["modification"], "directories": ["modification"]}
    config = {"paths": [{"path": str(TREE), "age": AGE, "age_by": by}]}
    task = {
        "executor": "temp.cleanup",
        "config": config,
        "mass_deletion": {"share": "100%", "items": FILES * 2},
    }
    tasks = {"kept": task, "unkept": {**task, "rollback": {"enabled": False}}}
    directory = at_the_end.enter_context(scratch())
    return at_the_end.enter_context(daemon(directory, tasks=tasks, rollback={"retention": "7d"}))


CLEANING = Topic(
    f"{FILES} files, all of them old, at {TREE.parent}",
    ("files/s", "s", WORKER_MIB),
    {
        "find -delete": program("find", str(TREE), "-mindepth", "1", "-delete"),
        "rm -rf": program("rm", "-rf", str(TREE)),
        "systemd-tmpfiles": tmpfiles,
        "tmpreaper": program("tmpreaper", "--mtime", "--all", "--runtime=0", AGE, str(TREE)),
        "jamaintd, undo kept": ours("kept"),
        "jamaintd, no undo": ours("unkept"),
        "jamaintd, the undo": undo(),
    },
)
THINNING = Topic(
    f"{FILES} files, every second one old, at {TREE.parent}",
    ("files/s", "s", WORKER_MIB),
    {
        "find -delete": program("find", str(TREE), "-type", "f", "-mtime", "+9", "-delete", every=2),
        "tmpreaper": program("tmpreaper", "--mtime", "--all", "--runtime=0", AGE, str(TREE), every=2),
        "jamaintd, undo kept": ours("kept", every=2),
        "jamaintd, no undo": ours("unkept", every=2),
        "jamaintd, the undo": undo(every=2),
    },
)
