"""The record of what was taken finds out what is in the trash no more."""

import json
import os
import shutil
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from jamaint.core.plans import Step
from jamaint.executors.shared.executor import Work
from jamaint.executors.temp_cleanup.executor import TempCleanup
from jamaint.files.trash.inventory import Inventory
from logs_cleanup_runs import DAY, EVERYTHING, NOW, Talk, age_directories, put, through_json
from tree_snapshot import differences, snapshot


def temp(root: Path, host: Talk | None = None, **changes: Any) -> TempCleanup:

    by = {"files": ["modification"], "directories": ["modification"]}
    path = {"path": str(root), "age_seconds": 10 * DAY, "age_by": by, "pattern": None, "exclude": [], "unit": "file"}
    fields: dict[str, Any] = {"keeps_way_back": True, "mass_deletion": EVERYTHING, "low_space": 0.0, "now": NOW}
    fields |= changes
    config = {"paths": [path]}
    work = Work(execution="e-1", task_name="t", config=config, timeout_seconds=None, **fields)
    return TempCleanup(work, host or Talk())


def stored(blocks: Sequence[bytes], path: Path) -> Inventory:
    path.write_bytes(b"".join(len(block).to_bytes(4, "big") + block for block in blocks))
    return Inventory(os.open(path, os.O_RDONLY))


@pytest.fixture
def cleaned(tmp_path: Path) -> tuple[Path, Step, Inventory, Any]:
    """A tree with files taken by themselves, many of one directory, and a whole directory; the record."""
    root = tmp_path / "tmp"
    put(root / "one", 20)
    put(root / "young", 1)
    for number in range(20):
        put(root / "many" / f"m{number:02}", 20)
        put(root / "whole" / "deep" / f"w{number:02}", 20)
    put(root / "many" / "young", 1)
    age_directories(root)
    before, talk = snapshot(root), Talk()
    executor = temp(root, talk)
    step = through_json(executor.plan().steps[0])
    assert executor.run(step)["files"] == 41
    return root, step, stored(talk.taken_blocks, tmp_path / "record"), before


def test_all_of_it_comes_back_without_a_word(cleaned: Any) -> None:
    root, step, record, before = cleaned
    for dry_run in (True, False):
        outcome = temp(root, taken=record).undo(step, dry_run)
        assert (outcome["restored"], outcome["problems"], outcome.get("missing")) == (41, [], None)
    assert differences(before, snapshot(root)) == []


def test_removed_trash_is_told(cleaned: Any) -> None:
    root, step, record, _ = cleaned
    shutil.rmtree(root / ".jamaint-trash")
    for dry_run in (True, False):
        outcome = temp(root, taken=record).undo(step, dry_run)
        assert outcome["restored"] == 0
        (problem,) = outcome["problems"]
        assert "41 of 41 files are not in the trash any more: they cannot be put back: " in problem["why"]
        assert outcome["missing"] == [problem]


@pytest.mark.parametrize("name", ["one", "m07", "w07"])
def test_thinned_trash_is_told_by_name(cleaned: Any, name: str) -> None:
    root, step, record, _ = cleaned
    (found,) = (root / ".jamaint-trash").rglob(name)
    found.unlink()
    for dry_run in (True, False):
        outcome = temp(root, taken=record).undo(step, dry_run)
        assert outcome["restored"] == 40
        (problem,) = outcome["problems"]
        assert problem["why"].startswith("1 of 41 files is not in the trash any more")
        assert problem["why"].endswith(name)


@pytest.mark.parametrize("name", ["one", "m07", "w07"])
@pytest.mark.parametrize("how", ["edited", "edited in its size", "replaced"])
def test_file_changed_in_the_trash_is_told_by_name(cleaned: Any, tmp_path: Path, name: str, how: str) -> None:
    root, step, record, _ = cleaned
    (found,) = (root / ".jamaint-trash").rglob(name)
    before = found.stat()
    if how == "replaced":  # by one of the same size and times
        other = tmp_path / "other"
        other.write_bytes(bytes(before.st_size))
        os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
        other.rename(found)
    elif how == "edited":
        found.write_bytes(bytes(before.st_size))
    else:
        found.write_bytes(bytes(before.st_size + 1))
        os.utime(found, ns=(before.st_atime_ns, before.st_mtime_ns))
    for dry_run in (True, False):
        outcome = temp(root, taken=record).undo(step, dry_run)
        assert outcome["restored"] == 41
        (problem,) = outcome["problems"]
        assert problem["why"].startswith("1 of 41 files was edited or replaced in the trash")
        assert problem["why"].endswith(name)
        assert outcome["missing"] == [problem]


def test_record_without_sizes_and_times_is_compared_by_inode(cleaned: Any, tmp_path: Path) -> None:
    root, step, record, before = cleaned
    key = ("e-1", step.name, str(root))
    parts = [(part.rel, part.names, part.inodes) for part in record.parts(key)]
    assert parts
    former = zlib.compress(json.dumps([list(key), parts]).encode("ascii"))
    outcome = temp(root, taken=stored([former], tmp_path / "former")).undo(step, False)
    assert (outcome["restored"], outcome["problems"]) == (41, [])
    assert differences(before, snapshot(root)) == []


def test_another_file_in_the_place_of_a_missing_one_is_told(cleaned: Any) -> None:
    root, step, record, _ = cleaned
    (root / "other").write_text("other")
    (found,) = (root / ".jamaint-trash").rglob("one")
    found.unlink()
    (root / "other").rename(root / "one")
    (problem,) = temp(root, taken=record).undo(step, False)["problems"]
    assert problem["why"].endswith("put back: one")


def test_what_was_recorded_and_never_taken_is_in_its_place(tmp_path: Path) -> None:
    root = tmp_path / "tmp"
    put(root / "one", 20)
    put(root / "young", 1)
    talk = Talk()
    executor = temp(root, talk)
    step = through_json(executor.plan().steps[0])
    executor.run(step)
    record = stored(talk.taken_blocks, tmp_path / "record")
    assert temp(root, taken=record).undo(step, False)["problems"] == []
    assert temp(root, taken=record).undo(step, False)["problems"] == []


def test_a_record_that_cannot_be_read_is_told(cleaned: Any, tmp_path: Path) -> None:
    root, step, _, _ = cleaned
    outcome = temp(root, taken=stored([b"nonsense"], tmp_path / "bad")).undo(step, False)
    assert outcome["restored"] == 41
    assert "cannot be compared with what was taken" in outcome["problems"][0]["why"]


@pytest.mark.parametrize("more", [b"\0", b"\0\0\0\x09", b"\0\0\0\x09half"])
def test_record_whose_last_block_a_kill_cut_short_is_read_up_to_there(
    cleaned: Any, tmp_path: Path, more: bytes
) -> None:
    root, step, _, before = cleaned
    with (tmp_path / "record").open("ab") as file:
        file.write(more)
    record = Inventory(os.open(tmp_path / "record", os.O_RDONLY))
    outcome = temp(root, taken=record).undo(step, False)
    assert (outcome["restored"], outcome["problems"]) == (41, [])
    assert differences(before, snapshot(root)) == []
