"""logs.rotate where logrotate was before, and with the settings that its files have."""

import gzip
import os
import stat
import subprocess
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jamaint.core.rotation_records import Neighbour, OpenRotation, Records, RotationRecord, unpack
from jamaint.executors.shared.executor import StepError
from logs_cleanup_runs import NOW as NOON
from logs_cleanup_runs import age_directories, put
from logs_rotate_runs import names, rotate, rotation_config, rotator, undo_rotation
from tree_snapshot import differences, snapshot

pytestmark = pytest.mark.usefixtures("all_seen")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("a.log", "b.log"):
        put(tmp_path / "logs" / name, 1, f"a line of {name}\n".encode() * 300)
    age_directories(tmp_path)
    return tmp_path / "logs"


def script(path: Path, text: str) -> list[str]:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(stat.S_IRWXU)
    return [str(path)]


def back(root: Path, mine: dict[str, Any], before: Any, steps: Any) -> None:
    outcome = undo_rotation(mine, steps)
    assert (outcome["kept"], outcome["problems"]) == ([], [])
    assert [line for line in differences(before, snapshot(root)) if "b'.': mtime" not in line] == []


def test_rotated_logs_of_the_other_kind_are_no_logs(root: Path) -> None:
    put(root / "a.log.1", 2, b"older\n")
    put(root / "a.log.2.gz", 3, gzip.compress(b"oldest\n"))
    put(root / "c.gz", 3, gzip.compress(b"c\n"))
    before = {name: (root / name).read_bytes() for name in ("a.log.1", "a.log.2.gz", "c.gz")}
    logs = rotator(rotation_config([f"{root}/*"], copy_truncate=True))
    plan = logs.plan()
    (warning,) = plan.warnings
    assert warning.startswith("3 files are named as rotated logs, and not as this task names them, such as ")
    steps, details = rotate(logs)
    assert {name: (root / name).read_bytes() for name in before} == before
    assert names(root) == ["a.log", "a.log-20261124", "a.log.1", "a.log.2.gz", "b.log", "b.log-20261124", "c.gz"]
    skipped = {item["path"]: item["why"] for item in details["rotation"]["skipped"]}
    assert skipped[f"{root}/a.log.1"] == "it is named as a rotated log of a.log, and not as this task names them"
    assert steps[0].args["skipped_count"] == 3


def test_dates_beside_numbers_are_told_too(root: Path) -> None:
    put(root / "a.log-20261120.gz", 4, b"x")
    warnings = rotator(rotation_config([f"{root}/*.log"], names="number")).plan().warnings
    assert [one.startswith("1 file is named as rotated logs") for one in warnings] == [True]


def test_a_log_that_is_named_outright_is_one_whatever_its_name(root: Path) -> None:
    put(root / "port.8080", 1, b"x\n")
    rotate(rotator(rotation_config([f"{root}/port.8080"])))
    assert "port.8080-20261124" in names(root)


def test_what_matches_nothing_is_a_warning(root: Path) -> None:
    patterns = [f"{root}/*.log", f"{root}/none.log", f"{root}/*.out"]
    assert rotator(rotation_config(patterns)).plan().warnings == (
        f"{root}/none.log does not exist: nothing is rotated there until it does",
        f"no log matches {root}/*.out: nothing of it is rotated",
    )


def test_a_plan_says_why_a_log_is_not_due(root: Path) -> None:
    step = rotator(rotation_config([f"{root}/*.log"], max_size=1 << 20)).plan().steps[0]
    why = f"it has {(root / 'a.log').stat().st_size} bytes, and is rotated from 1048576 on"
    assert step.args["skipped"] == [{"path": f"{root}/{name}", "why": why} for name in ("a.log", "b.log")]


