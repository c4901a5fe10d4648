"""logs.rotate: what it plans, refuses, does, skips and tells."""

import fcntl
import gzip
import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from jamaint.core.plans import MassDeletion, undo_order
from jamaint.executors.shared.executor import StepError, StopRequestedError
from logs_cleanup_runs import NOW, Talk, age_directories, put
from logs_rotate_runs import names, rotate, rotation_config, rotator, undo_rotation
from tree_snapshot import differences, snapshot

DAY = timedelta(days=1)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

pytestmark = pytest.mark.usefixtures("all_seen")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("a.log", "b.log"):
        put(tmp_path / "logs" / name, 1, f"a line of {name}\n".encode() * 300)
    put(tmp_path / "logs" / "empty.log", 1, b"")
    age_directories(tmp_path)
    return tmp_path / "logs"


@contextmanager
def in_another_process(log: Path) -> Iterator[Callable[[bytes], None]]:
    """A process that has a log open, and writes what it is given."""
    program = ["/bin/sh", "-c", "exec cat"]
    with log.open("ab") as opened, subprocess.Popen(program, stdin=subprocess.PIPE, stdout=opened) as writer:
        assert writer.stdin is not None

        def write(line: bytes) -> None:
            assert writer.stdin is not None
            writer.stdin.write(line)
            writer.stdin.close()
            writer.wait()

        yield write


def config(root: Path, **changes: Any) -> dict[str, Any]:
    return rotation_config([f"{root}/*.log"], **changes)


def refusal(logs: Any) -> StepError:
    with pytest.raises(StepError) as failed:
        logs.plan()
    return failed.value


def test_a_plan_changes_nothing_and_says_what_it_will_do(root: Path) -> None:
    before = snapshot(root.parent)
    signal = {"pid_file": "/run/x.pid", "signal": "HUP"}
    plan = rotator(config(root, compress={"algorithm": "gzip", "delay": True}, signal=signal)).plan()
    assert [(step.name, step.items) for step in plan.steps] == [("rotation", 2), ("compression", 0), ("expiry", 0)]
    assert plan.steps[0].says == (
        "Rotate 2 logs and make new ones. Then send SIGHUP to the process of /run/x.pid. "
        "The names can be put back until the rollback point is purged."
    )
    assert differences(before, snapshot(root.parent)) == []


def test_names_content_owner_and_mode(root: Path) -> None:
    contents, mode = (root / "a.log").read_bytes(), (root / "a.log").stat()
    _, details = rotate(rotator(config(root)))
    assert names(root) == ["a.log", "a.log-20261124", "b.log", "b.log-20261124", "empty.log"]
    assert (root / "a.log-20261124").read_bytes() == contents
    new = (root / "a.log").stat()
    assert (new.st_size, new.st_mode, new.st_uid, new.st_gid) == (0, mode.st_mode, mode.st_uid, mode.st_gid)
    assert new.st_nlink == (root / "a.log-20261124").stat().st_nlink == 1
    assert details["rotation"]["files"] == 2
    assert details["rotation"]["skipped"] == [{"path": f"{root}/empty.log", "why": "it is empty"}]


@as_root
def test_a_new_log_of_another_owner_and_mode(root: Path) -> None:
    rotate(rotator(config(root, create={"mode": 0o600, "owner": "nobody", "group": None})))
    new = (root / "a.log").stat()
    assert (stat.S_IMODE(new.st_mode), new.st_gid) == (0o600, (root / "a.log-20261124").stat().st_gid)
    assert new.st_uid != 0


def test_without_making_new_ones(root: Path) -> None:
    rotate(rotator(config(root, create=None)))
    assert names(root) == ["a.log-20261124", "b.log-20261124", "empty.log"]


