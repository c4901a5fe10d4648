"""Somebody who swaps directories, links and files under the cleaner, as fast as a process can, gets nothing by it.

The attacker here is stronger than any that is expected: he has the cleaner's own rights. (Where another user could
write, the cleaner does not go at all.)
"""

import itertools
import mmap
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from jamaint.core.plans import Step
from jamaint.executors.logs_cleanup import executor as logs
from jamaint.executors.shared.executor import StepError
from jamaint.files.cleanup import survey_step
from jamaint.files.use.open_files import OpenFiles
from logs_cleanup_runs import DAY, executor, fast_directory, put, undo_all
from tree_snapshot import differences, snapshot

FILES = 20
RUNS = 60
SWAPS = 3000


@pytest.fixture(autouse=True)
def no_other_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The attacker holds nothing open, and looking takes most of a run's time here."""
    for module in (logs, survey_step):
        monkeypatch.setattr(module, "open_files", OpenFiles)


@pytest.fixture
def top(tmp_path: Path) -> Iterator[Path]:
    with fast_directory(tmp_path) as path:
        yield path


class Attack:
    """How often the attacker has come through, also seen from other processes."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 8)

    @property
    def count(self) -> int:
        return int.from_bytes(self._memory[:8], "little")

    @count.setter
    def count(self, value: int) -> None:
        self._memory[:8] = value.to_bytes(8, "little")

    def goes_on(self, run: int) -> bool:
        """Whether a test has to go on after so many runs: both sides shall have had their turns."""
        return run < RUNS or self.count < SWAPS


@contextmanager
def attacker(once: Callable[[int], None], attack: Attack | None = None) -> Iterator[Attack]:
    """Calls `once` with 0, 1, 2 … in another process until the end, which is always between two calls."""
    attack = attack or Attack()
    first = attack.count
    child = os.fork()
    if child == 0:
        try:
            stopping: list[int] = []
            signal.signal(signal.SIGTERM, lambda number, frame: stopping.append(number))
            while not stopping:
                with suppress(OSError):
                    once(attack.count)
                attack.count += 1
        finally:
            os._exit(0)  # whatever happens: this process is not to go on as a second pytest
    try:
        while attack.count == first:
            os.sched_yield()
        yield attack
    finally:
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)


def a_tree(top: Path) -> tuple[Path, Path]:
    """A root with logs of all ages in a/b, and outside of it a directory that looks the same: the canary."""
    for place in ("root/a/b", "canary/b", "canary/a/b"):
        for number in range(FILES):
            put(top / place / f"{number}.log", (6, 20, 40)[number % 3], f"{place} {number}".encode())
    return top / "root", top / "canary"


def one_run(root: Path, run: int) -> list[Step]:
    config: dict[str, Any] = {
        "log_paths": [f"{root}/**/*.log*"],
        "compress": {"algorithm": "gzip", "older_than_seconds": 10 * DAY},
        "archive": {"directory": str(root.parent / "archive"), "older_than_seconds": 5 * DAY},
    }
    worker = executor(execution=f"e-{run}", **config, keeps_way_back=run % 4 != 3)
    steps = worker.plan().steps
    for step in steps:
        with suppress(StepError):  # nothing could be done: the directory was away
            worker.run(step)
    return list(steps)


def contents(top: Path) -> list[bytes]:
    return sorted(path.read_bytes() for path in top.rglob("*.log") if path.is_file() and not path.is_symlink())


def swap(real: Path, aside: Path, target: Path) -> Callable[[int], None]:
    """Puts a link to `target` in the place of `real`, and then the real one again."""

    def once(number: int) -> None:
        os.rename(real, aside)
        os.symlink(target, real)
        os.unlink(real)
        os.rename(aside, real)

    return once


@pytest.mark.parametrize(
    ("real", "target"),
    [("root/a/b", "canary/b"), ("root/a", "canary/a"), ("root", "canary")],
    ids=["directory", "above", "root"],
)
def test_a_directory_that_is_swapped_for_a_link(top: Path, real: str, target: str) -> None:
    root, canary = a_tree(top)
    before = snapshot(canary)
    kept = [content for content in contents(root) if int(content.split()[1]) % 3 != 2]
    executions: list[list[Step]] = []
    with attacker(swap(top / real, top / "aside", top / target)) as attack:
        for run in itertools.takewhile(attack.goes_on, itertools.count()):
            with suppress(StepError):
                executions.append(one_run(root, run))
            if run % 3 == 2 and executions:
                undo_all(executions.pop())
    assert differences(before, snapshot(canary)) == []
    for steps in reversed(executions):
        assert undo_all(steps)["problems"] == []
    assert differences(before, snapshot(canary)) == []
    assert not any(content.startswith(b"canary") for content in contents(root))
    # An undo makes a directory again that is away, and the attacker's own one then stays where he has put it.
    found = [content for place in ("root", "archive", "aside") for content in contents(top / place)]
    packed = len([path for path in top.rglob("*.gz") if "canary" not in path.parts])
    assert len([content for content in found if content in kept]) + packed >= len(kept)


def test_a_directory_that_is_moved_away_and_back(top: Path) -> None:
    root, canary = a_tree(top)
    before = snapshot(canary)

    def once(number: int) -> None:
        os.rename(root / "a" / "b", top / "aside")
        os.rename(top / "aside", root / "a" / "b")

    executions: list[list[Step]] = []
    with attacker(once) as attack:
        for run in itertools.takewhile(attack.goes_on, itertools.count()):
            executions.append(one_run(root, 4 * run))
            if run % 3 == 2:
                outcome = undo_all(executions[-1])
                if not outcome["kept"] and not outcome["problems"]:
                    executions.pop()  # else the directory was away: that is told, and it is undone again below
    for steps in reversed(executions):
        outcome = undo_all(steps)
        assert outcome["problems"] == []
        # Where an undo has made the directory again, originals lie in the attacker's own, and their copies stay: told.
        assert outcome["kept"] == [] or (top / "aside").exists()
    assert differences(before, snapshot(canary)) == []
    # An undo while the directory is away makes it again, and then the attacker's own stays where he has put it.
    assert sorted(contents(root) + contents(top / "aside")) == [content for _, content in logs_of_root()]


def logs_of_root() -> list[tuple[int, bytes]]:
    """The logs of `a_tree` below its root, as (number, content), in the order of their contents."""
    return sorted(((number, f"root/a/b {number}".encode()) for number in range(FILES)), key=lambda one: one[1])


def test_undo_while_the_directory_is_away_loses_nothing(top: Path) -> None:
    root, _ = a_tree(top)
    place = root / "a" / "b"
    untouched = put(place / "young.log", 0, b"young").name
    steps = one_run(root, 0)
    os.rename(place, top / "aside")
    outcome = undo_all(steps)
    assert (outcome["kept"], outcome["problems"]) == ([], [])
    with pytest.raises(OSError, match="not empty"):  # what has come back is not overwritten by who moves his own back
        os.rename(top / "aside", place)
    assert contents(root) == [content for _, content in logs_of_root()]
    assert [path.name for path in (top / "aside").glob("*.log")] == [untouched]


def test_a_file_that_is_swapped_for_a_fresh_one(top: Path) -> None:
    """No fresh file is lost: what the attacker last wrote under a name is in its place, or told as kept."""
    root, _ = a_tree(top)
    place = root / "a" / "b"

    def once(number: int) -> None:
        name = f"{number % FILES}.log"
        fresh = top / "fresh"
        fresh.write_bytes(f"fresh {number}".encode())
        os.rename(fresh, place / name)
        put(top / "old", 40, f"old {number}".encode())
        os.rename(top / "old", place / name)

    attack = Attack()
    for run in itertools.takewhile(attack.goes_on, itertools.count()):
        steps: list[Step] = []
        with attacker(once, attack), suppress(StepError):
            steps = one_run(root, 4 * run)
        there = {path.name: path.read_bytes() for path in place.glob("*.log")}
        outcome: Mapping[str, Any] = undo_all(steps)
        assert outcome["problems"] == []
        for name, content in there.items():
            assert (place / name).read_bytes() == content


def test_links_and_fifos_in_the_place_of_files(top: Path) -> None:
    root, canary = a_tree(top)
    before = snapshot(canary)
    place = root / "a" / "b"

    def once(number: int) -> None:
        name = f"{number % FILES}.log"
        if number % 2:
            os.symlink(canary / "b" / name, top / "new")
        else:
            os.link(canary / "b" / name, top / "new")
        os.rename(top / "new", place / name)
        with suppress(FileExistsError):
            os.mkfifo(place / f"{number % FILES}.fifo.log")
        put(top / "old", 20, b"mine")
        os.rename(top / "old", place / name)

    with attacker(once) as attack:
        for run in itertools.takewhile(attack.goes_on, itertools.count()):
            with suppress(StepError):
                undo_all(one_run(root, 4 * run))
    told = differences(before, snapshot(canary))
    assert [line for line in told if ": links " not in line and ": outside " not in line] == []
