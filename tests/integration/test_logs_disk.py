"""On a disk that is full, has no inodes left, or turns read-only: what can be done is done, and all stays whole."""

import ctypes
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jamaint.core.safety.deletion_guard import from_json
from jamaint.executors.shared.executor import StepError
from jamaint.files.rights.attributes import FileAttributes
from logs_cleanup_runs import DAY, Talk, executor, in_fresh_process, put, run_all, undo_all
from logs_rotate_runs import rotation_config, rotator
from tree_snapshot import differences, snapshot

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small disk")
_NEW_MOUNT_NAMESPACE = 0x20000


def on_a_disk(place: Path, options: str, act: Callable[[Path], Any]) -> Any:
    """What `act` returns, called in a process of its own in which a small disk is mounted there."""
    place.mkdir(exist_ok=True)

    def mounted() -> Any:
        if ctypes.CDLL(None).unshare(_NEW_MOUNT_NAMESPACE) != 0:
            return "may not mount"
        for arguments in (["--make-rprivate", "/"], ["-t", "tmpfs", "-o", f"mode=755,{options}", "none", str(place)]):
            if subprocess.run(["mount", *arguments], check=False, capture_output=True).returncode != 0:
                return "may not mount"
        return act(place)

    result = in_fresh_process(mounted)
    if result == "may not mount":
        pytest.skip("may not mount here")
    return result


def fill(top: Path) -> None:
    """Leaves not one byte."""
    with open(top / "filler", "wb", buffering=0) as file:
        try:
            while True:
                file.write(os.urandom(1 << 16))
        except OSError:
            pass
    os.utime(top, ns=(1, 2))


def use_up_inodes(top: Path) -> None:
    """Leaves not one inode."""
    try:
        for number in range(100_000):
            (top / f"inode{number}").touch()
    except OSError:
        pass
    os.utime(top, ns=(1, 2))


def failure(logs: Any, step: Any) -> str:
    try:
        logs.run(step)
    except StepError as failed:
        return failed.message
    return "done"


GZIP = {"algorithm": "gzip", "older_than_seconds": 10 * DAY}


def test_compressing_on_a_full_disk_and_again_later(tmp_path: Path) -> None:
    def act(top: Path) -> Any:
        put(top / "logs" / "a.log", 20, os.urandom(1 << 20))
        fill(top)
        before = snapshot(top)
        config: dict[str, Any] = {"log_paths": [f"{top}/logs/*.log"], "compress": GZIP}
        logs = executor(**config)
        steps = logs.plan().steps
        told = failure(logs, steps[2])
        undo_all(steps)
        same = differences(before, snapshot(top))
        (top / "filler").unlink()
        _, details = run_all(executor(**config))
        return [told, same, details["compression"]["files"], os.listdir(top / "logs")]

    told, same, files, names = on_a_disk(tmp_path / "disk", "size=3m", act)
    assert "no space left on device" in told
    assert same == []
    assert files == 1
    assert sorted(names) == [".jamaint-trash", "a.log.gz"]


def test_archiving_to_a_full_disk(tmp_path: Path) -> None:
    root = tmp_path / "logs"
    put(root / "a.log", 20, 100_000)
    before = snapshot(root)

    def act(top: Path) -> Any:
        fill(top)
        logs = executor(log_paths=[f"{root}/*.log"], archive={"directory": f"{top}/archive", "older_than_seconds": DAY})
        steps = logs.plan().steps
        told = failure(logs, steps[2])
        undo_all(steps)
        return [told, os.listdir(top)]

    told, names = on_a_disk(tmp_path / "disk", "size=1m", act)
    assert "no space left on device" in told
    assert names == ["filler"]
    assert differences(before, snapshot(root)) == []


@pytest.mark.parametrize(("options", "use_up"), [("size=2m", fill), ("size=9m,nr_inodes=300", use_up_inodes)])
def test_a_full_disk_can_be_cleaned(tmp_path: Path, options: str, use_up: Callable[[Path], None]) -> None:
    """The reason why one runs a cleaner: without a byte or an inode left, and so without a trash."""

    def act(top: Path) -> Any:
        for number in range(20):
            put(top / "logs" / f"{number}.log", 40, 20_000)
        use_up(top)
        steps, details = run_all(executor(log_paths=[f"{top}/logs/*.log"], low_space=0.05))
        return [steps[1].says, details["cleanup"], os.listdir(top / "logs")]

    says, details, names = on_a_disk(tmp_path / "disk", options, act)
    assert "Only 0.0% of the " in says
    assert details["files"] == 20
    assert details["freed_space"] == 20 * 20480
    assert details["freed_on_purge"] == 0
    assert details["free_bytes_after"] - details["free_bytes_before"] >= 20 * 20480
    assert names == []


def test_a_trash_that_cannot_be_made_for_want_of_inodes(tmp_path: Path) -> None:
    """The plan says it, and not only the act."""

    def act(top: Path) -> Any:
        put(top / "logs" / "a.log", 40)
        use_up_inodes(top)
        before = snapshot(top)
        told = [refusal(top)]
        (top / "inode0").unlink()  # enough for the first directory of the trash
        told.append(refusal(top))
        (top / "inode0").touch()
        os.utime(top / "inode0", ns=(0, before[b"inode0"].mtime_ns))
        os.utime(top, ns=(1, 2))
        return [told, differences(before, snapshot(top))]

    told, same = on_a_disk(tmp_path / "disk", "size=9m,nr_inodes=50", act)
    assert all("cannot be made below " in one and "`rollback: {when_full: unlink}`" in one for one in told)
    assert same == []


