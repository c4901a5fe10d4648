"""Cleaning a tree: ours beside find, rm and systemd-tmpfiles, each on the same tree made anew; and what an undo takes.

FILES is the size of the tree (30000), BENCH_TREE where it is made: on the disk to be measured, or below /dev/shm.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from places import WORK, at_the_end, scratch
from product import Daemon, daemon
from topic import AbsentError, Figures, Topic

FILES = int(os.environ.get("FILES", "30000"))
DIRECTORIES = 300
TREE = Path(os.environ.get("BENCH_TREE", str(WORK))) / "tree"
OLD_SECONDS = 30 * 86400
AGE = "10d"

Act = Callable[[], float]


def program(*command: str) -> Callable[[], Figures]:
    """A program that removes all that is old."""

    def act() -> float:
        if shutil.which(command[0]) is None:
            raise AbsentError(f"apt-get install {command[0]}")
        began = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return time.monotonic() - began

    return lambda: _measured(act, every=1, left=0)


def tmpfiles() -> Figures:
    """systemd-tmpfiles with one line, asked by mtime."""

    def act() -> float:
        with scratch() as directory:
            config = directory / "tree.conf"
            config.write_text(f"e {TREE} - - - mM:{AGE}\n")
            began = time.monotonic()
            subprocess.run(["systemd-tmpfiles", "--clean", config], check=True)
            return time.monotonic() - began

    return _measured(act, every=1, left=0)


def ours(task: str, every: int = 1) -> Callable[[], Figures]:
    """A task of the daemon, from its start to its end as they are written down."""

    def run() -> Figures:
        _daemon()
        return _measured(lambda: _executed(task), every=every, left=0 if every == 1 else FILES - FILES // every)

    return run


def undo() -> Figures:
    """What was taken is put back."""

    def act() -> float:
        _executed("kept")
        with _daemon().caller() as caller:
            began = time.monotonic()
            caller.call("execution.rollback", execution="last")
            return time.monotonic() - began

    _daemon()
    return _measured(act, every=1, left=FILES)


def _executed(task: str) -> float:
    with _daemon().caller() as caller:
        execution = caller.call("execution.start", task=task)["execution_id"]
        ended = caller.call("execution.wait", execution=execution)
    if ended["status"] != "completed":
        raise RuntimeError(f"{ended['status']}: {ended['error']}")
    return float(ended["duration"]) / 1000


def _measured(act: Act, every: int, left: int) -> Figures:
    with _tree(every):
        seconds = act()
        found = sum(len(names) for at, _, names in os.walk(TREE) if ".jamaint-trash" not in at)
        if found != left:
            raise RuntimeError(f"{found} files are left, and not {left}")
    return {"files/s": FILES // every / seconds, "s": seconds}


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


TOPIC = Topic(
    f"{FILES} files, all of them or every second one old, at {TREE.parent}",
    ("files/s", "s"),
    {
        "find -delete": program("find", str(TREE), "-mindepth", "1", "-delete"),
        "rm -rf": program("rm", "-rf", str(TREE)),
        "systemd-tmpfiles": tmpfiles,
        "jamaintd, undo kept": ours("kept"),
        "jamaintd, every second file, undo kept": ours("kept", every=2),
        "jamaintd, no undo": ours("unkept"),
        "jamaintd, the undo": undo,
    },
)