@pytest.mark.parametrize("kind", ["date", "number"])
@pytest.mark.parametrize("delay", [True, False])
def test_many_days_and_all_the_way_back(root: Path, kind: str, delay: bool) -> None:
    mine = config(root, names=kind, keep=2, compress={"algorithm": "gzip", "delay": delay})
    befores, runs = [], []
    for day in range(5):
        befores.append(snapshot(root.parent))
        steps, details = rotate(rotator(mine, now=NOW + day * DAY, execution=f"e-{day}"))
        assert not any(found["problems"] for found in details.values())
        runs.append(steps)
        os.unlink(root / "a.log")  # the application's own way to go on, with a file of its own
        put(root / "a.log", 0, f"day {day}\n".encode() * 50)
    found = [name for name in names(root) if name.startswith("a.log")]
    assert len(found) == 3
    newest = max(found) if kind == "date" else "a.log.1"
    assert newest.endswith(".gz") is not delay or kind == "number"
    for before, steps in zip(reversed(befores), reversed(runs), strict=True):
        expected = undo_rotation(mine, steps, dry_run=True)
        outcome = undo_rotation(mine, steps)
        assert outcome == expected
        (kept,) = outcome["kept"]
        assert kept["path"].startswith(f"{root}/a.log.written-since")
        aside = next(root.glob("a.log.written-since*"))
        assert aside.read_bytes().startswith(b"day")
        aside.unlink()
        told = [line for line in differences(before, snapshot(root.parent)) if ".jamaint-trash'" not in line]
        assert [line for line in told if "b'logs': mtime" not in line and "b'.'" not in line] == []


def test_undo_puts_all_back_byte_for_byte(root: Path) -> None:
    for day in range(1, 5):
        put(root / f"a.log-2026111{day}", 20 - day, 1000 * day)
    age_directories(root.parent)
    before = snapshot(root.parent)
    mine = config(root, keep=2, compress={"algorithm": "xz", "delay": False})
    steps, details = rotate(rotator(mine))
    assert details["expiry"]["files"] == 3
    assert details["compression"]["files"] == 3
    assert undo_rotation(mine, steps, dry_run=True) == undo_rotation(mine, steps)
    assert differences(before, snapshot(root.parent)) == []


def test_the_purge_lets_go_of_all(root: Path) -> None:
    mine = config(root, compress={"algorithm": "gzip", "delay": False})
    steps, _ = rotate(rotator(mine))
    for step in undo_order(steps):
        assert rotator(mine).purge(step)["problems"] == []
    assert not (root / ".jamaint-trash").exists()
    assert gzip.decompress((root / "a.log-20261124.gz").read_bytes()).startswith(b"a line")


def test_what_was_written_since_is_kept_beside_and_told(root: Path) -> None:
    old = (root / "a.log").read_bytes()
    mine = config(root)
    steps, _ = rotate(rotator(mine))
    (root / "a.log").write_bytes(b"since\n")
    outcome = undo_rotation(mine, steps)
    assert (outcome["restored"], outcome["removed"]) == (2, 1)
    why = "it has what was written to a.log since"
    assert outcome["kept"] == [{"path": f"{root}/a.log.written-since", "why": why}]
    assert (root / "a.log").read_bytes() == old
    assert (root / "a.log.written-since").read_bytes() == b"since\n"
    assert undo_rotation(mine, steps) == {"restored": 0, "removed": 0, "kept": [], "problems": []}


def test_a_line_written_after_the_undo_by_who_was_not_told_is_not_lost(root: Path) -> None:
    mine = config(root)
    steps, _ = rotate(rotator(mine))
    with in_another_process(root / "a.log") as write:
        dry, outcome = undo_rotation(mine, steps, dry_run=True), undo_rotation(mine, steps)
        write(b"a line\n")
    assert dry == outcome
    assert (outcome["restored"], outcome["removed"], len(outcome["kept"])) == (2, 1, 1)
    assert outcome["kept"][0]["path"] == f"{root}/a.log.written-since"
    assert "still writes to it" in outcome["kept"][0]["why"]
    assert (root / "a.log.written-since").read_bytes() == b"a line\n"


def test_a_new_log_that_was_only_opened_anew_is_removed(root: Path) -> None:
    before, mine = snapshot(root), config(root)
    steps, _ = rotate(rotator(mine))
    (root / "a.log").write_bytes(b"")
    outcome = undo_rotation(mine, steps)
    assert (outcome["removed"], outcome["kept"]) == (2, [])
    assert differences(before, snapshot(root)) == []