def refusal(top: Path) -> str:
    with pytest.raises(StepError) as refused:
        executor(log_paths=[f"{top}/logs/*.log"]).plan()
    return refused.value.message


def test_an_undo_needs_no_room(tmp_path: Path) -> None:
    def act(top: Path) -> Any:
        for number in range(30):
            put(top / "logs" / f"d{number % 3}" / f"{number}.log", 40 - number, 5000)
        before = snapshot(top / "logs")
        archive = {"directory": f"{top}/archive", "older_than_seconds": DAY}
        steps, _ = run_all(executor(log_paths=[f"{top}/logs/**/*.log"], compress=GZIP, archive=archive))
        fill(top)
        use_up_inodes(top)
        return [undo_all(steps), differences(before, snapshot(top / "logs"))]

    outcome, same = on_a_disk(tmp_path / "disk", "size=3m,nr_inodes=400", act)
    assert (outcome["restored"], outcome["kept"], outcome["problems"]) == (30, [], [])
    assert same == []


def test_a_disk_that_turns_read_only(tmp_path: Path) -> None:
    def act(top: Path) -> Any:
        for number in range(2000):
            put(top / "logs" / f"{number}.log", 40, 1)
        host = Talk()
        logs = executor(host, log_paths=[f"{top}/logs/*.log"])
        before = snapshot(top)
        steps = logs.plan().steps

        def remount(done: int, total: int | None, unit: str) -> None:
            subprocess.run(["mount", "-o", "remount,ro", str(top)], check=False)

        host.progress = remount  # type: ignore[method-assign] # it happens after the first batch
        told = failure(logs, steps[1])
        left = len(os.listdir(top / "logs"))
        try:
            undone = str(undo_all(steps))
        except StepError as failed:
            undone = failed.message
        subprocess.run(["mount", "-o", "remount,rw", str(top)], check=True)
        again = undo_all(steps)
        return [told, left, undone, again, differences(before, snapshot(top))]

    told, left, undone, again, same = on_a_disk(tmp_path / "disk", "size=50m", act)
    assert "read-only file system" in told
    assert 0 < left < 2000
    assert "read-only file system" in undone  # of each file, and nothing was put back
    assert "'restored': 0" in undone
    assert again["restored"] == 2001 - left
    assert same == []


def test_an_archive_that_is_not_mounted_is_no_place_for_logs(tmp_path: Path) -> None:
    root = tmp_path / "logs"
    put(root / "a.log", 20)

    def act(top: Path) -> Any:
        disk, archive = top / "archive", {"directory": f"{top}/archive/logs", "older_than_seconds": DAY}
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "none", str(disk)], check=True)
        logs = executor(log_paths=[f"{root}/*.log"], archive=archive)
        plan = logs.plan()
        for step in plan.steps:
            logs.run(step)
        seen = {one["path"]: from_json(one) for one in plan.roots}
        put(root / "b.log", 20)
        again = executor(log_paths=[f"{root}/*.log"], archive=archive, seen=seen).plan().refusals
        subprocess.run(["umount", str(disk)], check=True)
        refused = executor(log_paths=[f"{root}/*.log"], archive=archive, seen=seen).plan().refusals
        return [[one["detail"] for one in refusals] for refusals in (plan.refusals, again, refused)]

    first, again, refused = on_a_disk(tmp_path / "disk", "size=3m", act)
    assert (first, again) == ([], [])
    assert len(refused) == 1
    assert refused[0].startswith(
        f"{tmp_path}/disk/archive/logs is on another file system (tmpfs none at {tmp_path}/disk)"
    )


@pytest.mark.parametrize("keeps", [True, False])
def test_a_rotation_that_cannot_make_the_new_log_leaves_the_old_one_in_its_place(tmp_path: Path, keeps: bool) -> None:
    def act(top: Path) -> Any:
        put(top / "logs" / "a.log", 1)
        use_up_inodes(top)
        logs = rotator(rotation_config([f"{top}/logs/*.log"]), keeps_way_back=keeps)
        told = failure(logs, logs.plan().steps[0])
        return [told, os.listdir(top / "logs")]

    told, names = on_a_disk(tmp_path / "disk", "size=4m,nr_inodes=50", act)
    assert "no space left on device" in told
    assert names == ["a.log"]


@pytest.mark.parametrize("keeps", [True, False])
def test_a_disk_that_is_full_before_the_copy_of_a_log_has_caught_up(tmp_path: Path, keeps: bool) -> None:
    def act(top: Path) -> Any:
        log = put(top / "logs" / "a.log", 1, b"line\n" * 1000)

        settle = FileAttributes.settle

        def grow(*args: Any) -> None:
            settle(*args)
            with log.open("ab") as writer:
                writer.write(b"more\n" * 100_000)
            fill(top)

        FileAttributes.settle = grow  # type: ignore[method-assign]
        logs = rotator(rotation_config([f"{top}/logs/*.log"], copy_truncate=True), keeps_way_back=keeps)
        told = failure(logs, logs.plan().steps[0])
        return [told, [name for name in os.listdir(top / "logs") if name != ".jamaint-trash"], log.stat().st_size]

    told, names, size = on_a_disk(tmp_path / "disk", "size=3m", act)
    assert "no space left on device" in told
    assert (names, size) == (["a.log"], 505_000)
