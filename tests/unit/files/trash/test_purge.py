"""A purge empties the trash of one step, follows nothing, and tells what the disk got back."""

import os
from pathlib import Path
from typing import Any

import pytest

from jamaint.core.plans import undo_order
from jamaint.executors.shared.executor import StopRequestedError
from logs_cleanup_runs import DAY, Talk, executor, put, run_all
from tree_snapshot import differences, snapshot


def tree(top: Path) -> Path:
    root = top / "logs"
    for number in range(3):
        put(root / "s" / f"old{number}.log", 40, 9000)
        put(root / f"mid{number}.log", 20, 90_000)
    return root


def config(root: Path) -> dict[str, Any]:
    compress = {"algorithm": "gzip", "older_than_seconds": 10 * DAY}
    return {"log_paths": [f"{root}/**/*.log"], "compress": compress}


def test_what_is_told_beforehand_is_what_comes_free(tmp_path: Path) -> None:
    root = tree(tmp_path)
    steps, details = run_all(executor(**config(root)))
    before = snapshot(root / "s")
    for step in undo_order(steps):
        host = Talk()
        freed = executor(host, **config(root)).purge(step)
        assert freed["freed_space"] == details[step.name]["freed_on_purge"] > 0
        assert freed["problems"] == []
        assert host.progressed
        assert executor(**config(root)).purge(step) == {"freed_space": 0, "items": 0, "problems": []}
    assert not (root / ".jamaint-trash").exists()
    assert sorted(path.name for path in root.iterdir()) == ["mid0.log.gz", "mid1.log.gz", "mid2.log.gz", "s"]
    assert differences(before, snapshot(root / "s")) == []
    assert {path.stat().st_nlink for path in root.glob("*.gz")} == {1}


def test_a_second_name_elsewhere_keeps_the_space(tmp_path: Path) -> None:
    root = tree(tmp_path)
    steps, details = run_all(executor(log_paths=[f"{root}/**/old*"]))
    os.link(root / ".jamaint-trash/e-1/cleanup/gone/s/old0.log", tmp_path / "kept")
    purged = executor().purge(steps[1])
    one = (tmp_path / "kept").stat().st_blocks * 512
    assert purged["freed_space"] == details["cleanup"]["freed_on_purge"] - one


def test_a_trash_with_another_execution_stays_with_the_roots_times(tmp_path: Path) -> None:
    root = tree(tmp_path)
    first, _ = run_all(executor(log_paths=[f"{root}/**/old0*"]))
    second, _ = run_all(executor(execution="e-2", log_paths=[f"{root}/**/old1*"]))
    os.utime(root, ns=(1, 2))
    executor().purge(first[1])
    assert os.listdir(root / ".jamaint-trash") == ["e-2"]
    executor(execution="e-2").purge(second[1])
    assert not (root / ".jamaint-trash").exists()
    assert root.stat().st_mtime_ns == 2


def test_links_in_the_trash_are_removed_and_not_followed(tmp_path: Path) -> None:
    root = tree(tmp_path)
    steps, _ = run_all(executor(log_paths=[f"{root}/**/old*"]))
    gone = root / ".jamaint-trash/e-1/cleanup/gone"
    (gone / "s" / "link").symlink_to(root)
    (gone / "link").symlink_to("/etc/passwd")
    (gone / "stranger").mkdir()
    put(gone / "stranger" / "file", 1)
    purged = executor().purge(steps[1])
    assert purged["items"] == 5
    assert (root / "mid0.log").exists()
    assert [item["path"] for item in purged["problems"]] == [f"{root}/stranger"]
    assert (gone / "stranger" / "file").exists()


def test_it_stops_at_a_safe_point_and_goes_on_later(tmp_path: Path) -> None:
    root = tree(tmp_path)
    for number in range(1500):
        put(root / f"n{number}.log", 40, 1)
    steps, _ = run_all(executor(log_paths=[f"{root}/n*.log"]))
    with pytest.raises(StopRequestedError):
        executor(Talk(stop_after=1)).purge(steps[1])
    assert 0 < len(os.listdir(root / ".jamaint-trash/e-1/cleanup/gone")) < 1500
    executor().purge(steps[1])
    assert not (root / ".jamaint-trash").exists()


def test_a_root_that_is_away_keeps_its_trash_and_is_told(tmp_path: Path) -> None:
    root = tree(tmp_path)
    steps, _ = run_all(executor(log_paths=[f"{root}/**/old*"]))
    root.rename(tmp_path / "elsewhere")
    purged = executor().purge(steps[1])
    assert (purged["freed_space"], purged["items"]) == (0, 0)
    assert [item["path"] for item in purged["problems"]] == [str(root)]
    (tmp_path / "elsewhere").rename(root)
    assert executor().purge(steps[1])["items"] == 3