def test_not_twice_a_day(root: Path) -> None:
    mine = config(root, every="daily")
    then = NOW - 400 * DAY  # the files are made when the test runs: their birth lies in the future, and says nothing
    rotate(rotator(mine, now=then))
    (root / "a.log").write_bytes(b"more\n")
    _, details = rotate(rotator(mine, now=then, execution="e-2"))
    assert details["rotation"]["files"] == 0
    assert any("rotated daily" in item["why"] for item in details["rotation"]["skipped"])


def test_a_second_one_of_a_day_by_size(root: Path) -> None:
    mine = config(root, max_size=1)
    rotate(rotator(mine))
    (root / "a.log").write_bytes(b"more\n")
    rotate(rotator(mine, execution="e-2"))
    assert (root / "a.log-20261124.1").read_bytes() == b"more\n"


def test_what_stands_in_the_place_is_never_overwritten(root: Path) -> None:
    (root / "a.log-20261124").symlink_to("/etc/passwd")
    (root / "b.log-20261124").mkdir()
    put(root / "a.log-20261124.1.gz", 1)
    rotate(rotator(config(root)))
    assert (root / "a.log-20261124").is_symlink()
    assert {"a.log-20261124.2", "b.log-20261124.1"} <= set(names(root))


def test_links_fifos_and_hard_links_are_left(root: Path, tmp_path: Path) -> None:
    (root / "link.log").symlink_to("/dev/stdout")
    os.mkfifo(root / "pipe.log")
    put(root / "hard.log", 1)
    os.link(root / "hard.log", tmp_path / "other")
    _, details = rotate(rotator(config(root)))
    told = {item["path"].rpartition("/")[2]: item["why"] for item in details["rotation"]["skipped"]}
    assert told["link.log"] == "it is a symbolic link"
    assert told["pipe.log"] == "it is a FIFO"
    assert told["hard.log"] == "it has 2 names (hard links)"
    assert not list(root.glob("hard.log?*"))


def test_a_directory_that_others_may_write_is_refused(root: Path) -> None:
    root.chmod(0o777)
    failed = refusal(rotator(config(root)))
    assert failed.kind == "unsafe"
    assert "may be written by everyone" in failed.message


def test_a_missing_directory_is_told_and_no_failure(root: Path) -> None:
    plan = rotator(rotation_config([f"{root}/away/*.log"])).plan()
    assert plan.warnings == (f"{root}/away does not exist",)
    assert plan.steps[0].items == 0


def test_too_many_at_once(root: Path) -> None:
    for number in range(1, 100):
        put(root / f"a.log-2026{number // 28 + 1:02}{number % 28 + 1:02}", 1)
    (refused,) = rotator(config(root, keep=5), mass_deletion=MassDeletion()).plan().refusals
    assert refused["guard"] == "mass_deletion"
    assert "95 of 99 rotated logs would be deleted" in refused["detail"]


def test_one_that_goes_for_a_new_one_is_no_mass(root: Path) -> None:
    for number in range(60):
        for ending in ("", "-20261122", "-20261123"):
            put(root / f"site{number}.log{ending}", 1)
    plan = rotator(config(root, keep=2), mass_deletion=MassDeletion()).plan()
    assert (plan.refusals, plan.steps[-1].items) == ((), 60)


def test_a_name_that_is_too_long_for_its_ending_holds_up_no_other(root: Path) -> None:
    put(root / f"{'x' * 251}.log", 1)
    _, details = rotate(rotator(config(root)))
    assert (details["rotation"]["files"], details["rotation"]["problems_count"]) == (2, 1)
    assert "file name too long" in details["rotation"]["problems"][0]["why"]


def test_dates_of_a_clock_that_was_ahead_do_not_push_out_what_is_new(root: Path) -> None:
    for day in range(1, 6):
        put(root / f"a.log-2028010{day}", 2)
    for day in range(4):
        put(root / "a.log", 0, b"of day %d\n" % day)
        rotate(rotator(config(root, keep=3), now=NOW + day * DAY, execution=f"e-{day}"))
    kept = sorted(path.name for path in root.glob("a.log-*"))
    assert kept == ["a.log-20261125", "a.log-20261126", "a.log-20261127"]