def test_scripts_for_each_log_get_its_path(root: Path, tmp_path: Path) -> None:
    before, heard = snapshot(root), tmp_path / "heard"
    mine = rotation_config(
        [f"{root}/*.log"],
        scripts={"per_log": True},
        prerotate=script(tmp_path / "pre", f'echo "pre $1" >>{heard}; case $1 in *b.log) exit 3;; esac'),
        postrotate=script(tmp_path / "post", f'echo "post $1" >>{heard}'),
    )
    steps, details = rotate(rotator(mine))
    assert heard.read_text().splitlines() == [f"pre {root}/a.log", f"post {root}/a.log", f"pre {root}/b.log"]
    assert names(root) == ["a.log", "a.log-20261124", "b.log"]
    (problem,) = details["rotation"]["problems"]
    assert problem["why"] == f"prerotate exited with 3: {root}/b.log was not rotated"
    heard.unlink()
    back(root, mine, before, steps)
    assert heard.read_text().splitlines() == [f"post {root}/a.log"]


def test_a_script_that_fails_for_one_log_is_run_for_the_others(root: Path, tmp_path: Path) -> None:
    post = script(tmp_path / "post", f'echo "$1" >>{tmp_path}/heard; case $1 in *a.log) exit 4;; esac')
    logs = rotator(rotation_config([f"{root}/*.log"], scripts={"per_log": True}, postrotate=post))
    step = logs.plan().steps[0]
    with pytest.raises(StepError, match=r"postrotate exited with 4, and .*a\.log is rotated"):
        logs.run(step)
    assert (tmp_path / "heard").read_text().splitlines() == [f"{root}/a.log", f"{root}/b.log"]


@pytest.mark.parametrize("copy", [{}, {"copy_truncate": True}])
def test_with_none_kept_it_goes_to_the_trash(root: Path, copy: dict[str, bool]) -> None:
    before = snapshot(root)
    mine = rotation_config([f"{root}/*.log"], keep=0, compress={"algorithm": "gzip", "delay": False}, **copy)
    logs = rotator(mine)
    assert [step.items for step in logs.plan().steps] == [2, 0, 2]
    steps, details = rotate(logs)
    assert details["expiry"]["files"] == 2
    assert names(root) == ["a.log", "b.log"]
    assert (root / "a.log").stat().st_size == 0
    back(root, mine, before, steps)


def test_a_copy_leaves_the_log(root: Path) -> None:
    before = snapshot(root)
    mine = rotation_config([f"{root}/*.log"], copy=True, compress={"algorithm": "gzip", "delay": False, "level": 9})
    steps, _ = rotate(rotator(mine))
    assert names(root) == ["a.log", "a.log-20261124.gz", "b.log", "b.log-20261124.gz"]
    assert gzip.decompress((root / "a.log-20261124.gz").read_bytes()) == (root / "a.log").read_bytes()
    back(root, mine, before, steps)


def test_an_extension_stays_at_the_end_of_the_names(root: Path) -> None:
    before = snapshot(root)
    mine = rotation_config([f"{root}/a.log"], extension=".log", keep=1)
    steps, _ = rotate(rotator(mine))
    assert names(root) == ["a-20261124.log", "a.log", "b.log"]
    back(root, mine, before, steps)
    numbers = rotation_config([f"{root}/*.log"], extension=".log", names="number", keep=2)
    for day in range(3):
        rotate(rotator(numbers, execution=f"n-{day}"))
        for name in ("a.log", "b.log"):
            put(root / name, 0, b"more\n")
    assert names(root) == ["a.1.log", "a.2.log", "a.log", "b.1.log", "b.2.log", "b.log"]


def test_numbers_tell_when_a_log_was_copied(root: Path) -> None:
    mine = rotation_config([f"{root}/a.log"], names="number", every="daily", copy_truncate=True)
    put(root / "a.log", 0, b"now\n")
    put(root / "a.log.1", 0, b"before\n")
    assert rotator(mine).plan().steps[0].items == 0
    os.utime(root / "a.log.1", (NOON.timestamp() - 86400, NOON.timestamp() - 86400))
    assert rotator(mine).plan().steps[0].items == 1


def records(*found: RotationRecord, begun: datetime | None = None, **others: str) -> Records:
    half_done = () if begun is None else (OpenRotation("e-0", begun),)
    neighbours = tuple(Neighbour(name, (pattern,)) for name, pattern in others.items())
    return Records({one.path: one for one in found}, half_done, neighbours)


def reported(details: dict[str, Any]) -> list[tuple[str, datetime, bool, str]]:
    found = unpack(details["rotations"]["block"])
    return [(Path(one.path).name, one.rotated_at, one.is_told, one.execution) for one in found]


