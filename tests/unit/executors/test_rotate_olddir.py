"""logs.rotate into a directory of its own (olddir): what it plans, does, refuses and puts back."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from jamaint.executors.logs_rotate.rename import read_acts
from logs_cleanup_runs import age_directories, put
from logs_rotate_runs import names, rotate, rotation_config, rotator, undo_rotation
from tree_snapshot import differences, snapshot

pytestmark = pytest.mark.usefixtures("all_seen")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("a.log", "b.log"):
        put(tmp_path / "logs" / name, 1, f"a line of {name}\n".encode() * 300)
    (tmp_path / "logs" / "old").mkdir()
    age_directories(tmp_path)
    return tmp_path / "logs"


def config(root: Path, **changes: Any) -> dict[str, Any]:
    return rotation_config([f"{root}/*.log"]) | {"olddir": "old"} | changes


@pytest.mark.parametrize("changes", [{}, {"names": "number"}, {"copy_truncate": True}, {"copy": True}])
def test_olddir_takes_the_rotated_ones_and_gives_them_back(root: Path, changes: dict[str, Any]) -> None:
    before, content, mode = snapshot(root), (root / "a.log").read_bytes(), (root / "a.log").stat().st_mode
    mine = config(root, **changes)
    plan = rotator(mine).plan()
    assert "2 logs into old" in plan.steps[0].says
    steps, details = rotate(rotator(mine))
    ending = ".1" if changes.get("names") else "-20261124"
    assert names(root) == ["a.log", "b.log", f"old/a.log{ending}", f"old/b.log{ending}"]
    assert ((root / f"old/a.log{ending}").read_bytes(), (root / "a.log").stat().st_mode) == (content, mode)
    assert details["rotation"]["rotated"][0]["to"] == f"old/a.log{ending}"
    assert undo_rotation(mine, steps, dry_run=True) == (outcome := undo_rotation(mine, steps))
    assert (outcome["kept"], outcome["problems"]) == ([], [])
    assert differences(before, snapshot(root)) == []


@pytest.mark.parametrize("kind", ["date", "number"])
def test_olddir_counts_compresses_and_expires_what_is_in_it(root: Path, kind: str) -> None:
    for number in range(1, 5):
        name = f"a.log.{number}" if kind == "number" else f"a.log-2026111{5 - number}"
        put(root / "old" / name, 10 + number, f"rotated {number}\n".encode() * 50)
    age_directories(root)
    before = snapshot(root)
    mine = config(root, names=kind, keep=3, compress={"algorithm": "gzip", "delay": False})
    steps, details = rotate(rotator(mine))
    assert (details["compression"]["files"], details["expiry"]["files"]) == (4, 2)
    found = [name for name in names(root) if name.startswith("old/a.log")]
    assert len(found) == 3
    assert all(name.endswith(".gz") for name in found)
    outcome = undo_rotation(mine, steps)
    assert (outcome["kept"], outcome["problems"]) == ([], [])
    assert differences(before, snapshot(root)) == []


def test_olddir_of_each_directory_and_no_log_in_it(root: Path) -> None:
    put(root / "app" / "c.log", 1, b"c\n" * 200)
    (root / "app" / "old").mkdir()
    put(root / "old" / "left.log", 1, b"no log of this task\n")
    mine = config(root, log_paths=[f"{root}/**/*.log"])
    rotate(rotator(mine))
    assert "app/old/c.log-20261124" in names(root)
    assert (root / "old" / "left.log").read_bytes() == b"no log of this task\n"


def test_olddir_that_is_missing_is_told_with_its_cure_and_nothing_rotated(root: Path) -> None:
    (root / "old").rmdir()
    before = snapshot(root)
    plan = rotator(config(root)).plan()
    told = [warning for warning in plan.warnings if "olddir" in warning]
    assert told == [
        f"{root}/old is left alone: rotated logs go there (olddir), and it does not exist: make it, with the owner of "
        "the logs' directory"
    ]
    assert plan.steps[0].items == 0
    assert differences(before, snapshot(root)) == []


@pytest.mark.parametrize("what", ["link", "open to all"])
def test_olddir_that_others_could_swap_is_refused(root: Path, tmp_path: Path, what: str) -> None:
    if what == "link":
        (root / "old").rmdir()
        (tmp_path / "elsewhere").mkdir()
        (root / "old").symlink_to(tmp_path / "elsewhere")
    else:
        (root / "old").chmod(0o777)
    plan = rotator(config(root)).plan()
    assert plan.steps[0].items == 0
    assert any("(olddir), and it cannot be used" in warning for warning in plan.warnings)
    assert sorted(os.listdir(root)) == ["a.log", "b.log", "old"]


def test_olddir_name_that_is_taken_is_never_overwritten(root: Path) -> None:
    put(root / "old" / "a.log-20261124", 1, b"of before\n")
    rotate(rotator(config(root)))
    assert (root / "old" / "a.log-20261124").read_bytes() == b"of before\n"
    assert stat.S_ISREG((root / "old" / "a.log-20261124.1").stat().st_mode)


def test_olddir_warns_of_rotated_ones_that_still_lie_beside_the_log(root: Path) -> None:
    put(root / "a.log-20261101", 23, b"rotated before\n")
    plan = rotator(config(root, keep=1)).plan()
    told = f"1 rotated log is beside the log and not in old, such as {root}/a.log-20261101: not counted by keep"
    assert any(warning.startswith(told) for warning in plan.warnings)
    assert plan.steps[-1].items == 0


@pytest.mark.parametrize(
    "forged", [".//a.log//a.log-1//..", ".//a.log//a.log-1//old/../..", "..//a.log//a.log-1", ".//a.log//b//old//c"]
)
def test_journal_line_that_leads_out_of_the_root_is_no_act(tmp_path: Path, forged: str) -> None:
    (tmp_path / "000001.moved.7").symlink_to(".//a.log//a.log-1//app/old")
    turns = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        (act,) = read_acts(turns)
        assert act.names == (".", "a.log", "a.log-1", "app/old")
        os.symlink(forged, "000002.moved.7", dir_fd=turns)
        with pytest.raises(ValueError, match="tells of no act"):
            read_acts(turns)
    finally:
        os.close(turns)
