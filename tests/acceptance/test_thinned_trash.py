"""A trash that somebody has removed or thinned: the rollback says so, names what is missing, and is no whole one."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_line import Scene, scene


@pytest.fixture
def place(database: str) -> Iterator[Scene]:
    with scene(database) as found:
        yield found


def old_files(directory: Path, names: tuple[str, ...]) -> Path:
    directory.mkdir(mode=0o755)
    for name in names:
        (directory / name).write_text("x\n")
        os.utime(directory / name, (1_600_000_000, 1_600_000_000))
    return directory


def configure(place: Scene, root: Path) -> None:
    task = {
        "executor": "filesystem.cleanup",
        "config": {"paths": [{"path": str(root), "age": "30d", "age_by": ["modification"]}]},
        "mass_deletion": {"share": "100%", "items": 1000},
    }
    place.configure(tasks={"t": task})


def test_removed_trash(place: Scene) -> None:
    root = old_files(place.directory / "k1", ("f1", "f2", "f3"))
    configure(place, root)
    with place.serving():
        assert place.ctl("execute", "t").returncode == 0
        assert [name for name in os.listdir(root) if name.startswith("f")] == []
        shutil.rmtree(root / ".jamaint-trash")
        said = place.ctl("rollback", "last", "--dry-run")
        assert "3 of 3 files are not in the trash any more: they cannot be put back: f" in said.stdout
        for _ in range(2):  # also when it is asked for again
            done = place.ctl("rollback", "last")
            assert done.returncode == 1
            assert "3 of 3 files are not in the trash any more: they cannot be put back: f" in done.stdout
        shown = place.json("execution", "show", "last")
        assert (shown["status"], shown["rollback_point"]["status"]) == ("completed", "incomplete")


def test_thinned_trash(place: Scene) -> None:
    root = old_files(place.directory / "k1", ("f1", "f2", "f3", "f4"))
    configure(place, root)
    with place.serving():
        assert place.ctl("execute", "t").returncode == 0
        (found,) = (root / ".jamaint-trash").rglob("f2")
        found.unlink()
        done = place.ctl("rollback", "last")
        assert done.returncode == 1
        assert "1 of 4 files is not in the trash any more: it cannot be put back: f2" in done.stdout
        assert "3 files put back" in done.stdout
        (root / "f1").unlink()  # somebody goes on working: that is not missing
        again = place.ctl("rollback", "last")
        assert "1 of 4 files is" in again.stdout
        assert "f1" not in again.stdout.replace(place.json("execution", "show", "last")["id"][:8], "")


def test_whole_trash_says_nothing(place: Scene) -> None:
    root = old_files(place.directory / "k1", ("f1", "f2"))
    configure(place, root)
    with place.serving():
        assert place.ctl("execute", "t").returncode == 0
        done = place.ctl("rollback", "last")
        assert (done.returncode, place.json("execution", "show", "last")["status"]) == (0, "rolled_back")


def test_nothing_is_taken_that_cannot_be_recorded(place: Scene) -> None:
    root = old_files(place.directory / "k1", ("f1", "f2", "f3"))
    configure(place, root)
    with place.serving():
        taken = place.directory / "state" / "taken"
        taken.write_text("in the way")
        done = place.ctl("execute", "t")
        assert done.returncode == 1
        assert "nothing more is taken, for what is taken cannot be recorded in the state directory" in done.stdout
        assert sorted(name for name in os.listdir(root) if name.startswith("f")) == ["f1", "f2", "f3"]
        taken.unlink()
        assert place.ctl("execute", "t").returncode == 0
        assert place.ctl("rollback", "last").returncode == 0
    assert sorted(name for name in os.listdir(root) if name.startswith("f")) == ["f1", "f2", "f3"]
