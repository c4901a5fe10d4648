"""A rotation killed with SIGKILL at any change of the file system, or its undo: all comes back byte for byte."""

import json
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from jamaint.core.plans import Step, step_from_json, step_to_json
from jamaint.executors.logs_rotate import executor, undo
from jamaint.files.access import thread_fanout
from jamaint.files.cleanup import survey_step
from jamaint.files.use.open_files import OpenFiles, open_files
from logs_cleanup_runs import (
    age_directories,
    fast_directory,
    in_fresh_process,
    put,
    run_killed,
    through_json,
    without_modern_calls,
)
from logs_rotate_runs import rotation_config, rotator, undo_rotation
from tree_snapshot import differences, snapshot


@pytest.fixture
def fast(tmp_path: Path) -> Iterator[Path]:
    with fast_directory(tmp_path) as path:
        yield path


@pytest.fixture(autouse=True)
def no_other_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What other processes hold open has a test of its own, and looking takes most of a run's time here."""
    for module in (executor, survey_step, undo):
        monkeypatch.setattr(module, "open_files", OpenFiles)


def a_tree(top: Path) -> Path:
    root = top / "logs"
    for place in ("", "app"):
        for name in ("a.log", "b.log"):
            put(root / place / name, 1, f"a line of {place}/{name}\n".encode() * 20)
    put(root / "a.log-20261124.zst", 0)  # in the way of the name, and of what will be made
    put(root / "app" / "a.log.written-since", 3)
    for day in (20, 21, 22, 23):
        put(root / f"a.log-202611{day}", 24 - day)
        put(root / f"a.log.{24 - day}{'.gz' if day < 22 else ''}", 24 - day)
    put(root / "app" / "empty.log", 2, b"")
    age_directories(top)
    return root


class Case:
    """One configuration on one tree, and the runs on it."""

    def __init__(self, top: Path, prepare: Callable[[], None] | None = None, **changes: Any) -> None:
        root = a_tree(top)
        self.config = rotation_config([f"{root}/**/*.log"], keep=2, **changes)
        self._top, self._prepare = top, prepare
        self._before = snapshot(top)
        self._file = top.parent / f"{top.name}.steps"

    def run(self, kill_at: int) -> tuple[list[Step], bool]:
        """Plans and runs in a process that is killed at that change; the steps, and whether it was killed."""

        def act() -> None:
            worker = rotator(self.config)
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
        return [step_from_json(step) for step in json.loads(self._file.read_text())], killed

    def undo_killed(self, steps: list[Step], kill_at: int) -> bool:
        return run_killed(lambda: self._undo(steps), kill_at)

    def undone(self, steps: list[Step]) -> list[str]:
        """Undoes in a fresh process, first as a dry run, and tells what is not as it was."""
        expected, outcome = in_fresh_process(
            lambda: [undo_rotation(self.config, steps, dry_run=True), self._undo(steps)]
        )
        assert outcome == expected
        told = [f"kept {item}" for item in outcome["kept"]] + [f"problem {item}" for item in outcome["problems"]]
        return told + differences(self._before, snapshot(self._top))

    def _undo(self, steps: list[Step]) -> dict[str, Any]:
        if self._prepare is not None:
            self._prepare()
        return undo_rotation(self.config, steps)


PACKED = {"compress": {"algorithm": "gzip", "delay": False}}


def dates(top: Path) -> Case:
    return Case(top / "t", **PACKED)


def numbers(top: Path) -> Case:
    return Case(top / "t", names="number", **PACKED)


def copies(top: Path) -> Case:
    return Case(top / "t", copy_truncate=True)


def aside(top: Path, **changes: Any) -> Case:
    """Rotated into a directory of each log's directory."""
    for place in ("old", "app/old"):
        (top / "t" / "logs" / place).mkdir(parents=True, exist_ok=True)
        for day in (21, 22, 23):
            put(top / "t" / "logs" / place / f"a.log-202611{day}", 24 - day)
            put(top / "t" / "logs" / place / f"a.log.{24 - day}", 24 - day)
    return Case(top / "t", olddir="old", **changes)


def dates_aside(top: Path) -> Case:
    return aside(top, **PACKED)