def test_an_owner_that_is_not_known_leaves_the_log_in_its_place(root: Path) -> None:
    before = snapshot(root)
    mine = config(root, create={"mode": None, "owner": "nobody-of-that-name", "group": None})
    logs = rotator(mine)
    with pytest.raises(StepError, match="the new log cannot be made"):
        logs.run(logs.plan().steps[0])
    assert names(root) == ["a.log", "b.log", "empty.log"]
    assert differences(before, snapshot(root)) == []


def test_a_log_that_is_named_as_a_rotated_one_is_told(root: Path) -> None:
    put(root / "server.1", 1)
    _, details = rotate(rotator(rotation_config([f"{root}/server.1"], names="number")))
    why = "it is named as a rotated log of server is, and there is no such log"
    assert details["rotation"]["skipped"] == [{"path": f"{root}/server.1", "why": why}]


def test_a_number_that_is_taken_is_told_as_a_problem(root: Path) -> None:
    put(root / "a.log.1", 1)
    (root / "a.log.2").mkdir()
    _, details = rotate(rotator(config(root, names="number")))
    why = "a.log.1 would become a.log.2, which is there already: move that away"
    assert details["rotation"]["problems"] == [{"path": f"{root}/a.log", "why": why}]


def test_what_is_not_compressed_is_told(root: Path) -> None:
    os.link(put(root / "a.log-20261101", 1), root / "other")
    _, details = rotate(rotator(config(root, compress={"algorithm": "gzip", "delay": False})))
    why = "it has 2 names (hard links): not compressed"
    assert {"path": f"{root}/a.log-20261101", "why": why} in details["rotation"]["skipped"]


def test_no_compressed_log_gets_a_name_that_no_rotation_counts(root: Path) -> None:
    put(root / "a.log.1", 1)
    put(root / "a.log.1.gz", 1)
    for day in range(8):
        put(root / "a.log", 0, b"of day %d\n" % day)
        mine = config(root, keep=3, names="number", compress={"algorithm": "gzip", "delay": True})
        _, details = rotate(rotator(mine, now=NOW + day * DAY, execution=f"e-{day}"))
        if day == 0:
            assert f"{root}/a.log.1" in [item["path"] for item in details["rotation"]["skipped"]]
    assert sorted(path.name for path in root.glob("a.log.*")) == ["a.log.1", "a.log.2.gz", "a.log.3.gz"]


def test_excluded_logs_keep_what_was_rotated_of_them(root: Path) -> None:
    for day in range(1, 9):
        put(root / f"a.log-2026110{day}", 1)
    rotate(rotator(config(root, keep=2, exclude=["a.log"])))
    assert len(list(root.glob("a.log*"))) == 9


def test_without_a_way_back(root: Path) -> None:
    mine = config(root, compress={"algorithm": "gzip", "delay": False})
    steps, _ = rotate(rotator(mine, keeps_way_back=False))
    assert all(step.undo is None for step in steps)
    assert "there it cannot be put back" in steps[0].says
    assert not (root / ".jamaint-trash").exists()
    assert {"a.log", "a.log-20261124.gz"} <= set(names(root))


