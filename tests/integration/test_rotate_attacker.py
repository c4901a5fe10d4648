"""Somebody who swaps directories, logs and links under a rotation as fast as a process can gets nothing by it."""

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from test_logs_attacker import Attack, attacker, swap

from jamaint.core.plans import Step
from jamaint.executors.logs_rotate import executor as rotate_module
from jamaint.executors.shared.executor import StepError
from jamaint.files.cleanup import survey_step
from jamaint.files.use.open_files import OpenFiles
from logs_cleanup_runs import NOW, fast_directory, put
from logs_rotate_runs import rotation_config, rotator, undo_rotation
from tree_snapshot import differences, snapshot

LOGS = 6


@pytest.fixture(autouse=True)
def no_other_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The attacker holds nothing open, and looking takes most of a run's time here."""
    for module in (rotate_module, survey_step):
        monkeypatch.setattr(module, "open_files", OpenFiles)


@pytest.fixture
def top(tmp_path: Path) -> Iterator[Path]:
    with fast_directory(tmp_path) as path:
        yield path


def a_tree(top: Path) -> tuple[Path, Path]:
    """A root with logs in a/b, and outside of it a directory that looks the same: the canary."""
    for place in ("root/a/b", "canary/b", "canary/a/b"):
        for number in range(LOGS):
            put(top / place / f"{number}.log", 1, f"{place} {number}\n".encode())
    return top / "root", top / "canary"


def one_run(root: Path, run: int) -> tuple[dict[str, Any], list[Step]]:
    packed = {"algorithm": "gzip", "delay": run % 2 == 0}
    config = rotation_config(
        [f"{root}/**/*.log"],
        names="number" if run % 3 == 1 else "date",
        copy_truncate=run % 5 == 4,
        compress=packed,
        create={"mode": 0o666, "owner": None, "group": None},
    )
    worker = rotator(config, now=NOW + timedelta(days=run), execution=f"e-{run}")
    steps = list(worker.plan().steps)
    for step in steps:
        with suppress(StepError):  # nothing could be done: the directory was away
            worker.run(step)
    return config, steps


def refill(root: Path) -> None:
    with suppress(OSError):
        for number in range(LOGS):
            with open(root / "a" / "b" / f"{number}.log", "ab") as log:
                log.write(b"more\n")


@pytest.mark.parametrize(
    ("real", "target"),
    [("root/a/b", "canary/b"), ("root/a", "canary/a"), ("root", "canary")],
    ids=["directory", "above", "root"],
)
def test_a_directory_that_is_swapped_for_a_link(top: Path, real: str, target: str) -> None:
    root, canary = a_tree(top)
    before = snapshot(canary)
    attack = Attack()
    for run in itertools.takewhile(attack.goes_on, itertools.count()):
        refill(root)
        with attacker(swap(top / real, top / "aside", top / target), attack), suppress(StepError):
            config, steps = one_run(root, run)
            if run % 3 == 2:
                undo_rotation(config, steps)
        before_now = differences(before, snapshot(canary))
        assert before_now == [], f"run {run}"


@pytest.mark.parametrize("link", [os.symlink, os.link], ids=["symlink", "hardlink"])
def test_a_log_that_is_swapped_for_a_link(top: Path, link: Callable[..., None]) -> None:
    """Neither what the link leads to, nor its owner or mode, is touched; what the attacker put there may move."""
    root, canary = a_tree(top)
    before = {path.name: (path.read_bytes(), path.stat().st_mode) for path in (canary / "b").iterdir()}
    place = root / "a" / "b"

    def once(number: int) -> None:
        name = f"{number % LOGS}.log"
        link(canary / "b" / name, top / "new")
        os.rename(top / "new", place / name)
        with suppress(FileExistsError):
            os.mkfifo(place / f"{number % LOGS}.log-20261125")
        put(top / "old", 1, b"mine\n")
        os.rename(top / "old", place / name)

    attack = Attack()
    for run in itertools.takewhile(attack.goes_on, itertools.count()):
        with attacker(once, attack), suppress(StepError):
            config, steps = one_run(root, run)
            if run % 3 == 2:
                undo_rotation(config, steps)
        assert {path.name: (path.read_bytes(), path.stat().st_mode) for path in (canary / "b").iterdir()} == before


def test_the_new_logs_name_is_taken_by_a_link(top: Path) -> None:
    root, canary = a_tree(top)
    before = snapshot(canary)
    place = root / "a" / "b"

    def once(number: int) -> None:
        name = f"{number % LOGS}.log"
        os.symlink(canary / "b" / name, place / name)  # wins only while the name is free
        os.unlink(place / name)
        put(top / "old", 1, b"mine\n")
        os.link(top / "old", place / name)

    attack = Attack()
    for run in itertools.takewhile(attack.goes_on, itertools.count()):
        with attacker(once, attack), suppress(StepError):
            one_run(root, run)
        assert differences(before, snapshot(canary)) == []
