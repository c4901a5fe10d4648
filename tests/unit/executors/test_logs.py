"""logs.cleanup: what it plans, refuses, does, skips and tells."""

import errno
import gzip
import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from jamaint.core.plans import MassDeletion, Plan, step_to_json, undo_order
from jamaint.core.purges import FreeSpace
from jamaint.core.safety.deletion_guard import Filesystem, from_json
from jamaint.executors.shared import removal_methods
from jamaint.executors.shared.executor import StepError, StopRequestedError
from jamaint.files.access import compression
from jamaint.files.use.open_files import OpenFiles, open_files
from logs_cleanup_runs import DAY, NOW, Talk, executor, grow_old, put, run_all, through_json, undo_all
from tree_snapshot import differences, snapshot

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
GZIP = {"algorithm": "gzip", "older_than_seconds": 10 * DAY}


@pytest.fixture(autouse=True)
def all_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for root, who may look into all processes: else each plan has a warning more."""

    def looking() -> OpenFiles:
        found = open_files()
        found.hidden = 0
        return found

    monkeypatch.setattr("jamaint.executors.logs_cleanup.executor.open_files", looking)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for age in (1, 6, 12, 40, 50):
        put(tmp_path / "logs" / "app" / f"a{age}.log", age, 1000 * age)
    return tmp_path / "logs"


def everything(root: Path, **changes: Any) -> dict[str, Any]:
    archive = {"directory": str(root.parent / "archive"), "older_than_seconds": 5 * DAY}
    return {"log_paths": [f"{root}/**/*.log*"], "compress": GZIP, "archive": archive} | changes


def names(top: Path) -> list[str]:
    return sorted(
        str(path.relative_to(top)) for path in top.rglob("*") if path.is_file() and ".jamaint-trash" not in path.parts
    )


def refusal(**changes: Any) -> StepError:
    with pytest.raises(StepError) as failed:
        executor(**changes).plan()
    return failed.value


class TestPlan:
    def test_the_steps_in_their_order_with_their_way_back(self, root: Path) -> None:
        before = snapshot(root.parent)
        plan = executor(**everything(root)).plan()
        assert [(step.name, step.items) for step in plan.steps] == [
            ("analysis", 5),
            ("cleanup", 2),
            ("compression", 1),
            ("archive", 1),
        ]
        seen = root.stat()
        times = [seen.st_atime_ns, seen.st_mtime_ns]
        assert plan.steps[0].undo is None
        assert plan.steps[1].undo == {
            "trash": "e-1",
            "step": "cleanup",
            "roots": [{"path": str(root), "times": times, "number": 0, "hold": 30 * DAY}],
        }
        assert plan.steps[3].undo is not None
        assert [entry["path"] for entry in plan.steps[3].undo["roots"]] == [str(root), str(root.parent)]
        assert plan.warnings == ()
        assert differences(before, snapshot(root.parent)) == []

    def test_only_what_is_configured(self, root: Path) -> None:
        assert [step.name for step in executor(log_paths=[f"{root}/*/*"]).plan().steps] == ["analysis", "cleanup"]
        steps = executor(**everything(root, compress=None)).plan().steps
        assert [step.name for step in steps] == ["analysis", "cleanup", "archive"]

    def test_it_says_what_it_will_do(self, root: Path) -> None:
        plan = executor(**everything(root)).plan()
        assert plan.steps[0].says == "Look at 5 logs below 1 directory; change nothing."
        assert plan.steps[1].says.startswith("Delete 2 logs last written more than 30 days ago. Removed files go to")
        assert plan.steps[2].says.startswith("Compress 1 log last written more than 10 days ago to .gz.")
        assert plan.steps[3].says.startswith(f"Move 1 log last written more than 5 days ago to {root.parent}/archive.")

    def test_a_sample_and_small_json_however_many(self, tmp_path: Path) -> None:
        for number in range(2000):
            put(tmp_path / "l" / f"a{number}.log", 40, 1)
        step = executor(log_paths=[f"{tmp_path}/l/*"]).plan().steps[1]
        assert len(step.sample) == 20
        assert set(step.sample[0]) == {"path", "bytes", "age_seconds"}
        assert step.sample[0]["path"].startswith(f"{tmp_path}/l/a")
        assert abs(step.sample[0]["age_seconds"] - 40 * DAY) < 1
        assert len(json.dumps(step_to_json(step))) < 6000

    def test_exclusions_win(self, root: Path) -> None:
        for exclude in (["a40.*"], [f"{root}/*/a40.log"], ["app/a40.log"]):
            assert executor(**everything(root, exclude=exclude)).plan().steps[1].items == 1
        assert executor(**everything(root, exclude=["app"])).plan().steps[0].items == 0

    def test_roots_within_roots_count_each_file_once(self, root: Path) -> None:
        put(root / "b40.log", 40)
        paths = [f"{root}/**/*.log", f"{root}/app/*.log", f"{root}/*/a40.log"]
        plan = executor(log_paths=paths).plan()
        assert [step.items for step in plan.steps] == [6, 3]
        run_all(executor(log_paths=paths))
        assert names(root) == ["app/a1.log", "app/a12.log", "app/a6.log"]

    def test_the_same_files_as_the_run(self, root: Path) -> None:
        logs = executor(**everything(root))
        steps, details = run_all(logs)
        assert {step.name: step.items for step in steps[1:]} == {
            name: figures["files"] for name, figures in details.items() if name != "analysis"
        }

    def test_plain_log_that_is_missing_is_a_warning(self, root: Path) -> None:
        paths = [f"{root}/app/a40.log", f"{root}/app/gone.log", f"{root}/app/*.out"]
        plan = executor(log_paths=paths).plan()
        assert plan.warnings == (f"{root}/app/gone.log does not exist: nothing is cleaned there until it does",)

    def test_a_plain_path_is_a_file_and_a_directory_is_told(self, root: Path) -> None:
        plan = executor(log_paths=[f"{root}/app/a40.log", f"{root}/app"]).plan()
        assert plan.steps[1].items == 1
        assert plan.warnings == (
            f"{root}/app is left alone: it is a directory; name the files in it, as {root}/app/*.log",
        )

    def test_a_name_of_any_bytes(self, root: Path) -> None:
        path = put(root / "app" / "\udcff\n\x1b[31m.log", 40)
        logs = executor(**everything(root))
        steps, details = run_all(logs, ["cleanup"])
        assert details["cleanup"]["files"] == 3
        assert not path.exists()
        undo_all(steps)
        assert path.exists()


class TestRefusals:
    def test_no_safe_root(self, root: Path, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to("logs")
        root.chmod(0o777)
        failed = refusal(log_paths=[f"{tmp_path}/link/*", f"{root}/*/*"])
        assert failed.kind == "unsafe"
        assert f"{tmp_path}/link is a symbolic link to logs; name the real directory" in failed.message
        assert "may be written by everyone" in failed.message

    def test_one_root_of_several(self, root: Path, tmp_path: Path) -> None:
        paths = [f"{tmp_path}/missing/*.log", f"{root}/*/*.log"]
        plan = executor(log_paths=paths).plan()
        assert plan.warnings == (f"{tmp_path}/missing does not exist",)
        assert plan.steps[1].items == 2
        (tmp_path / "link").symlink_to("logs")
        plan = executor(log_paths=[f"{tmp_path}/link/*", *paths]).plan()
        assert len(plan.warnings) == 2

    def test_nothing_there_is_no_failure(self, tmp_path: Path) -> None:
        logs = executor(log_paths=[f"{tmp_path}/missing/*.log"])
        plan = logs.plan()
        assert plan.warnings == (f"{tmp_path}/missing does not exist",)
        assert [logs.run(step)["files"] for step in plan.steps] == [0, 0]
        assert logs.run(plan.steps[0])["refused"] == [
            {"path": f"{tmp_path}/missing", "why": f"{tmp_path}/missing does not exist"}
        ]

    def test_too_much_at_once(self, root: Path) -> None:
        (refused,) = executor(**everything(root), mass_deletion=MassDeletion(share=0.39, items=1)).plan().refusals
        assert (refused["guard"], refused["verdict"], refused["items"], refused["files"]) == (
            "mass_deletion",
            "refuse",
            2,
            5,
        )
        assert "2 of 5 logs would be deleted (40%)" in refused["detail"]
        for limit in (MassDeletion(share=0.4, items=1), MassDeletion(share=0.0, items=2)):
            assert executor(**everything(root), mass_deletion=limit).plan().refusals == ()

    def test_a_root_that_is_not_what_it_was(self, root: Path) -> None:
        seen, _ = map(from_json, executor(**everything(root)).plan().roots)
        assert (seen.path, seen.files, seen.doomed, seen.filesystem is None) == (str(root), 5, 2, False)
        assert executor(**everything(root), seen={seen.path: seen}).plan().refusals == ()
        other = replace(seen, filesystem=Filesystem("1", "/dev/sdz1", "ext4", "/elsewhere"))
        (refused,) = executor(**everything(root), seen={seen.path: other}).plan().refusals
        assert "on another file system" in refused["detail"]
        root.rename(root.parent / "moved")
        (refused,) = executor(**everything(root), seen={seen.path: seen}).plan().refusals
        assert refused["detail"].startswith(
            f"{root} is missing, and had 5 logs when it was last worked in (2026-11-24)"
        )

    def test_the_guard_is_for_each_root(self, root: Path) -> None:
        for number in range(100):
            put(root / "other" / f"new{number}.log", 1)
        whole = everything(root)
        apart = everything(root, log_paths=[f"{root}/app/*.log", f"{root}/other/*.log"])
        limit = MassDeletion(share=0.25, items=1)
        assert executor(**whole, mass_deletion=limit).plan().refusals == ()
        (refused,) = executor(**apart, mass_deletion=limit).plan().refusals
        assert refused["detail"].startswith(f"{root}/app: 2 of 5")

    def test_an_unsafe_directory_below_is_left_alone(self, root: Path) -> None:
        put(root / "open" / "a40.log", 40)
        (root / "open").chmod(0o777)
        logs = executor(**everything(root))
        plan = logs.plan()
        assert plan.steps[1].items == 2
        assert plan.warnings[0].startswith(f"{root}/open is left alone: it may be written by everyone")
        assert logs.run(plan.steps[0])["skipped_count"] == 1

    @as_root
    def test_the_owner_is_named_and_what_to_set(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """By who cannot take the owner's rights."""
        monkeypatch.setattr("jamaint.files.rights.owners.can_lend", lambda: False)
        os.chown(root, 65534, -1)
        assert "set `user: " in refusal(**everything(root)).message

    def test_a_root_that_was_replaced_after_the_plan(self, root: Path) -> None:
        logs = executor(**everything(root))
        plan = logs.plan()
        root.rename(root.parent / "old")
        put(root / "app" / "a40.log", 40)
        with pytest.raises(StepError, match="was replaced since it was looked at"):
            logs.run(plan.steps[1])
        assert (root / "app" / "a40.log").exists()


