"""What a whole execution did is undone byte for byte, and what others did meanwhile is left to them."""

import os
import shutil
import struct
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jamaint.executors.shared.executor import StopRequestedError
from logs_cleanup_runs import (
    DAY,
    NOW,
    Talk,
    age_directories,
    executor,
    grow_old,
    in_fresh_process,
    put,
    run_all,
    undo_all,
)
from tree_snapshot import differences, snapshot

GZIP = {"algorithm": "gzip", "older_than_seconds": 10 * DAY}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for age in (1, 6, 12, 40):
        put(tmp_path / "logs" / "app" / f"a{age}.log", age, 500 * age)
        put(tmp_path / "logs" / f"b{age}.log", age)
    (tmp_path / "archive").mkdir()
    age_directories(tmp_path)
    return tmp_path / "logs"


def config(root: Path, **changes: Any) -> dict[str, Any]:
    archive = {"directory": str(root.parent / "archive"), "older_than_seconds": 5 * DAY}
    return {"log_paths": [f"{root}/**/*"], "compress": GZIP, "archive": archive} | changes


def an_access_list(path: Path) -> None:
    entries = [(1, 6, -1), (2, 4, 4242), (4, 4, -1), (16, 6, -1), (32, 0, -1)]
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
    os.setxattr(path, "system.posix_acl_access", acl)


def odd_files(root: Path) -> None:
    """One of every kind that a file can be odd in, old enough for something to happen to it."""
    for age in (12, 40, 6):
        sparse = root / f"sparse{age}.log"
        with sparse.open("wb") as file:
            file.seek(3 << 20)
            file.write(b"x" * 5000)
            file.truncate(9 << 20)
        put(root / f"mode{age}.log", age, 10, mode=0o4751)
        put(root / f"name{age}\udcff\n\x1b.log", age)
        put(root / f"empty{age}.log", age, b"")
        put(root / ("l" * 249 + f"{age}.log"), age)
        os.link(put(root / f"linked{age}.log", age), root / f"second{age}.log")
        os.link(put(root / f"outside{age}.log", age), root.parent / f"outside{age}")
        listed = put(root / f"listed{age}.log", age)
        try:
            os.setxattr(listed, "user.origin", b"\0\xff")
            an_access_list(listed)
        except OSError:
            pass
        if os.geteuid() == 0:
            os.chown(put(root / f"owner{age}.log", age, 10), 65534, 65534)
            os.chmod(root / f"owner{age}.log", 0o2640)
        for name in ("sparse", "owner", "listed"):
            if (root / f"{name}{age}.log").exists():
                grow_old(root / f"{name}{age}.log", age)
    (root / "link.log").symlink_to("nowhere")
    os.mkfifo(root / "fifo.log")


def test_files_of_every_kind(root: Path) -> None:
    odd_files(root)
    (root / "app").chmod(0o2750)
    age_directories(root.parent)
    before = snapshot(root.parent)
    steps, details = run_all(executor(**config(root)))
    assert [problem["why"] for problem in details["compression"]["problems"]] == ["file name too long"]  # with .gz
    assert details["cleanup"]["files"] > 9
    assert details["compression"]["files"] > 5
    assert details["archive"]["files"] > 9
    expected = in_fresh_process(lambda: undo_all(steps, dry_run=True))
    outcome = in_fresh_process(lambda: undo_all(steps))
    assert outcome == expected
    assert (outcome["kept"], outcome["problems"]) == ([], [])
    assert differences(before, snapshot(root.parent)) == []


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="needs a second file system")
def test_an_archive_on_another_disk(root: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        if os.stat(other).st_dev == root.stat().st_dev:
            pytest.skip("one file system only")
        odd_files(root)
        age_directories(root.parent)
        archive = Path(other, "archive")
        before, there = snapshot(root.parent), snapshot(other)
        directory = {"directory": str(archive), "older_than_seconds": 5 * DAY}
        steps, details = run_all(executor(**config(root, archive=directory, compress=None)))
        was, now = before[b"logs/sparse6.log"], snapshot(archive)[b"sparse6.log"]
        assert (was.content, was.data, was.mode, was.mtime_ns) == (now.content, now.data, now.mode, now.mtime_ns)
        assert details["archive"]["freed_space"] < 0 < details["archive"]["freed_on_purge"]
        undo_all(steps)
        assert differences(before, snapshot(root.parent)) == []
        assert differences(there, snapshot(other)) == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    files=st.dictionaries(
        st.tuples(
            st.sampled_from(["", "a", "a/b", "a/b/c", "d", ".h", "d/é"]),
            st.text(
                st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=20
            ).map(lambda name: name + ".log"),
        ),
        st.tuples(st.floats(-5, 60), st.integers(0, 3000)),
        max_size=12,
    ),
    settings_=st.tuples(st.sampled_from([None, "gzip", "zstd"]), st.booleans(), st.floats(1, 40), st.floats(1, 40)),
    between=st.integers(0, 3),
)
def test_whatever_the_tree_and_the_ages(
    tmp_path: Path, files: dict[tuple[str, str], tuple[float, int]], settings_: tuple[Any, ...], between: int
) -> None:
    top = tmp_path / "top"
    shutil.rmtree(top, ignore_errors=True)
    (top / "logs").mkdir(parents=True)
    for (directory, name), (age, size) in files.items():
        put(top / "logs" / directory / name, age, size * b"x")
    age_directories(top)
    algorithm, archives, compress_days, archive_days = settings_
    conf: dict[str, Any] = {
        "log_paths": [f"{top}/logs/**/*.log"],
        "compress": algorithm and {"algorithm": algorithm, "older_than_seconds": compress_days * DAY},
        "archive": {"directory": f"{top}/archive", "older_than_seconds": archive_days * DAY} if archives else None,
    }
    before = snapshot(top)
    logs = executor(**conf)
    plan = logs.plan()
    assert differences(before, snapshot(top)) == []
    done = {step.name: logs.run(step)["files"] for step in plan.steps[: between + 1]}
    assert done == {step.name: step.items for step in plan.steps[: between + 1]}
    undo_all(plan.steps)
    assert differences(before, snapshot(top)) == []


