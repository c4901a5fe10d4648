"""A worker killed with SIGKILL at any change of the file system leaves what an undo in another process puts right."""

import json
import os
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from jamaint.core.plans import Step, step_from_json, step_to_json, undo_order
from jamaint.executors.logs_cleanup import executor as logs
from jamaint.files.cleanup import survey_step
from jamaint.files.use.open_files import OpenFiles
from logs_cleanup_runs import (
    DAY,
    age_directories,
    executor,
    fast_directory,
    in_fresh_process,
    put,
    run_killed,
    through_json,
    undo_all,
    without_modern_calls,
)
from tree_snapshot import Entry, differences, snapshot


@pytest.fixture
def fast(tmp_path: Path) -> Iterator[Path]:
    with fast_directory(tmp_path) as path:
        yield path


@pytest.fixture(autouse=True)
def no_other_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What other processes hold open has a test of its own, and looking takes most of a run's time here."""
    for module in (logs, survey_step):
        monkeypatch.setattr(module, "open_files", OpenFiles)


def a_tree(top: Path) -> Path:
    root = top / "logs"
    for place, ages in {"": (1, 4, 12, 40), "app": (6, 13, 50), "app/deep": (41, 14, 8)}.items():
        for age in ages:
            put(root / place / f"a{age}.log", age)
    put(root / "app" / "a13.log.zst", 2)  # in the way of what will be made
    put(root / "app" / "a13.log.gz", 2)
    put(top / "archive" / "a6.log", 3)
    put(top / "archive" / "app" / "a6.log", 3)
    age_directories(top)
    return root


class Case:
    """One configuration on one tree, and the runs on it."""

    def __init__(self, top: Path, archive: Path, prepare: Callable[[], None] | None = None) -> None:
        root = a_tree(top)
        self.config: dict[str, Any] = {
            "log_paths": [f"{root}/**/*.log*"],
            "retention_seconds": 30 * DAY,
            "compress": {"algorithm": "zstd", "older_than_seconds": 10 * DAY},
            "archive": {"directory": str(archive), "older_than_seconds": 5 * DAY},
        }
        self._tops = sorted({top, archive.parent})
        self._prepare = prepare
        self._before = self.look()
        self._file = top.parent / f"{top.name}.steps"

    def look(self) -> Mapping[bytes, Entry]:
        return {
            os.fsencode(f"{top.name}/") + name: entry for top in self._tops for name, entry in snapshot(top).items()
        }

    def time_of(self, name: bytes) -> int:
        return self._before[name].mtime_ns

    def run(self, kill_at: int) -> tuple[list[Step], bool]:
        """Plans and runs in a process that is killed at that change; the steps, and whether it was killed."""

        def act() -> None:
            worker = executor(**self.config)
            steps = [through_json(step) for step in worker.plan().steps]
            self._file.write_text(json.dumps([step_to_json(step) for step in steps]))
            if self._prepare is not None:
                self._prepare()
            for step in steps:
                details = worker.run(step)
                assert not details["problems"], details

        with suppress(FileNotFoundError):
            self._file.unlink()
        killed = run_killed(act, kill_at)
        steps = [step_from_json(step) for step in json.loads(self._file.read_text())]
        return steps, killed

    def undo_killed(self, steps: list[Step], kill_at: int) -> bool:
        return run_killed(lambda: self._undo(steps), kill_at)

    def undone(self, steps: list[Step]) -> list[str]:
        """Undoes in a fresh process, first as a dry run, and tells what is not as it was."""
        expected, outcome = in_fresh_process(lambda: [undo_all(steps, dry_run=True), self._undo(steps)])
        assert outcome == expected
        told = [f"kept {item}" for item in outcome["kept"]] + [f"problem {item}" for item in outcome["problems"]]
        return told + differences(self._before, self.look())

    def _undo(self, steps: list[Step]) -> dict[str, Any]:
        if self._prepare is not None:
            self._prepare()
        return undo_all(steps)


def same_disk(top: Path, other: Path) -> Case:
    return Case(top / "t", top / "t" / "archive")


def other_disk(top: Path, other: Path) -> Case:
    (other / "kept").mkdir()
    return Case(top / "t", other / "kept" / "archive")  # which is not there yet


def old_disk(top: Path, other: Path) -> Case:
    return Case(top / "t", top / "t" / "archive", without_modern_calls)


CASES = pytest.mark.parametrize("make", [same_disk, other_disk, old_disk])


@CASES
def test_killed_at_every_change_of_a_run(make: Callable[[Path, Path], Case], fast: Path, tmp_path: Path) -> None:
    case = make(fast, tmp_path)
    number, killed = 0, True
    while killed:
        number += 1
        steps, killed = case.run(number)
        assert case.undone(steps) == [], f"killed at change {number}"
        if number % 8 == 0:
            assert case.undone(steps) == [], "a second undo"
    assert number > 100


@CASES
def test_killed_at_every_change_of_an_undo(make: Callable[[Path, Path], Case], fast: Path, tmp_path: Path) -> None:
    case = make(fast, tmp_path)
    number, killed = 0, True
    while killed:
        number += 1
        steps, _ = case.run(0)
        killed = case.undo_killed(steps, number)
        assert case.undone(steps) == [], f"killed at change {number}"
    assert number > 50


def test_killed_in_an_undo_what_others_did_since_stays(fast: Path, tmp_path: Path) -> None:
    case = same_disk(fast, tmp_path)
    number, killed = 0, True
    while killed:
        number += 1
        steps, _ = case.run(0)
        new = put(fast / "t" / "logs" / "app" / "new.log", 0)
        theirs = 4_000_000_000_000_000_001
        os.utime(new.parent, ns=(theirs, theirs))
        killed = case.undo_killed(steps, number)
        told = case.undone(steps)
        assert [line.split(":")[0] for line in told] == ["b't/logs/app'", "b't/logs/app/new.log'"]
        assert new.parent.stat().st_mtime_ns == theirs
        new.unlink()
        os.utime(new.parent, ns=(case.time_of(b"t/logs/app"),) * 2)


@CASES
def test_killed_in_run_and_undo_and_undo_again(make: Callable[[Path, Path], Case], fast: Path, tmp_path: Path) -> None:
    case = make(fast, tmp_path)
    dice = random.Random(42)
    for _ in range(60):
        points = dice.randrange(1, 250), dice.randrange(1, 120), dice.randrange(1, 60)
        steps, _ = case.run(points[0])
        case.undo_killed(steps, points[1])
        case.undo_killed(steps, points[2])
        assert case.undone(steps) == [], f"killed at {points}"


def test_the_run_that_is_not_killed_does_something(tmp_path: Path) -> None:
    case = same_disk(tmp_path, tmp_path)
    before = case.look()
    steps, killed = case.run(0)
    assert not killed
    told = differences(before, case.look())
    assert any("a40.log': went" in line for line in told)
    assert any("a12.log.zst': came" in line or "a12.log.gz': came" in line for line in told)
    assert any("archive/app/a6.log.1': came" in line for line in told)
    assert len(undo_order(steps)) == 3