class TestCommands:
    def test_once_for_all_logs(self, root: Path, tmp_path: Path) -> None:
        script = tmp_path / "say"
        script.write_text(f'#!/bin/sh\necho "$1" $(ls {root} | wc -l) >> {tmp_path}/said\n')
        script.chmod(0o755)
        rotate(rotator(config(root, prerotate=[str(script), "before"], postrotate=[str(script), "after"])))
        assert (tmp_path / "said").read_text() == "before 3\nafter 5\n"

    def test_not_when_nothing_is_rotated(self, root: Path, tmp_path: Path) -> None:
        for name in ("a.log", "b.log"):
            (root / name).write_bytes(b"")
        rotate(rotator(config(root, prerotate=["/bin/false"], postrotate=["/bin/false"])))

    def test_a_failing_prerotate_leaves_all_as_it_is(self, root: Path) -> None:
        before = names(root)
        with pytest.raises(StepError, match="prerotate exited with 1: nothing was rotated"):
            rotate(rotator(config(root, prerotate=["/bin/false"])))
        assert names(root) == before

    def test_one_that_hangs_is_ended_and_told(self, root: Path) -> None:
        obedient = ["/bin/sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"]
        with pytest.raises(StepError) as failed:
            rotate(rotator(config(root, postrotate=obedient), timeout_seconds=0.3))
        assert failed.value.message == (
            "postrotate was ended: it had not finished within 0.3 s, and the logs are rotated"
        )

    def test_one_that_hangs_can_be_cancelled(self, root: Path) -> None:
        class Cancelled(Talk):
            asked = 0

            def paused(self) -> int:
                self.asked += 1
                if self.asked > 1:
                    raise StopRequestedError
                return 0

        before, host = names(root), Cancelled()
        with pytest.raises(StopRequestedError):
            rotate(rotator(config(root, prerotate=["/bin/sleep", "1000"]), host))
        assert names(root) == before
        assert ("warning", "prerotate was stopped before it had finished: nothing was rotated") in host.logged

    def test_the_writers_are_told_although_it_is_to_stop(self, root: Path, tmp_path: Path) -> None:
        class Cancelled(Talk):
            def paused(self) -> int:
                raise StopRequestedError

        host = Cancelled()
        logs = rotator(config(root, postrotate=["/bin/sh", "-c", f"echo told > {tmp_path}/said"]), host)
        step = logs.plan().steps[0]
        host.stop_after(1)
        with pytest.raises(StopRequestedError):
            logs.run(step)
        assert (tmp_path / "said").read_text() == "told\n"

    def test_a_failing_postrotate_is_told_and_can_be_undone(self, root: Path) -> None:
        before = snapshot(root)
        mine = config(root, postrotate=["/bin/sh", "-c", "echo why; exit 3"])
        logs = rotator(mine)
        steps = logs.plan().steps
        with pytest.raises(StepError) as failed:
            logs.run(steps[0])
        assert failed.value.message == "postrotate exited with 3, and the logs are rotated; last line: why"
        assert failed.value.details["files"] == 2
        outcome = undo_rotation(mine, steps)
        assert len(outcome["problems"]) == 1  # the writers could not be told that all is back
        assert differences(before, snapshot(root)) == []

    def test_the_writers_are_told_when_all_is_back_too(self, root: Path, tmp_path: Path) -> None:
        mine = config(root, postrotate=["/bin/sh", "-c", f"echo told >> {tmp_path}/said"])
        steps, _ = rotate(rotator(mine))
        undo_rotation(mine, steps, dry_run=True)
        assert (tmp_path / "said").read_text() == "told\n"
        undo_rotation(mine, steps)
        assert (tmp_path / "said").read_text() == "told\ntold\n"


class TestCopyTruncate:
    def test_there_and_back(self, root: Path) -> None:
        before = snapshot(root.parent)
        inode = (root / "a.log").stat().st_ino
        mine = config(root, copy_truncate=True)
        steps, _ = rotate(rotator(mine))
        assert (root / "a.log").stat().st_ino == inode
        assert (root / "a.log").stat().st_size == 0
        assert (root / "a.log-20261124").read_bytes().startswith(b"a line")
        assert undo_rotation(mine, steps, dry_run=True) == undo_rotation(mine, steps)
        assert differences(before, snapshot(root.parent)) == []

    @pytest.mark.parametrize("since", [b"since\n", b"a line of a.log\n"])
    def test_what_was_written_since_stays_and_so_does_the_copy(self, root: Path, since: bytes) -> None:
        mine = config(root, copy_truncate=True)
        steps, _ = rotate(rotator(mine))
        (root / "a.log").write_bytes(since)
        outcome = undo_rotation(mine, steps)
        assert outcome["restored"] == 1
        why = "it has been written to since the rotation; what was in it stays as a.log-20261124"
        assert outcome["kept"] == [{"path": f"{root}/a.log", "why": why}]
        assert (root / "a.log").read_bytes() == since
        assert (root / "a.log-20261124").exists()


