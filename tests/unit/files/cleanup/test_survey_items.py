"""A stored plan of logs.cleanup: it lists each item, changes nothing, and does just that of it which is as it was."""

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from jamaint.core.plans import Item, MassDeletion
from jamaint.executors.logs_cleanup.executor import LogsCleanup
from logs_cleanup_runs import DAY, Talk, age_directories, executor, put, through_json, undo_all, work
from tree_snapshot import differences, snapshot

GZIP = {"algorithm": "gzip", "older_than_seconds": 10 * DAY}


class Kept:
    """A stored plan in memory."""

    def __init__(self, items: Iterable[tuple[str, Item]]) -> None:
        self._items = list(items)

    def items(self) -> Iterable[tuple[str, Item]]:
        return self._items


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    top = tmp_path / "logs"
    for name in ("a", "b", "deep/c", "deep/er/d"):
        put(top / f"{name}.log", 40, 500)
    put(top / "packed.log", 12, 5000)
    put(top / "young.log", 1)
    age_directories(top)
    return top


def config(top: Path) -> dict[str, object]:
    return {"log_paths": [f"{top}/**/*.log"], "compress": GZIP}


def planned(top: Path) -> Kept:
    logs = executor(**config(top))
    steps = logs.plan().steps
    found: list[tuple[str, Item]] = []
    for step in steps:
        logs.items(step, lambda item, step=step: found.append((step.name, item)))  # type: ignore[misc]
    return Kept(found)


def run(top: Path, plan: Kept, **more: object) -> tuple[LogsCleanup, list[dict[str, object]]]:
    logs = LogsCleanup(work("e-2", planned=plan, **config(top), **more), Talk())
    steps = [through_json(step) for step in logs.plan().steps]
    return logs, [logs.run(step) for step in steps]


def names(top: Path) -> list[str]:
    return sorted(str(one.relative_to(top)) for one in top.rglob("*.log*") if ".jamaint-trash" not in one.parts)


def accessed(entries: list[Path]) -> dict[str, int]:
    return {str(one): os.lstat(one).st_atime_ns for one in entries}


def test_it_lists_each_item_and_changes_nothing_access_times_included(logs: Path) -> None:
    entries = [logs, *logs.rglob("*")]  # listed once: that itself is an access where every one counts (strictatime)
    before = snapshot(logs)
    times = accessed(entries)
    found = planned(logs).items()
    assert accessed(entries) == times
    assert differences(before, snapshot(logs)) == []
    assert sorted((step, item.path) for step, item in found) == [
        ("cleanup", "a.log"),
        ("cleanup", "b.log"),
        ("cleanup", "deep/c.log"),
        ("cleanup", "deep/er/d.log"),
        ("compression", "packed.log"),
    ]
    seen = os.lstat(logs / "a.log")
    (item,) = [item for _, item in found if item.path == "a.log"]
    assert item[2:] == (seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)


def test_what_has_not_changed_is_done_and_comes_back(logs: Path) -> None:
    before, plan = snapshot(logs), planned(logs)
    maker, details = run(logs, plan)
    assert [one["files"] for one in details] == [5, 4, 1]
    assert names(logs) == ["packed.log.gz", "young.log"]
    undo_all([through_json(step) for step in maker.plan().steps], execution="e-2", **config(logs))
    assert differences(before, snapshot(logs)) == []


def test_what_has_changed_is_left_alone_one_by_one_and_nothing_else_is_touched(logs: Path) -> None:
    plan = planned(logs)
    put(logs / "a.log", 40, 700)  # another size
    os.chmod(logs / "b.log", 0o600)  # another ctime alone
    (logs / "deep/c.log").unlink()
    (logs / "deep/er/d.log").unlink()
    put(logs / "deep/er/d.log", 40, 500)  # another inode, or at least another ctime
    put(logs / "new.log", 400)  # in no plan
    _, details = run(logs, plan)
    assert [one["files"] for one in details] == [1, 0, 1]
    assert names(logs) == ["a.log", "b.log", "deep/er/d.log", "new.log", "packed.log.gz", "young.log"]
    told = {str(one["path"]).removeprefix(f"{logs}/"): one["why"] for one in details[0]["skipped"]}  # type: ignore[attr-defined]
    assert details[0]["skipped_count"] == 4
    assert sorted(told) == ["a.log", "b.log", "deep/c.log", "deep/er/d.log"]
    assert told["deep/c.log"] == "it is no longer there"
    assert told["a.log"] == "its size has changed since the plan: 504 bytes then, 714 now"
    assert told["b.log"] == "its name, owner, mode or links have changed since the plan"
    assert "since the plan" in told["deep/er/d.log"]


def test_a_directory_that_became_a_link_is_not_entered(logs: Path, tmp_path: Path) -> None:
    plan = planned(logs)
    (logs / "deep").rename(tmp_path / "outside")
    (logs / "deep").symlink_to(tmp_path / "outside")
    _, details = run(logs, plan)
    assert details[1]["files"] == 2
    assert sorted(one.name for one in (tmp_path / "outside").rglob("*.log")) == ["c.log", "d.log"]


def test_a_root_that_is_gone_is_told(logs: Path) -> None:
    plan = planned(logs)
    logs.rename(logs.parent / "elsewhere")
    _, details = run(logs, plan)
    assert details[0]["skipped_count"] == 5
    assert [one["files"] for one in details] == [0, 0, 0]


def test_the_guard_has_judged_the_plan_and_not_its_parts(logs: Path) -> None:
    plan = planned(logs)
    limit = MassDeletion(share=0.1, items=1)
    assert LogsCleanup(work(planned=plan, mass_deletion=limit, **config(logs)), Talk()).plan().refusals == ()
    assert executor(mass_deletion=limit, **config(logs)).plan().refusals != ()
