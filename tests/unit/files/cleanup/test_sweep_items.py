"""A stored plan of what is cleaned by age: it lists each item, and does just that of it which is as it was."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from jamaint.core.plans import Item, MassDeletion
from jamaint.executors.filesystem_cleanup.executor import FilesystemCleanup
from jamaint.executors.shared.executor import Itemised, Work
from jamaint.executors.system_cleanup.executor import SystemCleanup
from jamaint.executors.temp_cleanup.executor import TempCleanup
from logs_cleanup_runs import DAY, EVERYTHING, NOW, Talk, age_directories, put, through_json
from tree_snapshot import differences, snapshot

MODIFIED = {"files": ["modification"], "directories": ["modification"]}


class Kept:
    """A stored plan in memory."""

    def __init__(self, items: Iterable[tuple[str, Item]]) -> None:
        self._items = list(items)

    def items(self) -> Iterable[tuple[str, Item]]:
        return self._items


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "tree"
    for name in ("a", "b", "whole/c", "whole/deep/d", "mixed/e", "mixed/old/f", ".hidden"):
        put(top / name, 40, 500)
    put(top / "mixed/young", 1)
    (top / "mixed/link").symlink_to("young")
    os.utime(top / "mixed/link", (0, 0), follow_symlinks=False)
    (top / "empty").mkdir()
    age_directories(top)
    return top


def work(config: dict[str, Any], **changes: Any) -> Work:
    fields: dict[str, Any] = {"mass_deletion": EVERYTHING, "low_space": 0.0, "keeps_way_back": True} | changes
    return Work(execution="e-1", task_name="t", config=config, timeout_seconds=None, now=NOW, **fields)


def temp(top: Path, days: int = 10, **changes: Any) -> TempCleanup:
    path = {"path": str(top), "age_seconds": days * DAY, "age_by": MODIFIED, "pattern": None, "exclude": []}
    return TempCleanup(work({"paths": [path | {"unit": changes.pop("unit", "file")}]}, **changes), Talk())


def filesystem(top: Path, **changes: Any) -> FilesystemCleanup:
    path: dict[str, Any] = {"path": str(top), "pattern": None, "age_seconds": None, "min_size": 0, "max_size": None}
    path |= {"max_files": changes.pop("max_files", 1), "keep_newest": 0, "exclude": []}
    whole: dict[str, Any] = {"remove_empty_directories": True, "broken_links": False, "duplicates": "remove"}
    return FilesystemCleanup(work(whole | {"directory_age_seconds": DAY, "paths": [path]}, **changes), Talk())


def planned(executor: Itemised) -> Kept:
    found: list[tuple[str, Item]] = []
    for step in executor.plan().steps:  # type: ignore[attr-defined]
        name = step.name

        def tell(item: Item, part: str = "", name: str = name) -> None:
            found.append((f"{name}/{part}" if part else name, item))

        executor.items(step, tell)
    return Kept(found)


def paths(plan: Kept) -> list[str]:
    return sorted(item.path for _, item in plan.items())


def left(top: Path) -> set[str]:
    names = {f"{path.relative_to(top)}{'/' * (path.is_dir() and not path.is_symlink())}" for path in top.rglob("*")}
    return {name for name in names if ".jamaint-trash" not in name}


def carried_out(executor: Any) -> tuple[list[Any], list[dict[str, Any]]]:
    steps = [through_json(step) for step in executor.plan().steps]
    return steps, [executor.run(step) for step in steps]


WHOLE = ["empty/", "whole/", "whole/c", "whole/deep/", "whole/deep/d"]
SINGLE = [".hidden", "a", "b", "mixed/e", "mixed/link", "mixed/old/", "mixed/old/f"]


def test_it_lists_each_item_and_changes_nothing_access_times_included(tree: Path) -> None:
    before = snapshot(tree)
    times = {path: os.lstat(path).st_atime_ns for path in [tree, *tree.rglob("*")]}
    plan = planned(temp(tree))
    assert {path: os.lstat(path).st_atime_ns for path in times} == times
    assert differences(before, snapshot(tree)) == []
    assert paths(plan) == sorted(WHOLE + SINGLE)
    order = [item.path for _, item in plan.items()]
    assert order.index("whole/deep/d") < order.index("whole/deep/") < order.index("whole/")
    seen = os.lstat(tree / "whole/c")
    (item,) = [item for _, item in plan.items() if item.path == "whole/c"]
    assert item[2:] == (seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)


@pytest.mark.parametrize("keeps", [True, False], ids=["trash", "direct"])
def test_what_has_not_changed_goes_also_when_the_rule_would_not_take_it_any_more(tree: Path, keeps: bool) -> None:
    before, plan = snapshot(tree), planned(temp(tree))
    put(tree / "new", 400)  # old enough, and in no plan
    steps, (details,) = carried_out(temp(tree, days=4000, planned=plan, keeps_way_back=keeps))
    assert (details["files"], details["skipped_count"]) == (8, 0)
    assert left(tree) == {"mixed/", "mixed/young", "new"}
    assert details["kept_by"] == {"not in the plan": 2}
    if keeps:
        assert temp(tree).undo(steps[0], False)["problems"] == []
        (tree / "new").unlink()
        assert [one for one in differences(before, snapshot(tree)) if not one.startswith("b'.'")] == []


def test_what_has_changed_is_left_alone_one_by_one_and_nothing_else_is_touched(tree: Path) -> None:
    plan = planned(temp(tree))
    put(tree / "a", 40, 700)  # another size
    os.chmod(tree / "b", 0o600)  # another ctime alone
    (tree / "mixed/e").unlink()
    put(tree / "whole/deep/new", 40)  # in no plan, and the directories that it is in can go no more
    _, (details,) = carried_out(temp(tree, planned=plan))
    told = {one["path"].removeprefix(f"{tree}/"): one["why"] for one in details["skipped"]}
    assert sorted(told) == ["a", "b", "mixed/e", "whole/deep"]
    assert told["a"] == "its size has changed since the plan: 504 bytes then, 714 now"
    assert told["b"] == "its name, owner, mode or links have changed since the plan"
    assert told["mixed/e"] == "it is no longer there"
    assert "since the plan" in told["whole/deep"]  # its time or, on tmpfs, its size
    assert left(tree) == {"a", "b", "mixed/", "mixed/young", "whole/", "whole/deep/", "whole/deep/new"}


def test_a_directory_that_is_a_unit_is_listed_with_all_in_it(tree: Path) -> None:
    plan = planned(temp(tree, unit="directory"))
    assert paths(plan) == sorted([*WHOLE, ".hidden", "a", "b"])
    carried_out(temp(tree, planned=plan))
    assert left(tree) == {"mixed/", "mixed/young", "mixed/link", "mixed/e", "mixed/old/", "mixed/old/f"}


def test_names_of_one_file_go_together(tree: Path) -> None:
    os.link(tree / "a", tree / "mixed/other")
    os.link(tree / "a", tree / "third")
    plan = planned(temp(tree))
    carried_out(temp(tree, planned=plan))
    assert left(tree) == {"mixed/", "mixed/young"}


def test_limits_and_duplicates_go_by_the_plan(tmp_path: Path) -> None:
    top = tmp_path / "uploads"
    for number in range(4):
        put(top / f"{number}", 40 - number, b"the same" if number > 1 else f"{number}".encode())
    age_directories(top)
    plan = planned(filesystem(top))
    assert [step for step, _ in plan.items()] == ["cleanup"] * 3
    put(top / "5", 1)
    _, details = carried_out(filesystem(top, planned=plan))
    assert ([one["files"] for one in details], left(top)) == ([3, 0], {"3", "5"})


def test_a_duplicate_of_the_plan_whose_older_one_has_gone_stays(tmp_path: Path) -> None:
    top = tmp_path / "uploads"
    for number, content in enumerate((b"one", b"one", b"two", b"two")):
        put(top / f"{number}", 9 - number, content)
    age_directories(top)
    plan = planned(filesystem(top, max_files=4))
    assert sorted((step, item.path) for step, item in plan.items()) == [("duplicates", "1"), ("duplicates", "3")]
    (top / "2").unlink()
    _, details = carried_out(filesystem(top, planned=plan, max_files=4))
    assert (details[1]["files"], left(top)) == (1, {"0", "3"})
    assert details[1]["skipped"] == [{"path": f"{top}/3", "why": "nothing older holds the same any more"}]


def test_the_guard_has_judged_the_plan_and_not_its_parts(tree: Path) -> None:
    plan, limit = planned(temp(tree)), MassDeletion(share=0.1, items=1)
    assert temp(tree, planned=plan, mass_deletion=limit).plan().refusals == ()
    assert temp(tree, mass_deletion=limit).plan().refusals != ()


def test_a_directory_that_became_a_link_is_not_entered(tree: Path, tmp_path: Path) -> None:
    plan = planned(temp(tree))
    (tree / "whole").rename(tmp_path / "outside")
    (tree / "whole").symlink_to(tmp_path / "outside")
    carried_out(temp(tree, planned=plan))
    assert left(tmp_path / "outside") == {"c", "deep/", "deep/d"}
    assert (tree / "whole").is_symlink()


def test_what_is_remembered_of_an_item_is_eight_bytes(tree: Path) -> None:
    from jamaint.files.cleanup.sweep_items import Remaining

    remaining = Remaining((item for _, item in planned(temp(tree)).items()), lambda: None)
    assert remaining._marks.itemsize * len(remaining._marks) == 8 * len(WHOLE + SINGLE)
    assert sys.getsizeof(remaining._marks) < 400


def system(tree: Path, logs: Path, days: int = 10, **changes: Any) -> SystemCleanup:
    """Of temp, logs and a cache of files: those that are older than `days`."""
    cached: dict[str, Any] = {"path": str(tree / "mixed"), "pattern": None, "age_seconds": days * DAY, "min_size": 0}
    cached |= {"max_size": None, "max_files": None, "keep_newest": 0, "exclude": []}
    directories = {"remove_empty_directories": True, "broken_links": False, "duplicates": None, "paths": [cached]}
    directories["directory_age_seconds"] = DAY
    below = {"path": str(tree / "whole"), "age_seconds": days * DAY, "age_by": MODIFIED, "pattern": None}
    log_paths = {"log_paths": [f"{logs}/*.log"], "retention_seconds": days * DAY, "exclude": [], "archive": None}
    kinds = [
        {"kind": "temp", "config": {"paths": [below | {"exclude": [], "unit": "file"}]}},
        {"kind": "logs", "config": log_paths | {"compress": {"algorithm": "gzip", "older_than_seconds": 5 * DAY}}},
        {"kind": "cache", "config": {"redis": changes.pop("redis", None), "directories": directories}},
    ]
    return SystemCleanup(work({"kinds": kinds}, **changes), Talk())


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    for name, days in (("new", 1), ("kept", 7), ("old", 40), ("also", 41)):
        put(tmp_path / "logs" / f"{name}.log", days, 5000)
    return tmp_path / "logs"


def test_a_system_cleanup_lists_the_items_of_its_kinds_and_does_just_those(tree: Path, logs: Path) -> None:
    plan = planned(system(tree, logs))
    by_step: dict[str, list[str]] = {}
    for step, item in plan.items():
        by_step.setdefault(step, []).append(item.path)
    assert {step: sorted(found) for step, found in by_step.items()} == {
        "temp_cleanup/cleanup": ["c", "deep/", "deep/d"],
        "log_cleanup/cleanup": ["also.log", "old.log"],
        "log_cleanup/compression": ["kept.log"],
        "cache_cleanup/directories/cleanup": ["e", "old/", "old/f"],
    }
    put(tree / "mixed/later", 40)
    (logs / "old.log").write_text("somebody writes there again")
    before = snapshot(tree.parent)
    steps, details = carried_out(system(tree, logs, days=4000, planned=plan))
    assert [one["files"] for one in details] == [2, 2, 2]
    assert {"mixed/later", "mixed/young"} <= left(tree)
    assert not {"mixed/e", "mixed/old/f", "whole/c", "whole/deep/d"} & left(tree)
    assert left(logs) == {"new.log", "old.log", "kept.log.gz"}
    again = system(tree, logs, days=4000, planned=plan)
    assert sum(again.undo(step, dry_run=False)["restored"] for step in reversed(steps)) == 6
    assert differences(before, snapshot(tree.parent)) == []


def test_where_one_kind_cannot_list_its_items_none_is_carried_out_by_them(tree: Path, logs: Path) -> None:
    redis = {"url": "unix:///nonexistent", "pattern": "*", "idle_for_seconds": None, "missing_expiry": False}
    redis |= {"max_memory_share": None, "keep_for_rollback": False}
    executor = system(tree, logs, redis=redis, planned=Kept([]))
    assert executor.items is None
    assert [step.items for step in executor.plan().steps][:2] == [2, 3]
