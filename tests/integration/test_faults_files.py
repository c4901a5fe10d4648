"""Each file call of each file executor fails once: all is as before, or as after with a way back, and so it is said."""

import errno
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from file_call_faults import with_fault
from jamaint.core.plans import Step, step_from_json, step_to_json, undo_order
from jamaint.executors.filesystem_cleanup.executor import FilesystemCleanup
from jamaint.executors.logs_cleanup.executor import LogsCleanup
from jamaint.executors.logs_rotate.executor import LogsRotate
from jamaint.executors.shared import age_cleanup
from jamaint.executors.shared.executor import Executor, StepError, Work
from jamaint.executors.temp_cleanup.executor import TempCleanup
from jamaint.files.cleanup import sweep_step
from jamaint.files.use.open_files import OpenFiles
from logs_cleanup_runs import DAY, EVERYTHING, NOW, Talk, age_directories, fast_directory, in_fresh_process, put
from logs_rotate_runs import rotation_config
from tree_snapshot import Entry, differences, snapshot

CODES = pytest.mark.parametrize("code", [errno.EIO, errno.EMFILE, errno.ENOSPC], ids=["EIO", "EMFILE", "ENOSPC"])

STRIDE = int(os.environ.get("JAMAINT_FAULT_STRIDE", "4"))
"""Each call with a number this far apart fails in a run of these tests; with 1 it is each."""


def _first(kind: str, code: int) -> int:
    return (len(kind) + code) % STRIDE + 1 - STRIDE


@pytest.fixture
def fast(tmp_path: Path) -> Any:
    with fast_directory(tmp_path) as path:
        yield path


