"""temp.cleanup killed with SIGKILL at any change of the file system leaves what an undo puts right."""

import json
import os
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from jamaint.core.plans import Step, step_from_json, step_to_json
from jamaint.executors.shared import age_cleanup
from jamaint.executors.shared.executor import Work
from jamaint.executors.temp_cleanup.executor import TempCleanup
from jamaint.files.cleanup import sweep_step
from jamaint.files.trash import shards
from jamaint.files.use.open_files import OpenFiles
from logs_cleanup_runs import (
    DAY,
    EVERYTHING,
    NOW,
    Talk,
    age_directories,
    fast_directory,
    in_fresh_process,
    put,
    run_killed,
    through_json,
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
    for module in (age_cleanup, sweep_step):
        monkeypatch.setattr(module, "open_files", OpenFiles)


@pytest.fixture(autouse=True, params=["mirror", "shards"])
def layout(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both places of the trash for files that are taken one by one."""
    if request.param == "shards":
        monkeypatch.setattr(shards, "WORTH", 1)
        monkeypatch.setattr(shards, "CAPACITY", 2)


def a_tree(top: Path) -> Path:
    root = top / "tmp"
    for place, ages in {
        "": (1, 12, 40),
        "whole": (20, 21),
        "whole/deep": (30,),
        "mixed": (5, 50, 51),
        "mixed/whole": (41, 14),
        "mixed/young": (2,),
        "other/whole": (99,),
    }.items():
        for age in ages:
            put(root / place / f"a{age}", age)
    (root / "empty").mkdir()
    os.link(root / "whole" / "a20", root / "mixed" / "second-name")
    age_directories(top)
    return root


def temp(root: Path, **changes: Any) -> TempCleanup:
    by = {"files": ["modification"], "directories": ["modification"]}
    path = {"path": str(root), "age_seconds": 10 * DAY, "age_by": by, "pattern": None, "exclude": [], "unit": "file"}
    fields: dict[str, Any] = {
        "keeps_way_back": True,
        "mass_deletion": EVERYTHING,
        "low_space": 0.0,
        "now": NOW,
    } | changes
    return TempCleanup(
        Work(execution="e-1", task_name="temp", config={"paths": [path]}, timeout_seconds=None, **fields), Talk()
    )


class Case:
    """One tree, and the runs on it."""

    def __init__(self, top: Path, prepare: Callable[[], None] | None = None) -> None:
        self._root, self._top, self._prepare = a_tree(top), top, prepare
        self._before = self.look()
        self._file = top.parent / f"{top.name}.step"

    def look(self) -> Mapping[bytes, Entry]:
        return snapshot(self._top)

    def run(self, kill_at: int) -> tuple[Step, bool]:
        """Plans and runs in a process that is killed at that change; the step, and whether it was killed."""

        def act() -> None:
            worker = temp(self._root)
            step = through_json(worker.plan().steps[0])
            self._file.write_text(json.dumps(step_to_json(step)))
            if self._prepare is not None:
                self._prepare()
            assert not worker.run(step)["problems"]

        with suppress(FileNotFoundError):
            self._file.unlink()
        killed = run_killed(act, kill_at)
        return step_from_json(json.loads(self._file.read_text())), killed

    def undo_killed(self, step: Step, kill_at: int) -> bool:
        return run_killed(lambda: self._undo(step), kill_at)

    def undone(self, step: Step) -> list[str]:
        """Undoes in a fresh process, and tells what is not as it was."""
        outcome = in_fresh_process(lambda: self._undo(step))
        told = [f"kept {item}" for item in outcome["kept"]] + [f"problem {item}" for item in outcome["problems"]]
        return told + differences(self._before, self.look())

    def _undo(self, step: Step) -> dict[str, Any]:
        if self._prepare is not None:
            self._prepare()
        return temp(self._root).undo(step, False)


CASES = pytest.mark.parametrize("prepare", [None, without_modern_calls], ids=["modern", "old"])


@CASES
def test_killed_at_every_change_of_a_run(prepare: Callable[[], None] | None, fast: Path) -> None:
    case = Case(fast / "t", prepare)
    number, killed = 0, True
    while killed:
        number += 1
        step, killed = case.run(number)
        assert case.undone(step) == [], f"killed at change {number}"
    assert number > 30


@CASES
def test_killed_at_every_change_of_an_undo(prepare: Callable[[], None] | None, fast: Path) -> None:
    case = Case(fast / "t", prepare)
    number, killed = 0, True
    while killed:
        number += 1
        step, _ = case.run(0)
        killed = case.undo_killed(step, number)
        assert case.undone(step) == [], f"killed at change {number}"
    assert number > 25


def test_killed_in_run_and_undo_and_undo_again(fast: Path) -> None:
    case = Case(fast / "t")
    dice = random.Random(7)
    for _ in range(60):
        points = dice.randrange(1, 90), dice.randrange(1, 60), dice.randrange(1, 40)
        step, _ = case.run(points[0])
        case.undo_killed(step, points[1])
        case.undo_killed(step, points[2])
        assert case.undone(step) == [], f"killed at {points}"


def test_a_purge_that_is_killed_is_finished_by_the_next(fast: Path) -> None:
    number, killed = 0, True
    while killed:
        number += 1
        case = Case(fast / f"t{number}")
        root = fast / f"t{number}" / "tmp"
        step, _ = case.run(0)
        kept = {name for name in case.look() if b".jamaint-trash" not in name}
        killed = run_killed(lambda root=root, step=step: temp(root).purge(step), number)  # type: ignore[misc]
        assert in_fresh_process(lambda root=root, step=step: temp(root).purge(step))["problems"] == []  # type: ignore[misc]
        assert set(case.look()) == kept
    assert number > 15
