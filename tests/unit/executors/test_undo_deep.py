"""An undo reaches as far down as taking does, and one part that cannot be reached keeps no other from coming back."""

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_temp import left, run, temp

from jamaint.files.access.directory_cursor import Descent, Level
from logs_cleanup_runs import NOW, age_directories, executor, grow_old, put, run_all, undo_all
from tree_snapshot import differences, snapshot

DEPTH = 1940
"""Levels of a path as long as is taken (3,900 bytes)."""


@pytest.fixture
def deep_path(tmp_path: Path) -> Iterator[Path]:
    """A directory that is emptied at the end: pytest's own removal recurses."""
    yield tmp_path
    subprocess.run(["rm", "-rf", tmp_path], check=True)


def deep(root: Path, names: tuple[str, ...], depth: int) -> None:
    """Directories of one letter, one in the other, with old files of these names and a young one in the last."""
    root.mkdir(parents=True, exist_ok=True)
    fd = os.open(root, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", 0o755, dir_fd=fd)
        inner = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    for name in (*names, "young"):
        with os.fdopen(os.open(name, os.O_CREAT | os.O_WRONLY, 0o640, dir_fd=fd), "wb") as file:
            file.write(b"a line\n" * 30)
        age = 1 if name == "young" else 40 * 86400
        when = int(NOW.timestamp()) - age
        os.utime(name, (when, when), dir_fd=fd)
    os.close(fd)


def names_at(root: Path, depth: int) -> list[str]:
    """The names in the last directory."""
    fd = os.open(root, os.O_RDONLY)
    for _ in range(depth):
        inner = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    try:
        return sorted(os.listdir(fd))
    finally:
        os.close(fd)


@pytest.mark.parametrize("count", [1, 9], ids=["mirror", "shards"])
def test_undo_reaches_as_deep_as_taking(deep_path: Path, count: int) -> None:
    root, names = deep_path / "tmp", tuple(f"old{n}" for n in range(count))
    deep(root, names, DEPTH)
    step, details = run(temp({"path": str(root)}))
    assert (details["files"], details["problems"], names_at(root, DEPTH)) == (count, [], ["young"])
    said = temp().undo(step, True)
    assert (said["restored"], said["problems"]) == (count, [])
    outcome = temp().undo(step, False)
    assert (outcome["restored"], outcome["kept"], outcome["problems"]) == (count, [], [])
    assert names_at(root, DEPTH) == [*names, "young"]
    assert os.listdir(root) == ["d"]


def test_undo_makes_a_deep_tree_again(deep_path: Path) -> None:
    root = deep_path / "tmp"
    deep(root, ("old",), 300)
    step, _ = run(temp({"path": str(root)}))
    shutil.rmtree(root / "d")
    outcome = temp().undo(step, False)
    assert (outcome["restored"], outcome["kept"], outcome["problems"]) == (1, [], [])
    assert names_at(root, 300) == ["old"]


def test_undo_of_one_deep_tree_brings_everybody_back(deep_path: Path) -> None:
    root = deep_path / "tmp"
    for number in range(60):
        put(root / "alice" / f"a{number:02}", 20)
    put(root / "alice" / "young", 1)
    put(root / "carol" / "data", 20)
    deep(root / "mallory", ("old",), 1101)
    age_directories(root / "alice")
    step, details = run(temp({"path": str(root)}))
    assert details["files"] == 62
    outcome = temp().undo(step, False)
    assert (outcome["restored"], outcome["kept"], outcome["problems"]) == (62, [], [])
    assert len(os.listdir(root / "alice")) == 61


def test_undo_removes_what_was_made_in_a_deep_tree(tmp_path: Path) -> None:
    root = tmp_path / "logs"
    top = root / "/".join(["d"] * 60)  # as deep as log paths are looked for
    put(top / "a.log", 10)
    age_directories(root)
    before = snapshot(root)
    compress = {"algorithm": "gzip", "older_than_seconds": 86400.0}
    steps, _ = run_all(executor(log_paths=[f"{root}/**/*.log"], compress=compress))
    assert os.listdir(top) == ["a.log.gz"]
    outcome = undo_all(steps)
    assert (outcome["restored"], outcome["removed"], outcome["problems"]) == (1, 1, [])
    assert differences(before, snapshot(root)) == []


def test_a_part_that_cannot_be_reached_keeps_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "tmp"
    for name in ("a", "b", "c", "d"):
        put(root / name / "old", 20)
        put(root / name / "young", 1)
    age_directories(root)
    grow_old(root, 100)
    before = snapshot(root)
    step, _ = run(temp({"path": str(root)}))
    enter = Descent.enter

    def failing(self: Descent, name: str) -> Level:
        if name == "b":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return enter(self, name)

    with monkeypatch.context() as patched:
        patched.setattr(Descent, "enter", failing)
        outcome: dict[str, Any] = temp().undo(step, False)
    assert (outcome["restored"], {one["path"] for one in outcome["problems"]}) == (3, {str(root / "b")})
    assert "stays in the trash" in outcome["problems"][0]["why"]
    assert left(root) >= {"a/old", "c/old", "d/old"}
    again = temp().undo(step, False)
    assert (again["restored"], again["problems"]) == (1, [])
    assert differences(before, snapshot(root)) == []


def test_a_root_that_cannot_be_reached_keeps_no_other(tmp_path: Path) -> None:
    roots = [tmp_path / name for name in ("a", "b")]
    for root in roots:
        put(root / "old", 20)
        put(root / "young", 1)
    step, _ = run(temp(*({"path": str(root)} for root in roots)))
    os.chmod(roots[0] / ".jamaint-trash", 0o755)
    outcome = temp().undo(step, False)
    assert (outcome["restored"], len(outcome["problems"])) == (1, 1)
    assert (roots[1] / "old").exists()