def test_the_record_counts_and_not_the_disk(root: Path) -> None:
    os.unlink(root / "b.log")
    put(root / "a.log-20260901", 80, b"old\n")
    mine = rotation_config([f"{root}/*.log"], every="weekly", copy_truncate=True)
    assert rotator(mine).plan().steps[0].items == 1
    lately = RotationRecord(f"{root}/a.log", NOON - timedelta(hours=20), True, "e-0")
    assert rotator(mine, rotations=records(lately)).plan().steps[0].items == 0
    long_ago = RotationRecord(f"{root}/a.log", NOON - timedelta(days=9), True, "e-0")
    put(root / "a.log-20261123", 1, b"made by somebody\n")
    _, details = rotate(rotator(mine, rotations=records(long_ago)))
    assert reported(details["rotation"]) == [("a.log", NOON, True, "e-1")]


def test_after_a_rotation_that_was_cut_short_the_disk_counts_too(root: Path, tmp_path: Path) -> None:
    tell = script(tmp_path / "tell", f"echo told >>{tmp_path}/heard")
    mine = rotation_config([f"{root}/*.log"], every="daily", postrotate=tell)
    os.rename(root / "a.log", root / "a.log-20261124")  # the worker was killed right after that
    put(root / "a.log", 0, b"more\n")
    old = [RotationRecord(f"{root}/{name}", NOON - timedelta(days=1), True, "e-9") for name in ("a.log", "b.log")]
    begun = NOON - timedelta(minutes=5)
    _, details = rotate(rotator(mine, rotations=records(*old, begun=begun)))
    assert (tmp_path / "heard").read_text() == "told\n"
    found = reported(details["rotation"])
    assert [(name, told, execution) for name, _, told, execution in found if name == "a.log"] == [
        ("a.log", True, "e-0")
    ]
    assert not (root / "a.log-20261124.1").exists()


@pytest.mark.parametrize("per_log", [False, True])
def test_writers_are_told_until_that_succeeds(root: Path, tmp_path: Path, per_log: bool) -> None:
    mine = rotation_config([f"{root}/*.log"], every="daily", scripts={"user": None, "per_log": per_log})
    logs = rotator(mine | {"postrotate": ["/bin/false"]})
    step = logs.plan().steps[0]
    with pytest.raises(StepError) as failed:
        logs.run(step)
    untold = unpack(failed.value.details["rotations"]["block"])
    assert [one.is_told for one in untold] == [False, False]
    tell = script(tmp_path / "tell", f'echo "told $1" >>{tmp_path}/heard')
    again = rotator(mine | {"postrotate": tell}, rotations=records(*untold), execution="e-2")
    plan = again.plan()
    assert "The writers of 2 rotated before have not all let go: they are told again." in plan.steps[0].says
    assert reported(again.run(plan.steps[0])) == [
        ("a.log", NOON, True, "e-1"),
        ("b.log", NOON, True, "e-1"),
    ]
    heard = (tmp_path / "heard").read_text().splitlines()
    assert heard == ([f"told {root}/{name}" for name in ("a.log", "b.log")] if per_log else ["told "])


def test_a_writer_that_stays_behind_is_a_problem_each_time(root: Path) -> None:
    os.unlink(root / "b.log")
    os.rename(root / "a.log", root / "a.log.1")
    put(root / "a.log", 0, b"")
    mine = rotation_config([f"{root}/*.log"], names="number", every="daily")
    with (root / "a.log.1").open("ab") as log, subprocess.Popen(["sleep", "600"], stdout=log) as writer:
        logs = rotator(mine)
        step = logs.plan().steps[0]
        with pytest.raises(StepError, match=f"process {writer.pid} still writes to {root}/a.log.1"):
            logs.run(step)
        writer.kill()
    rotate(rotator(mine))


def test_another_task_that_rotates_the_same_log_is_told(root: Path) -> None:
    others = records(web=f"{root}/b*", other="/srv/elsewhere/*.log")
    assert rotator(rotation_config([f"{root}/*.log"]), rotations=others).plan().warnings == (
        f"{root}/b.log: task web rotates it too; take it out of one of the two",
    )
