"""Measuring how much is in a tree: ours beside du and ncdu, each on the same tree, read before.

FILES is the size of the tree (200000), BENCH_TREE where it is made: on the disk to be measured, or below /dev/shm.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

from measure import cpu_seconds_of_children
from places import WORK, at_the_end, scratch
from topic import AbsentError, Figures, Topic

from jamaint.files.access.disk_usage import measure
from jamaint.files.access.root import open_root
from jamaint.files.access.skip_report import Skipped

FILES = int(os.environ.get("FILES", "200000"))
DIRECTORIES = 500


def program(*command: str) -> Callable[[], Figures]:
    """A program that reads the whole tree."""

    def run() -> Figures:
        if shutil.which(command[0]) is None:
            raise AbsentError(f"apt-get install {command[0]}")
        tree = str(_tree())
        cpu, began = cpu_seconds_of_children(), time.monotonic()
        subprocess.run([*command, tree], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return _figures(began, cpu_seconds_of_children() - cpu)

    return run


def ours() -> Figures:
    """What a worker does for `usage`, without the start of the worker."""
    tree = str(_tree())
    cpu, began = time.process_time() + cpu_seconds_of_children(), time.monotonic()
    skipped = Skipped()
    with open_root(tree, shared=True) as root:
        _, files = measure(root, skipped, lambda: None, lambda: False)
    if files != FILES or skipped.count:
        raise RuntimeError(f"{files} files were found, {skipped.count} were left out")
    return _figures(began, time.process_time() + cpu_seconds_of_children() - cpu)


def _figures(began: float, cpu: float) -> Figures:
    seconds = time.monotonic() - began
    return {"files/s": FILES / seconds, "s": seconds, "processor s": cpu}


@cache
def _tree() -> Path:
    tree = Path(os.environ.get("BENCH_TREE", at_the_end.enter_context(scratch()))) / "analysis"
    at_the_end.callback(shutil.rmtree, tree, ignore_errors=True)
    for number in range(DIRECTORIES):
        directory = tree / f"d{number:04}"
        directory.mkdir(parents=True, mode=0o755)
        for index in range(FILES // DIRECTORIES):
            (directory / f"f{index:06}").write_bytes(b"some bytes of a file")
    subprocess.run(["du", "-s", tree], check=True, stdout=subprocess.DEVNULL)  # so that all find it read before
    return tree


TOPIC = Topic(
    f"how much is in a tree of {FILES} files, at {os.environ.get('BENCH_TREE', WORK)}",
    ("files/s", "s", "processor s"),
    {
        "du -s": program("du", "-s"),
        "ncdu -o": program("ncdu", "-0xo", "/dev/null"),
        "jamaintd": ours,
    },
)