class TestRun:
    def test_analysis_changes_nothing_and_tells_all(self, root: Path) -> None:
        logs = executor(**everything(root))
        plan, before = logs.plan(), snapshot(root)
        details = logs.run(plan.steps[0])
        assert differences(before, snapshot(root)) == []
        assert (details["files"], details["bytes"]) == (5, plan.steps[0].bytes)
        (only,) = details["roots"]
        assert only["by_class"]["cleanup"] == {"files": 2, "bytes": plan.steps[1].bytes}
        assert only["oldest"] == "2026-10-05T02:00:00.123Z"
        assert only["newest"] == "2026-11-23T02:00:00.123Z"
        assert details["free_bytes_before"] > 0

    def test_each_file_goes_where_it_belongs(self, root: Path) -> None:
        content = (root / "app" / "a12.log").read_bytes()
        old = (root / "app" / "a12.log").stat()
        run_all(executor(**everything(root)))
        assert names(root.parent) == ["archive/app/a6.log", "logs/app/a1.log", "logs/app/a12.log.gz"]
        packed = root / "app" / "a12.log.gz"
        assert gzip.decompress(packed.read_bytes()) == content
        new = packed.stat()
        assert (new.st_mode, new.st_uid, new.st_mtime_ns) == (old.st_mode, old.st_uid, old.st_mtime_ns)

    def test_what_was_compressed_is_archived_by_a_later_run(self, root: Path) -> None:
        run_all(executor(**everything(root)))
        run_all(executor(execution="e-2", **everything(root)))
        assert names(root.parent) == ["archive/app/a12.log.gz", "archive/app/a6.log", "logs/app/a1.log"]

    def test_figures_with_a_trash(self, root: Path) -> None:
        blocks = {age: (root / "app" / f"a{age}.log").stat().st_blocks * 512 for age in (6, 12, 40, 50)}
        _, details = run_all(executor(**everything(root)))
        made = (root / "app" / "a12.log.gz").stat()
        assert details["cleanup"]["freed_space"] == 0
        assert details["cleanup"]["freed_on_purge"] == blocks[40] + blocks[50]
        assert details["compression"]["freed_space"] == -made.st_blocks * 512
        assert details["compression"]["freed_on_purge"] == blocks[12]
        assert details["compression"]["made_bytes"] == made.st_size
        assert (details["archive"]["freed_space"], details["archive"]["freed_on_purge"]) == (0, 0)

    def test_without_a_way_back(self, root: Path) -> None:
        blocks = {age: (root / "app" / f"a{age}.log").stat().st_blocks * 512 for age in (6, 12, 40, 50)}
        logs = executor(**everything(root), keeps_way_back=False)
        steps, details = run_all(logs)
        assert [step.undo for step in steps] == [None] * 4
        assert "The task keeps no undo data" in steps[1].says
        made = (root / "app" / "a12.log.gz").stat()
        assert details["cleanup"]["freed_space"] == blocks[40] + blocks[50]
        assert details["cleanup"]["freed_on_purge"] == 0
        assert details["compression"]["freed_space"] == blocks[12] - made.st_blocks * 512
        assert names(root.parent) == ["archive/app/a6.log", "logs/app/a1.log", "logs/app/a12.log.gz"]
        assert not list(root.parent.rglob(".jamaint*"))
        assert logs.undo(steps[1], False) == {"restored": 0, "removed": 0, "kept": [], "problems": []}
        assert logs.purge(steps[1])["items"] == 0

    def test_on_a_disk_that_is_nearly_full_nothing_goes_to_the_trash(self, root: Path) -> None:
        plan = executor(**everything(root), low_space=1.0).plan()
        assert [step.undo for step in plan.steps] == [None] * 4
        assert f"of the disk of {root} is free (the limit is 100.0%)" in plan.steps[1].says
        run_all(executor(**everything(root), low_space=1.0))
        assert not list(root.parent.rglob(".jamaint*"))

    def test_one_root_of_two_on_a_full_disk(self, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        put(tmp_path / "full" / "a40.log", 40)
        spaces = {True: FreeSpace(1 << 20, 100 << 20), False: FreeSpace(50 << 20, 100 << 20)}
        monkeypatch.setattr(removal_methods, "own_space", lambda path: spaces[path.endswith("full")])
        paths = [f"{root}/*/*", f"{tmp_path}/full/*"]
        steps, details = run_all(executor(log_paths=paths, low_space=0.05))
        assert steps[1].undo is not None
        assert [entry["path"] for entry in steps[1].undo["roots"]] == [str(root)]
        assert details["cleanup"]["freed_space"] > 0
        assert details["cleanup"]["freed_on_purge"] > 0
        assert undo_all(steps)["restored"] == 2

    def test_a_file_that_is_written_to_is_left_to_its_writer(self, root: Path) -> None:
        hold = "import sys; f = open(sys.argv[1], 'a'); print('open', flush=True); sys.stdin.read()"
        path = root / "app" / "a40.log"
        with subprocess.Popen(
            [sys.executable, "-c", hold, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as child:
            assert child.stdout is not None
            child.stdout.readline()
            logs = executor(**everything(root))
            plan = logs.plan()
            assert plan.steps[1].items == 1
            why = f"process {child.pid} holds it open for writing"
            assert {"path": str(path), "why": why} in logs.run(plan.steps[0])["skipped"]
            child.communicate()

    def test_a_writer_that_came_after_the_plan(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        logs = executor(**everything(root))
        steps = logs.plan().steps
        held = {(seen.st_dev, seen.st_ino): 4711 for seen in (path.stat() for path in (root / "app").iterdir())}
        monkeypatch.setattr("jamaint.files.cleanup.survey_step.open_files", lambda: OpenFiles(writers=held))
        for step in steps[1:]:
            details = logs.run(step)
            assert details["files"] == 0
            assert details["skipped_count"] == step.items
            assert details["problems"] == []
            assert "process 4711" in details["skipped"][0]["why"]
        assert len(names(root)) == 5

    def test_processes_that_cannot_be_seen_are_told_once(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("jamaint.executors.logs_cleanup.executor.open_files", lambda: OpenFiles(hidden=3))
        warnings = executor(**everything(root)).plan().warnings
        assert len(warnings) == 1
        assert "other users' processes cannot be seen" in warnings[0]

    def test_hard_links_are_not_compressed(self, root: Path) -> None:
        os.link(root / "app" / "a12.log", root.parent / "second")
        logs = executor(**everything(root, archive=None))
        steps, details = run_all(logs)
        assert steps[2].items == 0
        assert details["analysis"]["skipped"][0]["why"] == "it has 2 names (hard links): not compressed"

    def test_a_link_that_came_after_the_plan(self, root: Path) -> None:
        logs = executor(**everything(root, archive=None))
        plan = logs.plan()
        os.link(root / "app" / "a12.log", root.parent / "second")
        details = logs.run(plan.steps[2])
        assert details["files"] == 0
        assert details["skipped"][0]["why"] == "it has 2 names (hard links)"

    def test_a_file_that_changed_after_the_plan(self, root: Path) -> None:
        logs = executor(**everything(root))
        plan = logs.plan()
        for path in (root / "app").iterdir():
            with path.open("ab") as file:
                file.write(b"more\n")
        before = snapshot(root)
        for step in plan.steps[1:]:
            details = logs.run(step)
            assert details["files"] == 0
            assert details["skipped"][0]["why"] == "it has changed since it was looked at"
        undo_all(plan.steps)
        assert differences(before, snapshot(root)) == []

    @pytest.mark.parametrize("algorithm", ["gzip", "zstd"])
    def test_names_in_the_way_are_not_overwritten(self, root: Path, algorithm: str) -> None:
        pytest.importorskip("zstandard")
        suffix = ".gz" if algorithm == "gzip" else ".zst"
        put(root / "app" / f"a12.log{suffix}", 1, b"theirs")
        put(root / "app" / f"a12.log.1{suffix}", 1, b"theirs")
        put(root.parent / "archive" / "app" / "a6.log", 1, b"theirs")
        run_all(executor(**everything(root, compress=GZIP | {"algorithm": algorithm})))
        assert (root / "app" / f"a12.log.2{suffix}").exists()
        assert (root.parent / "archive" / "app" / "a6.log.1").exists()
        assert (root.parent / "archive" / "app" / "a6.log").read_bytes() == b"theirs"

    def test_zstd_without_its_library(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(compression, "_library", lambda name: None)
        logs = executor(**everything(root, compress=GZIP | {"algorithm": "zstd"}))
        plan = logs.plan()
        assert "zstandard is not installed" in plan.warnings[0]
        logs.run(plan.steps[2])
        assert (root / "app" / "a12.log.gz").exists()

    def test_what_is_limited_goes_a_few_at_a_time(self, root: Path) -> None:
        for number in range(40):
            put(root / "app" / f"c{number}.log", 60)

        class Limited(Talk):
            def portion(self, most: int) -> int:
                return min(most, 7)

        host = Limited()
        run_all(executor(host, log_paths=[f"{root}/**/c*.log"]))
        done = [0, *(done for done, _, unit in host.progressed if unit == "items")]
        assert max(done) == 40
        assert max(b - a for a, b in pairwise(done)) == 7

    def test_progress_ends_at_the_whole(self, root: Path) -> None:
        for name, unit in (("cleanup", "items"), ("compression", "bytes"), ("archive", "bytes")):
            host = Talk()
            steps, _ = run_all(executor(host, **everything(root)), [name])
            step = next(step for step in steps if step.name == name)
            assert host.progressed[-1] == ((step.items if unit == "items" else step.bytes),) * 2 + (unit,)
            undo_all(steps)

    def test_a_worker_that_has_not_planned_looks_itself(self, root: Path) -> None:
        plan: Plan = executor(**everything(root)).plan()
        logs = executor(**everything(root))
        assert [logs.run(through_json(step))["files"] for step in plan.steps] == [5, 2, 1, 1]

    def test_paths_longer_than_the_kernel_takes(self, root: Path) -> None:
        fd = os.open(root, os.O_RDONLY)
        for _ in range(17):
            os.mkdir("d" * 250, dir_fd=fd)
            inner = os.open("d" * 250, os.O_RDONLY, dir_fd=fd)
            os.close(os.open("a.log", os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=inner))
            os.utime("a.log", (0, 0), dir_fd=inner)
            os.close(fd)
            fd = inner
        os.close(fd)
        logs = executor(log_paths=[f"{root}/**/*.log"])
        steps, details = run_all(logs)
        assert details["cleanup"]["files"] == 2 + 15
        assert details["analysis"]["problems_count"] == 1
        assert undo_all(steps)["restored"] == 17
        subprocess.run(["rm", "-rf", str(root)], check=True)


class TestTrouble:
    def test_some_files_that_cannot_be_taken(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        plain = os.rename

        def refuse(source: str, *args: Any, **kwargs: Any) -> None:
            if source == "a40.log":
                raise OSError(errno.EPERM, "no")
            plain(source, *args, **kwargs)

        host = Talk()
        monkeypatch.setattr(os, "rename", refuse)
        _, details = run_all(executor(host, **everything(root)), ["cleanup"])
        assert details["cleanup"]["files"] == 1
        assert details["cleanup"]["problems"] == [{"path": f"{root}/app/a40.log", "why": "operation not permitted"}]
        assert host.logged == [("warning", f"{root}/app/a40.log is left alone: operation not permitted")]

    def test_no_file_that_can_be_taken(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*args: Any, **kwargs: Any) -> None:
            raise OSError(errno.EIO, "no")

        monkeypatch.setattr(os, "rename", refuse)
        logs = executor(**everything(root))
        plan = logs.plan()
        with pytest.raises(StepError, match="nothing could be done") as failed:
            logs.run(plan.steps[1])
        assert failed.value.details["problems_count"] == 2

    @as_root
    def test_immutable_files_are_told(self, root: Path) -> None:
        locked = root / "app" / "a40.log"
        if subprocess.run(["chattr", "+i", str(locked)], check=False, capture_output=True).returncode:
            pytest.skip("no chattr here")
        try:
            steps, details = run_all(executor(**everything(root)), ["cleanup"])
        finally:
            subprocess.run(["chattr", "-i", str(locked)], check=True)
        assert details["cleanup"]["problems"] == [{"path": str(locked), "why": "it is immutable (chattr)"}]
        assert undo_all(steps)["restored"] == 1

    @pytest.mark.parametrize("name", ["compression", "archive"])
    def test_a_disk_that_fills_up_while_a_file_is_made(
        self, root: Path, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = snapshot(root.parent)
        plain_write, plain_link = os.write, os.link

        def full(fd: int, data: Any) -> int:
            raise OSError(errno.ENOSPC, "full")

        def no_link(source: str, *args: Any, **kwargs: Any) -> None:
            if source.startswith("/proc") and len(os.listdir(root / "app")) == 5:
                raise OSError(errno.EXDEV, "elsewhere")
            plain_link(source, *args, **kwargs)

        monkeypatch.setattr(os, "write", full)
        monkeypatch.setattr(os, "link", no_link)
        logs = executor(**everything(root))
        steps = [through_json(step) for step in logs.plan().steps]
        step = next(step for step in steps if step.name == name)
        with pytest.raises(StepError, match="no space left on device"):
            logs.run(step)
        monkeypatch.setattr(os, "write", plain_write)
        monkeypatch.setattr(os, "link", plain_link)
        assert len(names(root)) == 5
        assert list(root.parent.rglob("*half*")) == []
        undo_all(steps)
        assert differences(before, snapshot(root.parent)) == []
        _, details = run_all(executor(**everything(root)))
        assert details[name]["files"] == 1

    def test_an_archive_that_cannot_be_used_is_loud(self, root: Path) -> None:
        (root.parent / "open").mkdir()
        (root.parent / "open").chmod(0o777)
        archive = {"directory": f"{root.parent}/open", "older_than_seconds": 5 * DAY}
        logs = executor(**everything(root, archive=archive))
        plan = logs.plan()
        assert "the archive cannot be used" in plan.warnings[0]
        logs.run(plan.steps[1])
        with pytest.raises(StepError, match="may be written by everyone") as failed:
            logs.run(plan.steps[3])
        assert failed.value.kind == "unsafe"

    def test_where_a_directory_of_the_archive_cannot_be_used_each_log_is_told(self, root: Path) -> None:
        put(root / "app" / "b6.log", 6)
        put(root / "other" / "c6.log", 6)
        put(root.parent / "archive" / "app", 1)
        _, details = run_all(executor(**everything(root)))
        told = details["archive"]["problems"]
        assert sorted(item["path"] for item in told) == [f"{root}/app/a6.log", f"{root}/app/b6.log"]
        where = f"its place in the archive, {root.parent}/archive/app, cannot be used"
        assert {item["why"] for item in told} == {f"{where}: it is a link or no directory any more"}
        assert (root.parent / "archive" / "other" / "c6.log").exists()

    def test_an_archive_within_its_root_is_archived_once(self, root: Path) -> None:
        archive = {"directory": f"{root}/archive", "older_than_seconds": 5 * DAY}
        config = everything(root, archive=archive, compress=None)
        before = snapshot(root)
        steps, _ = run_all(executor(**config))
        assert names(root) == ["app/a1.log", "archive/app/a12.log", "archive/app/a6.log"]
        plan = executor(execution="e-2", **config).plan()
        assert [step.items for step in plan.steps] == [3, 0, 0]
        later = executor(execution="e-3", **config, now=NOW.replace(year=2027)).plan()
        assert later.steps[1].items == 3  # what is archived is deleted in its time where the paths mean it
        undo_all(steps)
        assert differences(before, snapshot(root)) == []

    @pytest.mark.parametrize("name", ["cleanup", "compression", "archive"])
    def test_a_stop_leaves_what_can_be_undone(self, tmp_path: Path, name: str) -> None:
        root = tmp_path / "logs"
        for number in range(40):
            put(root / f"d{number}" / "a.log", {"cleanup": 40, "compression": 12, "archive": 6}[name], 50)
        before = snapshot(tmp_path)
        host = Talk()
        logs = executor(host, **everything(root))
        steps = logs.plan().steps
        host.stop_after(12)
        step = next(step for step in steps if step.name == name)
        with pytest.raises(StopRequestedError) as stopped:
            logs.run(step)
        done = stopped.value.args[0]["files"]
        assert 0 < done < 40
        assert undo_all(steps)["restored"] == done
        assert differences(before, snapshot(tmp_path)) == []

    def test_a_stop_within_a_large_file(self, root: Path) -> None:
        grow_old(put(root / "app" / "big.log", 12, 12_000_000), 12)
        before = snapshot(root)
        host = Talk()
        logs = executor(host, **everything(root, archive=None, log_paths=[f"{root}/app/big.log"]))
        steps = logs.plan().steps
        host.stop_after(3)
        with pytest.raises(StopRequestedError):
            logs.run(steps[2])
        assert host.progressed[-1][0] <= 4 << 20
        undo_all(steps)
        assert differences(before, snapshot(root)) == []

    def test_undo_in_the_order_of_the_plan_backwards(self, root: Path) -> None:
        steps = executor(**everything(root)).plan().steps
        assert [step.name for step in undo_order(steps)] == ["archive", "compression", "cleanup"]


def test_what_an_undo_put_back_is_held(tmp_path: Path) -> None:
    for name, age in {"a.log": 40, "b.log": 3}.items():
        put(tmp_path / name, age)
    compress = {"algorithm": "gzip", "older_than_seconds": DAY}
    config = {"log_paths": [f"{tmp_path}/*.log"], "compress": compress}
    steps, _ = run_all(executor(**config))
    records = [record for step in undo_order(steps) for record in executor(**config).undo(step, False).get("held", ())]
    assert len(records) == 2
    _, details = run_all(executor(**config, held=records, execution="e-2", now=datetime.now(UTC)))
    assert sum(one.get("files", 0) for name, one in details.items() if name != "analysis") == 0
    assert {path.name for path in tmp_path.glob("*.log*")} == {"a.log", "b.log"}