@pytest.fixture(autouse=True)
def no_other_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What other processes hold open is no matter here."""
    for module in (age_cleanup, sweep_step):
        monkeypatch.setattr(module, "open_files", OpenFiles)


def _tree(top: Path) -> None:
    for place, ages in {
        "": (1, 40),
        "whole": (20, 21),
        "whole/deep": (30,),
        "mixed": (5, 50),
        "mixed/w": (41,),
    }.items():
        for age in ages:
            put(top / "tmp" / place / f"a{age}", age)
    age_directories(top)


def _logs(top: Path) -> None:
    for name, age in {"a.log": 3, "b.log": 40, "sub/c.log": 5}.items():
        put(top / "tmp" / name, age)
    (top / "archive").mkdir()
    age_directories(top)


def _temp(top: Path) -> tuple[type[Any], dict[str, Any]]:
    by = {"files": ["modification"], "directories": ["modification"]}
    one = {"path": str(top / "tmp"), "age_seconds": 10 * DAY, "age_by": by, "pattern": None, "exclude": []}
    return TempCleanup, {"paths": [one | {"unit": "file"}]}


def _filesystem(top: Path) -> tuple[type[Any], dict[str, Any]]:
    one = {
        "path": str(top / "tmp"),
        "age_seconds": 10 * DAY,
        "pattern": None,
        "exclude": [],
        "min_size": 0,
        "max_files": None,
        "max_size": None,
        "keep_newest": 0,
    }
    whole = {"directory_age_seconds": DAY, "remove_empty_directories": True, "broken_links": True, "duplicates": None}
    return FilesystemCleanup, {"paths": [one], **whole}


def _logs_cleanup(top: Path) -> tuple[type[Any], dict[str, Any]]:
    config = {
        "log_paths": [f"{top}/tmp/**/*.log"],
        "retention_seconds": 30 * DAY,
        "compress": {"algorithm": "gzip", "older_than_seconds": DAY},
        "archive": None,
        "exclude": [],
    }
    return LogsCleanup, config


def _rotate(top: Path) -> tuple[type[Any], dict[str, Any]]:
    return LogsRotate, rotation_config([f"{top}/tmp/*.log"])


def _copy_truncate(top: Path) -> tuple[type[Any], dict[str, Any]]:
    return LogsRotate, rotation_config([f"{top}/tmp/*.log"], copy_truncate=True)


KINDS: Mapping[str, tuple[Callable[[Path], None], Callable[[Path], tuple[type[Any], dict[str, Any]]]]] = {
    "temp": (_tree, _temp),
    "filesystem": (_tree, _filesystem),
    "logs": (_logs, _logs_cleanup),
    "rotate": (_logs, _rotate),
    "copy-truncate": (_logs, _copy_truncate),
}


class Case:
    """One tree and what is done to it; each act in a process of its own."""

    def __init__(self, kind: str, top: Path) -> None:
        make, self._made = KINDS[kind]
        self.top = top
        make(top)
        self.before = self.look()
        self._steps = top.parent / f"{top.name}.steps"

    def look(self) -> Mapping[bytes, Entry]:
        return snapshot(self.top)

    def executor(self) -> Executor:
        kind, config = self._made(self.top)
        fields: dict[str, Any] = {"keeps_way_back": True, "mass_deletion": EVERYTHING, "low_space": 0.0, "now": NOW}
        work = Work(execution="e-1", task_name="t", config=config, timeout_seconds=None, **fields)
        made: Executor = kind(work, Talk())
        return made

    def run(self) -> dict[str, Any]:
        """Plans and runs all steps, as the daemon would: what it says, and the steps whose way back is written."""
        executor, said = self.executor(), list[Any]()
        self._steps.write_text("[]")
        try:
            plan = executor.plan()
        except (StepError, OSError) as failure:
            return {"failed": str(failure), "details": []}
        with open(self._steps, "w", encoding="utf-8") as file:
            json.dump([step_to_json(step) for step in plan.steps], file)
        for step in plan.steps:
            try:
                said.append(executor.run(step))
            except (StepError, OSError) as failure:
                said.append(getattr(failure, "details", {}))
                return {"failed": str(failure), "details": said}
        return {"details": said, "warnings": plan.warnings}

    def steps(self) -> list[Step]:
        return [step_from_json(one) for one in json.loads(self._steps.read_text())]

    def undo(self) -> dict[str, Any]:
        """Undoes all steps, as the daemon would."""
        total: dict[str, Any] = {"restored": 0, "removed": 0, "kept": [], "problems": []}
        for step in undo_order(self.steps()):
            try:
                found = self.executor().undo(step, False)
            except StepError as failure:
                found = {**failure.details, "problems": [*failure.details.get("problems", ()), failure.message]}
            total = {key: value + found.get(key, type(value)()) for key, value in total.items()}
        return total

    def purge(self) -> list[Any]:
        found = []
        for step in undo_order(self.steps()):
            try:
                found += self.executor().purge(step)["problems"]
            except StepError as failure:
                found.append(failure.message)
        return found

    def is_as_before(self) -> list[str]:
        return differences(self.before, self.look())


def _is_whole(outcome: Mapping[str, Any]) -> bool:
    return not outcome["kept"] and not outcome["problems"]


def _tells(said: Mapping[str, Any]) -> bool:
    """Whether it is said that something was not done."""
    if "failed" in said or said["warnings"]:
        return True
    return any(step.get("skipped") or step.get("problems") for step in said["details"])


def _without_trash(names: Mapping[bytes, Entry]) -> set[bytes]:
    return {name for name in names if b".jamaint-trash" not in name}


@CODES
@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_in_a_run_leaves_a_way_back(kind: str, code: int, fast: Path) -> None:
    case = Case(kind, fast / "usual")
    in_fresh_process(case.run)
    usual = _without_trash(case.look())
    number, failed = _first(kind, code), "begun"
    while failed:
        number += STRIDE
        case = Case(kind, fast / f"t{number}")
        said, failed = with_fault(case.run, code, number)
        done = case.look()
        outcome = in_fresh_process(case.undo)
        where = f"call {number} ({failed}): run said {said}; undo said {outcome}"
        assert _is_whole(outcome), where
        assert case.is_as_before() == [], where
        assert _tells(said) or _without_trash(done) == usual, where
    assert number > 10


@CODES
@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_in_an_undo_is_told_and_the_next_undo_is_whole(kind: str, code: int, fast: Path) -> None:
    number, failed = _first(kind, code), "begun"
    while failed:
        number += STRIDE
        case = Case(kind, fast / f"t{number}")
        in_fresh_process(case.run)
        first, failed = with_fault(case.undo, code, number)
        where = f"call {number} ({failed}): {first}"
        if _is_whole(first):
            assert case.is_as_before() == [], where
            continue
        again = in_fresh_process(case.undo)
        assert _is_whole(again), f"{where}; again {again}"
        assert case.is_as_before() == [], f"{where}; again {again}"
    assert number > 10


@CODES
@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_in_a_purge_is_told_and_the_next_purge_is_whole(kind: str, code: int, fast: Path) -> None:
    number, failed = _first(kind, code), "begun"
    while failed:
        number += STRIDE
        case = Case(kind, fast / f"t{number}")
        in_fresh_process(case.run)
        kept = _without_trash(case.look())
        problems, failed = with_fault(case.purge, code, number)
        there = os.path.lexists(case.top / "tmp" / ".jamaint-trash")
        assert problems or not there, f"call {number} ({failed}): nothing is told, and the trash is there"
        assert in_fresh_process(case.purge) == []
        assert set(case.look()) == kept
    assert number > 3