def test_a_large_log_that_is_copied_can_be_left_in_the_midst(root: Path) -> None:
    put(root / "a.log", 1, 4 << 20)
    before, host = snapshot(root), Talk()
    logs = rotator(config(root, copy_truncate=True), host)
    steps = logs.plan().steps
    host.stop_after(3)
    with pytest.raises(StopRequestedError):
        logs.run(steps[0])
    assert names(root) == ["a.log", "b.log", "empty.log"]
    undo_rotation(config(root, copy_truncate=True), steps)
    assert differences(before, snapshot(root)) == []


def test_a_log_with_holes_comes_back_with_them(root: Path) -> None:
    holes = 64 << 20
    with (root / "a.log").open("r+b") as log:
        for at in (holes, 2 * holes):
            log.seek(at)
            log.write(b"a line\n")
        log.truncate(3 * holes)
    content, blocks = (root / "a.log").read_bytes(), (root / "a.log").stat().st_blocks
    mine = config(root, copy_truncate=True)
    steps, _ = rotate(rotator(mine))
    assert (root / "a.log-20261124").stat().st_blocks <= blocks + 16
    outcome = undo_rotation(mine, steps)
    assert (outcome["kept"], outcome["problems"]) == ([], [])
    assert (root / "a.log").read_bytes() == content
    assert (root / "a.log").stat().st_blocks <= blocks + 16


def test_a_log_that_is_still_held_is_compressed_at_the_next_rotation(root: Path) -> None:
    mine = config(root, compress={"algorithm": "gzip", "delay": False})
    with (root / "a.log").open("ab") as log, subprocess.Popen(["sleep", "600"], stdout=log) as writer:
        _, details = rotate(rotator(mine))
        writer.kill()
    assert [item["path"] for item in details["compression"]["skipped"]] == [f"{root}/a.log-20261124"]
    assert "holds it open for writing" in details["compression"]["skipped"][0]["why"]
    rotate(rotator(mine, now=NOW + DAY, execution="e-2"))
    assert (root / "a.log-20261124.gz").exists()


def test_logrotate_at_work_is_not_disturbed(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = tmp_path / "status"
    state.write_text(f'logrotate state -- version 2\n"{root}/a.log" 2026-11-23-1:2:3\n"{root}/b.log" 2026-1-1-0:0:0\n')
    state.chmod(0o640)
    monkeypatch.setattr("jamaint.executors.logs_rotate.logrotate_state.STATE", str(state))
    logs = rotator(config(root))
    plan = logs.plan()
    assert plan.warnings == (f"logrotate rotates {root}/a.log too: take it out of one of the two",)
    with state.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(StepError, match="logrotate is at work now: nothing was rotated"):
            logs.run(plan.steps[0])
    assert logs.run(plan.steps[0])["files"] == 2


def test_a_writer_is_told_by_a_signal_also_when_all_is_back(root: Path, tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    script = f"trap 'echo hup >> {heard}' HUP; echo up > {heard}; while :; do sleep 0.05; done"
    with subprocess.Popen(["sh", "-c", script]) as writer:
        try:
            while not heard.exists() or not heard.read_text():
                pass
            (tmp_path / "pid").write_text(f"{writer.pid}\n")
            mine = config(root, signal={"pid_file": str(tmp_path / "pid"), "signal": "HUP"})
            steps, _ = rotate(rotator(mine))
            while heard.read_text() != "up\nhup\n":
                pass
            undo_rotation(mine, steps)
            while heard.read_text() != "up\nhup\nhup\n":
                pass
        finally:
            writer.kill()


def test_a_writer_that_cannot_be_told_is_a_failure_that_says_so(root: Path, tmp_path: Path) -> None:
    logs = rotator(config(root, signal={"pid_file": f"{tmp_path}/none", "signal": "HUP"}))
    step = logs.plan().steps[0]
    with pytest.raises(StepError) as failed:
        logs.run(step)
    why = f"{tmp_path}/none cannot be read: no such file or directory"
    assert failed.value.message == f"the writers were not told that their logs were rotated: {why}"
    assert failed.value.details["files"] == 2


def test_it_says_how_far_it_is(root: Path) -> None:
    talk = Talk()
    rotate(rotator(config(root), talk))
    assert (2, 2, "items") in talk.progressed
