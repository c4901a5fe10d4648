"""What is in use stays, whichever executor looks; and where nobody can tell what is, nothing is touched."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jamaint.executors.cache_cleanup.executor import CacheCleanup
from jamaint.executors.filesystem_cleanup.executor import FilesystemCleanup
from jamaint.executors.logs_cleanup.executor import LogsCleanup
from jamaint.executors.shared.executor import Executor, StepError, Work
from jamaint.executors.temp_cleanup.executor import TempCleanup
from jamaint.files.use.open_files import ADDRESS
from logs_cleanup_runs import DAY, EVERYTHING, NOW, Talk, age_directories, put, through_json
from logs_cleanup_runs import work as work_for_logs
from logs_rotate_runs import rotation_config, rotator
from tree_snapshot import differences, snapshot

OLD = {"files": ["modification"], "directories": ["modification"]}


def _work(config: dict[str, Any]) -> Work:
    return Work(
        execution="e-1",
        task_name="t",
        config=config,
        timeout_seconds=None,
        keeps_way_back=True,
        mass_deletion=EVERYTHING,
        low_space=0.0,
        now=NOW,
    )


def _files(path: Path) -> dict[str, Any]:
    one = {"path": str(path), "pattern": None, "age_seconds": 10 * DAY, "min_size": 0, "max_size": None}
    one |= {"max_files": None, "keep_newest": 0, "exclude": [], "age_by": None, "mount": False}
    whole: dict[str, Any] = {"remove_empty_directories": True, "broken_links": False, "duplicates": None}
    return whole | {"directory_age_seconds": DAY, "paths": [one]}


def _temp(path: Path) -> Executor:
    one = {"path": str(path), "age_seconds": 10 * DAY, "age_by": OLD, "pattern": None, "exclude": [], "unit": "file"}
    return TempCleanup(_work({"paths": [one | {"mount": False}]}), Talk())


def _cache(path: Path) -> Executor:
    return CacheCleanup(_work({"redis": None, "memcached": None, "directories": _files(path)}), Talk())


MAKERS: dict[str, Callable[[Path], Executor]] = {
    "temp": _temp,
    "filesystem": lambda path: FilesystemCleanup(_work(_files(path)), Talk()),
    "cache": _cache,
    "logs": lambda path: LogsCleanup(
        work_for_logs(log_paths=[f"{path}/*"], compress={"after_seconds": DAY, "algorithm": "gzip"}), Talk()
    ),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    put(tmp_path / "r" / "disk.img", 40, b"\0" * 65536)
    put(tmp_path / "r" / "old", 40)
    put(tmp_path / "r" / "older.log", 20)
    age_directories(tmp_path / "r")
    return tmp_path / "r"


@pytest.fixture
def attached(root: Path) -> Iterator[Path]:
    """The image, attached to a loop device for reading, as `mount -o loop,ro` has it."""
    image = root / "disk.img"
    command = ["losetup", "--find", "--show", "--read-only", str(image)]
    try:
        made = subprocess.run(command, capture_output=True, check=False, text=True)
    except FileNotFoundError:
        pytest.skip("losetup is not installed")
    if made.returncode:
        pytest.skip(f"no loop device can be made here: {made.stderr.strip()}")
    yield image
    subprocess.run(["losetup", "--detach", made.stdout.strip()], check=True)


def _run(executor: Executor) -> list[dict[str, Any]]:
    return [executor.run(through_json(step)) for step in executor.plan().steps]


@pytest.mark.parametrize("name", MAKERS)
def test_image_of_a_loop_device_stays(name: str, attached: Path) -> None:
    details = _run(MAKERS[name](attached.parent))
    assert os.listdir(attached.parent).count("disk.img") == 1
    assert not (attached.parent / "old").exists()
    whys = {item["path"]: item["why"] for one in details for item in one.get("skipped", ())}
    assert whys[str(attached)] == "a loop device uses it"


def test_image_of_a_loop_device_is_not_copied_and_truncated(attached: Path) -> None:
    executor = rotator(rotation_config([str(attached)], copy_truncate=True, force=True))
    for step in executor.plan().steps:
        try:
            executor.run(through_json(step))
        except StepError:
            continue
    assert attached.stat().st_size == 65536


@pytest.mark.parametrize("name", MAKERS)
def test_plan_is_refused_where_nobody_can_tell(name: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ADDRESS, f"{root}/../none.sock")
    with pytest.raises(StepError, match="nobody can tell which files are in use, so none is touched") as refusal:
        MAKERS[name](root).plan()
    assert refusal.value.kind == "refused"


@pytest.mark.parametrize("name", MAKERS)
def test_step_is_refused_where_nobody_can_tell_any_more(name: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = MAKERS[name](root)
    step = next(step for step in executor.plan().steps if step.items and step.name != "analysis")
    before = snapshot(root)
    monkeypatch.setenv(ADDRESS, f"{root}/../none.sock")
    with pytest.raises(StepError, match="nobody can tell"):
        executor.run(through_json(step))
    assert differences(before, snapshot(root)) == []
    monkeypatch.delenv(ADDRESS)
    details = executor.run(through_json(step))
    monkeypatch.setenv(ADDRESS, f"{root}/../none.sock")
    assert executor.purge(through_json(step))["freed_space"] == details["freed_on_purge"] > 0, "a purge decides nothing"