def numbers_aside(top: Path) -> Case:
    return aside(top, names="number", **PACKED)


def copies_aside(top: Path) -> Case:
    return aside(top, copy_truncate=True)


def old_disk_aside(top: Path) -> Case:
    case = aside(top, **PACKED)
    case._prepare = without_modern_calls
    return case


def side_by_side(top: Path) -> Case:
    """Packed in several threads, as large files are."""
    return Case(top / "t", threads_for_all, **PACKED)


def threads_for_all() -> None:
    thread_fanout.WORTH_BYTES = 0


def old_disk(top: Path) -> Case:
    return Case(top / "t", without_modern_calls, **PACKED)


ASIDE = [dates_aside, numbers_aside, copies_aside, old_disk_aside]
CASES = pytest.mark.parametrize("make", [dates, numbers, copies, side_by_side, old_disk, *ASIDE])


@CASES
def test_killed_at_every_change_of_a_run(make: Callable[[Path], Case], fast: Path) -> None:
    case = make(fast)
    number, killed = 0, True
    while killed:
        number += 1
        steps, killed = case.run(number)
        assert case.undone(steps) == [], f"killed at change {number}"
        if number % 8 == 0:
            assert case.undone(steps) == [], "a second undo"
    assert number > 50


@CASES
def test_killed_at_every_change_of_an_undo(make: Callable[[Path], Case], fast: Path) -> None:
    case = make(fast)
    number, killed = 0, True
    while killed:
        number += 1
        steps, _ = case.run(0)
        killed = case.undo_killed(steps, number)
        assert case.undone(steps) == [], f"killed at change {number}"
    assert number > 30


@CASES
def test_killed_in_run_and_undo_and_undo_again(make: Callable[[Path], Case], fast: Path) -> None:
    case = make(fast)
    dice = random.Random(42)
    for _ in range(40):
        points = dice.randrange(1, 150), dice.randrange(1, 80), dice.randrange(1, 40)
        steps, _ = case.run(points[0])
        case.undo_killed(steps, points[1])
        case.undo_killed(steps, points[2])
        assert case.undone(steps) == [], f"killed at {points}"


def test_what_was_written_since_survives_a_kill_at_every_change_of_the_undo(fast: Path) -> None:
    case = dates(fast)
    new = fast / "t" / "logs" / "app" / "a.log"
    number, killed = 0, True
    while killed:
        number += 1
        steps, _ = case.run(0)
        new.write_bytes(b"since\n")
        killed = case.undo_killed(steps, number)
        case.undone(steps)
        beside = list(new.parent.glob("a.log.written-since.*"))
        assert [path.read_bytes() for path in beside] == [b"since\n"], f"killed at change {number}"
        assert new.read_bytes().startswith(b"a line of app/a.log\n")
        beside[0].unlink()
        age_directories(fast / "t")
    assert number > 30


@pytest.mark.parametrize("make", [dates, old_disk])
def test_a_line_of_a_writer_that_keeps_the_new_log_open_survives_a_kill_at_every_change_of_the_undo(
    make: Callable[[Path], Case], fast: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undo, "open_files", open_files)
    case = make(fast)
    new = fast / "t" / "logs" / "app" / "a.log"
    number, killed = 0, True
    while killed:
        number += 1
        steps, _ = case.run(0)
        with new.open("ab", buffering=0) as writer:
            killed = case.undo_killed(steps, number)
            writer.write(b"since\n")
            case.undone(steps)
        beside = list(new.parent.glob("a.log.written-since.*"))
        assert [path.read_bytes() for path in beside] == [b"since\n"], f"killed at change {number}"
        assert new.read_bytes() == b"a line of app/a.log\n" * 20
        beside[0].unlink()
        age_directories(fast / "t")
    assert number > 30


def test_the_run_that_is_not_killed_does_something(tmp_path: Path) -> None:
    case = dates(tmp_path)
    before = snapshot(tmp_path / "t")
    _, killed = case.run(0)
    assert not killed
    told = differences(before, snapshot(tmp_path / "t"))
    assert any("logs/a.log-20261124.1.gz': came" in line for line in told)
    assert any("logs/a.log-20261120': went" in line for line in told)
    assert "b'logs/a.log': size 340 -> 0" in told
