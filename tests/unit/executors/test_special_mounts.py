"""Read-only disks, file systems without modes, trashes that cannot be made: the plan foresees them, others go on."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from test_filesystem import cleanup, left, run, through_json

from jamaint.core.purges import FreeSpace
from jamaint.executors.shared.executor import StepError
from jamaint.files.rules.trash_room import RootSpace, trash_room
from jamaint.files.trash import obstacles
from logs_cleanup_runs import DAY, executor, put
from logs_rotate_runs import rotate, rotation_config, rotator

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
OLD = {"age_seconds": 10 * DAY, "age_by": {"files": ["modification"], "directories": ["modification"]}}


@contextmanager
def read_only(top: Path) -> Iterator[None]:
    """A mount of its own, with what is in it, that nobody may write to."""
    done = []
    try:
        for words in (("--bind", top, top), ("-o", "remount,bind,ro", top)):
            if subprocess.run(["mount", *words], check=False, capture_output=True).returncode:
                pytest.skip("nothing can be mounted here")
            done.append(words)
        yield
    finally:
        if done:
            subprocess.run(["umount", top], check=True)


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("ro", "rw"):
        put(tmp_path / name / "srv" / "old.log", 40)
    return tmp_path / "ro", tmp_path / "rw" / "srv"


@needs_root
def test_read_only_root_is_foreseen_and_harms_no_other(two: tuple[Path, Path]) -> None:
    bad, good = two
    with read_only(bad):
        cleaner = cleanup(*({"path": str(path), **OLD} for path in (bad / "srv", good)))
        plan = cleaner.plan()
        (warning,) = plan.warnings
        why = "is on a file system that is mounted read-only: nothing is done there until it is mounted writable"
        assert warning == f"{bad}/srv {why}"
        assert plan.steps[0].items == 1
        details = cleaner.run(through_json(plan.steps[0]))
        assert (details["files"], details["problems"]) == (1, [])
    assert (left(bad), left(good)) == ({"srv/old.log"}, set())


@needs_root
@pytest.mark.parametrize("keeps", [True, False])
def test_read_only_root_alone_is_refused_also_without_a_way_back(two: tuple[Path, Path], keeps: bool) -> None:
    with read_only(two[0]), pytest.raises(StepError, match="mounted read-only") as told:
        cleanup({"path": str(two[0] / "srv"), **OLD}, keeps_way_back=keeps).plan()
    assert told.value.kind == "refused"


@needs_root
def test_logs_on_a_read_only_disk(two: tuple[Path, Path]) -> None:
    bad, good = two
    paths = [f"{bad}/srv/*.log", f"{good}/*.log"]
    with read_only(bad):
        plan = executor(log_paths=paths).plan()
        assert [warning for warning in plan.warnings if "mounted read-only" in warning] == list(plan.warnings)
        assert sum(step.items for step in plan.steps if step.name == "cleanup") == 1
        rotating = rotator(rotation_config(paths))
        assert any(
            f"{bad}/srv is on a file system that is mounted read-only" in one for one in rotating.plan().warnings
        )
        _, details = rotate(rotator(rotation_config(paths)))
        assert (details["rotation"]["files"], details["rotation"]["problems"]) == (1, [])
    assert left(bad) == {"srv/old.log"}


def test_trash_that_somebody_else_made_is_foreseen(tmp_path: Path) -> None:
    put(tmp_path / "a" / "old", 40)
    put(tmp_path / "b" / "old", 40)
    (tmp_path / "a" / ".jamaint-trash").symlink_to(tmp_path)
    cleaner = cleanup(*({"path": str(tmp_path / name), **OLD} for name in ("a", "b")))
    plan, (details,) = run(cleaner)
    told = f"{tmp_path}/a/.jamaint-trash is not a directory of ours alone"
    assert sum(told in warning for warning in plan.warnings) == 1, plan.warnings
    assert (details["files"], details["problems"]) == (1, [])
    assert (left(tmp_path / "a"), left(tmp_path / "b")) == ({"old"}, set())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_root_that_may_not_be_written_is_foreseen(tmp_path: Path) -> None:
    put(tmp_path / "a" / "old", 40)
    (tmp_path / "a").chmod(0o555)
    with pytest.raises(StepError, match="may not be written by uid"):
        cleanup({"path": str(tmp_path / "a"), **OLD}).plan()


@needs_root
@pytest.mark.parametrize(
    ("kind", "mode", "expected"),
    [
        ("vfat", "755", "keeps no modes or owners: a trash there would be open to others; set `rollback"),
        ("fuseblk", "755", "may keep no modes or owners, as it is mounted"),
        ("ext4", "755", ""),
    ],
)
def test_file_system_without_modes_is_foreseen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, mode: str, expected: str
) -> None:
    """Every mode is that of the mount, as bindfs can have it; the name of the type is as the kernel would give it."""
    if shutil.which("bindfs") is None or not os.path.exists("/dev/fuse"):
        pytest.skip("needs bindfs and /dev/fuse")
    for name in ("source", "mounted"):
        (tmp_path / name).mkdir()
    put(tmp_path / "source" / "old", 40)
    words = ["bindfs", "-p", mode, "--chmod-ignore", "--force-user=root", tmp_path / "source", tmp_path / "mounted"]
    if subprocess.run(words, check=False, capture_output=True).returncode:
        pytest.skip("bindfs cannot mount here")
    try:
        monkeypatch.setattr(obstacles, "kind_of", lambda _path: kind)
        found = obstacles.look_at(str(tmp_path / "mounted"))
        assert expected in found.unfit + found.doubt
        assert bool(found.unfit) == (kind == "vfat")
        assert os.listdir(tmp_path / "source") == ["old"]
    finally:
        subprocess.run(["umount", tmp_path / "mounted"], check=True)


def test_what_stands_against_a_trash_is_said_once_and_only_where_something_goes() -> None:
    space = FreeSpace(10**9, 10**10, 0, 0)

    def decided(files: int, keeps: bool = True, **against: Any) -> Any:
        one = RootSpace("/srv/a", files, space, **against)
        return trash_room([one], keeps=keeps, low_space=0.0, when_full="keep")

    assert decided(3, unfit="no modes").refused == {"/srv/a": "no modes"}
    assert decided(3, keeps=False, unfit="no modes").refused == {}
    assert decided(0, unfit="no modes", doubt="perhaps", read_only=True).refused == {}
    assert decided(3, doubt="perhaps").warnings == ["perhaps"]
    assert decided(3, keeps=False, doubt="perhaps").warnings == []
    assert list(decided(3, keeps=False, read_only=True).refused) == ["/srv/a"]