class TestOthersMeanwhile:
    def test_a_file_that_has_appeared_in_the_place_is_not_overwritten(self, root: Path) -> None:
        steps, _ = run_all(executor(**config(root)))
        for name in ("b40.log", "b12.log", "b6.log"):
            (root / name).write_bytes(b"new")
        expected = undo_all(steps, dry_run=True)
        outcome = undo_all(steps)
        assert outcome == expected
        assert sorted(item["path"] for item in outcome["kept"]) == [f"{root}/b{age}.log" for age in (12, 40, 6)]
        assert (root / "b40.log").read_bytes() == b"new"
        assert (root / "b12.log.gz").exists()  # as long as its original is not back
        assert (root.parent / "archive" / "b6.log").exists()
        assert (root / "app" / "a12.log").exists()
        assert not (root / "app" / "a12.log.gz").exists()

    def test_an_undo_can_be_asked_for_again_when_the_way_is_free(self, root: Path) -> None:
        before = snapshot(root.parent)
        steps, _ = run_all(executor(**config(root)))
        for name in ("b40.log", "b12.log", "b6.log"):
            (root / name).write_bytes(b"new")
        undo_all(steps)
        for name in ("b40.log", "b12.log", "b6.log"):
            (root / name).unlink()
        outcome = undo_all(steps)
        assert (outcome["restored"], outcome["removed"], outcome["kept"]) == (3, 2, [])
        told = [line for line in differences(before, snapshot(root.parent)) if "mtime" not in line]
        assert told == []

    def test_a_made_file_that_was_changed_is_kept(self, root: Path) -> None:
        steps, _ = run_all(executor(**config(root)))
        packed, archived = root / "b12.log.gz", root.parent / "archive" / "b6.log"
        with packed.open("ab") as file:
            file.write(b"more")
        os.utime(archived, ns=(1, 2))
        expected = undo_all(steps, dry_run=True)
        outcome = undo_all(steps)
        assert outcome == expected
        assert sorted(item["path"] for item in outcome["kept"]) == sorted([str(archived), str(packed)])
        assert packed.exists()
        assert archived.exists()
        assert (root / "b12.log").exists()
        assert not (root / ".jamaint-trash").exists()

    def test_a_made_file_that_was_replaced_or_removed_is_no_longer_ours(self, root: Path) -> None:
        steps, _ = run_all(executor(**config(root)))
        packed, archived = root / "b12.log.gz", root.parent / "archive" / "b6.log"
        packed.unlink()
        packed.write_bytes(b"theirs")
        archived.unlink()
        outcome = undo_all(steps)
        assert (outcome["kept"], outcome["problems"]) == ([], [])
        assert packed.read_bytes() == b"theirs"
        assert (root / "b6.log").exists()

    def test_a_made_file_stays_when_its_original_is_nowhere(self, root: Path) -> None:
        steps, _ = run_all(executor(**config(root)))
        (root / ".jamaint-trash/e-1/compression/gone/b12.log").unlink()
        outcome = undo_all(steps)
        assert [item["path"] for item in outcome["kept"]] == [f"{root}/b12.log.gz"]
        assert (root / "b12.log.gz").exists()

    def test_directories_that_vanished_are_made_again_as_they_were(self, root: Path) -> None:
        put(root / "x" / "y" / "z" / "old.log", 40)
        (root / "x").chmod(0o2751)
        (root / "x" / "y" / "z").chmod(0o700)
        if os.geteuid() == 0:
            os.chown(root / "x" / "y", 0, 65534)
        age_directories(root.parent)
        before = snapshot(root.parent)
        steps, _ = run_all(executor(**config(root)))
        shutil.rmtree(root / "x")
        assert undo_all(steps, dry_run=True) == undo_all(steps)
        told = differences(before, snapshot(root.parent))
        assert told == []

    def test_a_directory_whose_files_others_changed_keeps_their_time(self, root: Path) -> None:
        steps, _ = run_all(executor(**config(root)))
        put(root / "app" / "new.log", 0)
        theirs = int(NOW.timestamp() + 10**9) * 10**9
        os.utime(root / "app", ns=(theirs, theirs))
        old = 100 * DAY
        undo_all(steps)
        assert (root / "app").stat().st_mtime_ns == theirs
        assert int(root.stat().st_mtime) == int(NOW.timestamp() - old)

    def test_a_directory_that_became_a_link_is_not_followed(self, root: Path, tmp_path: Path) -> None:
        steps, _ = run_all(executor(**config(root)))
        (root / "app").rename(tmp_path / "moved")
        (tmp_path / "canary").mkdir()
        (root / "app").symlink_to(tmp_path / "canary")
        outcome = undo_all(steps)
        assert os.listdir(tmp_path / "canary") == []
        assert f"{root}/app/a40.log" in [item["path"] for item in outcome["kept"]]
        assert (root / "b40.log").exists()
        (root / "app").unlink()
        (tmp_path / "moved").rename(root / "app")
        assert undo_all(steps)["kept"] == []
        assert (root / "app" / "a40.log").exists()

    def test_a_root_that_became_unsafe_or_went_is_a_problem(self, root: Path) -> None:
        steps, _ = run_all(executor(**config(root, archive=None, compress=None)))
        root.chmod(0o777)
        assert "may be written by everyone" in undo_all(steps)["problems"][0]["why"]
        root.rename(root.parent / "moved")
        assert "does not exist" in undo_all(steps)["problems"][0]["why"]
        root.parent.joinpath("moved").chmod(0o755)
        root.parent.joinpath("moved").rename(root)
        assert undo_all(steps)["problems"] == []
        assert (root / "b40.log").exists()

    def test_two_executions_are_undone_the_later_first(self, root: Path) -> None:
        before = snapshot(root.parent)
        first, _ = run_all(executor(**config(root, compress=None, archive=None)))
        second, _ = run_all(executor(execution="e-2", **config(root)))
        third, _ = run_all(executor(execution="e-3", **config(root)))
        for steps in (third, second, first):
            assert undo_all(steps)["kept"] == []
        assert differences(before, snapshot(root.parent)) == []

    def test_a_root_within_a_root(self, root: Path) -> None:
        put(root / "app" / "old.txt", 40)
        put(root / "app" / "deep" / "old.log", 40)
        age_directories(root.parent)
        before = snapshot(root.parent)
        paths = [f"{root}/**/*.txt", f"{root}/app/**/*.log", f"{root}/*.log"]
        steps, details = run_all(executor(**config(root, log_paths=paths)))
        assert details["cleanup"]["files"] == 4
        assert (root / "app" / ".jamaint-trash").exists()
        assert undo_all(steps)["kept"] == []
        assert differences(before, snapshot(root.parent)) == []

    def test_a_step_that_was_stopped_and_goes_on_in_another_worker(self, root: Path) -> None:
        for number in range(5):
            put(root / f"d{number}" / "old.log", 40)
        age_directories(root.parent)
        before = snapshot(root.parent)
        host = Talk()
        logs = executor(host, **config(root))
        steps = logs.plan().steps
        host.stop_after(4)
        with pytest.raises(StopRequestedError):
            logs.run(steps[1])
        details = executor(**config(root)).run(steps[1])
        assert 0 < details["files"] < 7
        assert undo_all(steps)["restored"] == 7
        assert differences(before, snapshot(root.parent)) == []

    def test_an_undo_of_what_never_began_changes_nothing(self, root: Path) -> None:
        steps = executor(**config(root)).plan().steps
        put(root / "new.log", 0)
        before = snapshot(root.parent)
        assert undo_all(steps) == {"restored": 0, "removed": 0, "kept": [], "problems": []}
        assert differences(before, snapshot(root.parent)) == []

    def test_a_later_undo_again_leaves_what_others_did_since(self, root: Path) -> None:
        steps, _ = run_all(executor(**config(root)))
        undo_all(steps)
        put(root / "new.log", 0)
        before = snapshot(root.parent)
        undo_all(steps)
        assert differences(before, snapshot(root.parent)) == []

    def test_an_undo_after_one_steps_purge_restores_the_others(self, root: Path) -> None:
        steps, _ = run_all(executor(**config(root)))
        executor().purge(steps[2])
        outcome = undo_all(steps)
        assert (outcome["restored"], outcome["removed"]) == (4, 2)
        assert (root / "b12.log.gz").exists()
        assert (root / "b40.log").exists()
        assert not (root / ".jamaint-trash").exists()
