"""temp.cleanup: which files and directories go, which stay whatever their age, and that all of it can be put back."""

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from jamaint.core.plans import MassDeletion, Step
from jamaint.executors.shared.executor import StepError, StopRequestedError, Work
from jamaint.executors.temp_cleanup.executor import TempCleanup
from jamaint.executors.temp_cleanup.tmpfiles_d import spared
from jamaint.files.access import syscalls
from logs_cleanup_runs import DAY, EVERYTHING, NOW, Talk, age_directories, grow_old, put, through_json
from tree_snapshot import differences, snapshot

MODIFIED = {"files": ["modification"], "directories": ["modification"]}


def temp(*paths: Mapping[str, Any], host: Talk | None = None, execution: str = "e-1", **changes: Any) -> TempCleanup:
    """The executor for these paths; what a path leaves out is as in the configuration, but old by modification."""
    default = {"age_seconds": 10 * DAY, "age_by": MODIFIED, "pattern": None, "exclude": [], "unit": "file"}
    fields: dict[str, Any] = {
        "keeps_way_back": True,
        "mass_deletion": EVERYTHING,
        "low_space": 0.0,
        "now": NOW,
    } | changes
    config = {"paths": [default | dict(path) for path in paths]}
    work = Work(execution=execution, task_name="temp", config=config, timeout_seconds=None, **fields)
    return TempCleanup(work, host or Talk())


def run(executor: TempCleanup) -> tuple[Step, dict[str, Any]]:
    """Plans and runs its step, which goes through JSON on the way."""
    step = through_json(executor.plan().steps[0])
    return step, executor.run(step)


def undone(step: Step) -> dict[str, Any]:
    """What an executor that knows nothing of the run undoes; and that its dry run says the same."""
    said = temp().undo(step, True)
    outcome = temp().undo(step, False)
    assert said | {"held": 0} == outcome | {"held": 0}
    return outcome


def left(top: Path) -> set[str]:
    """What is below, directories with a slash, but for our trash."""
    found = set()
    for path in top.rglob("*"):
        name = str(path.relative_to(top))
        if ".jamaint-trash" not in name:
            found.add(f"{name}/" if path.is_dir() and not path.is_symlink() else name)
    return found


@contextmanager
def as_it_was(top: Path) -> Iterator[None]:
    """Whatever is done in it leaves the tree as it is, all times included."""
    paths = [top, *top.rglob("*")]  # looking so changes them
    before, times = snapshot(top), [(seen.st_atime_ns, seen.st_ctime_ns) for seen in map(os.lstat, paths)]
    yield
    assert [(seen.st_atime_ns, seen.st_ctime_ns) for seen in map(os.lstat, paths)] == times
    assert differences(before, snapshot(top)) == []


def a_tree(top: Path) -> Path:
    root = top / "tmp"
    put(root / "old.tmp", 20)
    put(root / "young.tmp", 5)
    put(root / "gone" / "a", 20)
    put(root / "gone" / "deep" / "b", 30)
    put(root / "mixed" / "old", 20)
    put(root / "mixed" / "young", 1)
    put(root / "mixed" / "sub" / "old", 20)
    (root / "empty").mkdir()
    age_directories(root)
    return root


def test_what_is_old_goes_and_comes_back(tmp_path: Path) -> None:
    root = a_tree(tmp_path)
    before = snapshot(root)
    step, details = run(temp({"path": str(root)}))
    assert left(root) == {"young.tmp", "mixed/", "mixed/young"}
    assert (step.items, details["files"], details["directories"]) == (5, 5, 4)
    assert (details["freed_space"], details["freed_on_purge"]) == (0, step.bytes)
    assert os.stat(root / "mixed").st_mtime_ns == before[b"mixed"].mtime_ns
    assert os.stat(root).st_mtime_ns == before[b"."].mtime_ns
    outcome = undone(step)
    assert (outcome["restored"], outcome["kept"], outcome["problems"]) == (6, [], [])
    assert differences(before, snapshot(root)) == []


def test_a_plan_changes_nothing_and_says_what_the_run_does(tmp_path: Path) -> None:
    root = a_tree(tmp_path)
    with as_it_was(root):
        plan = temp({"path": str(root)}).plan()
    assert plan.steps[0].says.startswith(f"Remove 5 files and 4 directories older than 10 days from {root}.")
    assert {item["path"] for item in plan.steps[0].sample} == {
        f"{root}/{name}" for name in ("old.tmp", "gone/", "empty/", "mixed/old", "mixed/sub/")
    }


def test_a_purge_frees_what_was_said(tmp_path: Path) -> None:
    root = a_tree(tmp_path)
    step, details = run(temp({"path": str(root)}))
    purged = temp().purge(step)
    assert (purged["freed_space"], purged["items"], purged["problems"]) == (details["freed_on_purge"], 5, [])
    assert not (root / ".jamaint-trash").exists()


def test_without_a_way_back_it_is_gone(tmp_path: Path) -> None:
    root = a_tree(tmp_path)
    executor = temp({"path": str(root)}, keeps_way_back=False)
    step, details = run(executor)
    assert step.undo is None
    assert "The task keeps no undo data: removed there at once" in step.says
    assert left(root) == {"young.tmp", "mixed/", "mixed/young"}
    assert (details["freed_space"], details["freed_on_purge"], details["directories"]) == (step.bytes, 0, 4)


def test_below_low_space_it_goes_at_once(tmp_path: Path) -> None:
    root = a_tree(tmp_path)
    step, details = run(temp({"path": str(root)}, low_space=1.1))
    assert step.undo is None
    assert "(the limit is 110.0%): removed there at once and not restorable" in step.says
    assert details["freed_space"] > 0


def test_a_directory_as_a_unit(tmp_path: Path) -> None:
    root = a_tree(tmp_path)
    for keeps in (True, False):
        step, _ = run(temp({"path": str(root), "unit": "directory"}, keeps_way_back=keeps))
        assert left(root) == {"young.tmp", "mixed/", "mixed/young", "mixed/old", "mixed/sub/", "mixed/sub/old"}
        if keeps:
            undone(step)


@pytest.mark.parametrize("keeps", [True, False])
def test_more_files_than_are_held_of_one_directory(tmp_path: Path, keeps: bool) -> None:
    root = tmp_path / "tmp"
    for number in range(2500):
        put(root / "many" / f"{number:04}", 20, b"")
    put(root / "many" / "zz-young", 1)
    age_directories(root)
    before = snapshot(root)
    step, details = run(temp({"path": str(root)}, keeps_way_back=keeps))
    assert (step.items, details["files"]) == (2500, 2500)
    assert left(root) == {"many/", "many/zz-young"}
    if keeps:
        undone(step)
        assert differences(before, snapshot(root)) == []


class Limited(Talk):
    """A host whose execution may take seven files at a time."""

    def portion(self, most: int) -> int:
        return min(most, 7)


@pytest.mark.parametrize("keeps", [True, False])
def test_what_is_limited_goes_a_few_at_a_time(tmp_path: Path, keeps: bool) -> None:
    root, host = tmp_path / "tmp", Limited()
    for number in range(50):
        put(root / f"{number:02}", 20, b"")
    put(root / "zz-young", 1)
    age_directories(root)
    before = snapshot(root)
    step, details = run(temp({"path": str(root)}, keeps_way_back=keeps, host=host))
    assert details["files"] == 50
    done = [0, *(done for done, _, _ in host.progressed)]
    assert max(b - a for a, b in pairwise(done)) == 7
    assert host.checkpoints >= 8
    if keeps:
        undone(step)
        assert differences(before, snapshot(root)) == []


def test_all_times_that_are_asked_for_must_be_old(tmp_path: Path) -> None:
    root = tmp_path / "tmp"
    read = put(root / "read", 20)
    os.utime(read, ns=(int(NOW.timestamp()) * 10**9, read.stat().st_mtime_ns))
    age_directories(root)
    by = {"files": ["access", "modification"], "directories": ["modification"]}
    _, details = run(temp({"path": str(root), "age_by": by}))
    assert (details["files"], details["kept_by"]) == (0, {"access": 1})
    by = {"files": ["change"], "directories": ["modification"]}
    assert run(temp({"path": str(root), "age_by": by}, now=NOW - timedelta(days=3650)))[1]["kept_by"] == {"change": 1}
    by = {"files": ["birth"], "directories": ["modification"]}
    assert run(temp({"path": str(root), "age_by": by}, now=NOW - timedelta(days=3650)))[1]["files"] == 0
    assert run(temp({"path": str(root)}))[1]["files"] == 1


def test_as_old_as_the_age_stays_and_so_does_the_future(tmp_path: Path) -> None:
    root = tmp_path / "tmp"
    limit = int((NOW - timedelta(days=10)).timestamp()) * 10**9
    for name, when in (("equal", limit), ("older", limit - 1), ("future", limit * 2), ("ancient", -(10**18))):
        os.utime(put(root / name, 0), ns=(when, when))
    age_directories(root)
    os.utime(root / "equal", ns=(limit, limit))
    run(temp({"path": str(root)}))
    assert left(root) >= {"equal", "future"}
    assert "older" not in left(root)


def test_a_pattern_means_files_only(tmp_path: Path) -> None:
    root = a_tree(tmp_path)
    run(temp({"path": str(root), "pattern": "old*"}))
    assert left(root) == {
        *("young.tmp", "gone/", "gone/a", "gone/deep/", "gone/deep/b"),
        *("mixed/", "mixed/young", "mixed/sub/", "empty/"),
    }


def test_exclusions_with_and_without_what_is_below(tmp_path: Path) -> None:
    root = a_tree(tmp_path)
    step, _ = run(temp({"path": str(root), "exclude": ["gone"]}))
    assert {"gone/", "gone/a", "gone/deep/b"} <= left(root)
    undone(step)
    step, _ = run(temp({"path": str(root), "exclude": ["gone/."]}, execution="e-2"))
    assert left(root) == {"young.tmp", "gone/", "mixed/", "mixed/young"}


def test_what_other_packages_ask_to_spare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = a_tree(tmp_path)
    conf = tmp_path / "tmpfiles.d"
    conf.mkdir()
    (conf / "a.conf").write_text(
        f"# theirs\nx {root}/go*\nX {root}/mixed/sub\nd {root}/empty 1777 root root 1s\nd! {root}/mixed\n"
    )
    monkeypatch.setattr("jamaint.executors.temp_cleanup.executor.spared", lambda: spared((str(conf),)))
    run(temp({"path": str(root)}))
    assert left(root) == {
        *("young.tmp", "gone/", "gone/a", "gone/deep/", "gone/deep/b"),
        *("mixed/", "mixed/young", "mixed/sub/", "empty/"),  # what has a line of its own is left to systemd-tmpfiles
    }


@pytest.mark.parametrize("turned", [False, True])
def test_the_most_specific_path_has_its_own_rule(tmp_path: Path, turned: bool) -> None:
    root = a_tree(tmp_path)
    paths = [{"path": str(root)}, {"path": str(root / "gone"), "age_seconds": 25 * DAY}]
    run(temp(*(reversed(paths) if turned else paths)))
    assert left(root) == {"young.tmp", "mixed/", "mixed/young", "gone/", "gone/a"}


HOLDER = """
import fcntl, os, sys
for path in sys.argv[1:3]:
    fcntl.flock(os.open(path, os.O_RDONLY), fcntl.LOCK_EX)
os.open(sys.argv[3], os.O_RDONLY)
os.chdir(sys.argv[4])
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("keeps", [True, False])
def test_kinds_of_files_that_stay(tmp_path: Path, keeps: bool) -> None:
    root = tmp_path / "tmp"
    where = root / "d"
    sticky, locked, held = (put(where / name, 20) for name in ("sticky", "locked", "held"))
    sticky.chmod(0o1644)
    os.mkfifo(where / "fifo")
    (where / "link").symlink_to("/etc/passwd")
    put(root / "locked-directory" / "old", 20)
    put(root / "cwd" / "old", 20)
    for path in (where / "fifo", where / "link", sticky):
        grow_old(path, 20)
    live = socket.socket(socket.AF_UNIX)
    live.bind(str(where / "live"))
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(where / "dead"))
    dead.close()
    for name in ("live", "dead"):
        grow_old(where / name, 20)
    age_directories(root)
    held_by = [sys.executable, "-c", HOLDER, str(locked), str(root / "locked-directory"), str(held), str(root / "cwd")]
    with subprocess.Popen(held_by, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n"
        _step, details = run(temp({"path": str(root)}, keeps_way_back=keeps))
        holder.kill()
    live.close()
    assert left(root) == {
        *("d/", "d/sticky", "d/locked", "d/held", "d/live"),
        *("locked-directory/", "locked-directory/old", "cwd/", "cwd/old"),
    }
    assert details["skipped_count"] == 6
    assert any("has locked it" in item["why"] for item in details["skipped"])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may own files for others")
def test_directories_of_others_below_a_shared_root(tmp_path: Path) -> None:
    root = tmp_path / "tmp"
    put(root / "theirs" / "old", 20)
    put(root / "roots" / "old", 20)
    os.chown(root / "theirs", 65534, 65534)
    (root / "theirs").chmod(0o777)
    age_directories(root)
    root.chmod(0o1777)
    before = snapshot(root)
    step, _ = run(temp({"path": str(root)}))
    assert left(root) == {"roots/"}, "a directory of root's stays where everybody may write"
    undone(step)
    assert differences(before, snapshot(root)) == []
    root.chmod(0o777)
    with pytest.raises(StepError, match="may be written by everyone"):
        temp({"path": str(root)}).plan()


def test_twenty_thousand_levels(tmp_path: Path) -> None:
    root = tmp_path / "tmp"
    root.mkdir()
    fd = os.open(root, os.O_RDONLY)
    for _ in range(20_000):
        os.mkdir("d", dir_fd=fd)
        inner = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.utime(fd, ns=(10**18, 10**18))
        os.close(fd)
        fd = inner
    os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.utime("f", ns=(10**18, 10**18), dir_fd=fd)
    os.utime(fd, ns=(10**18, 10**18))
    os.close(fd)
    os.utime(root, ns=(10**18, 10**18))
    step, details = run(temp({"path": str(root)}))
    assert (details["files"], details["directories"], details["problems"]) == (1, 20_000, [])
    assert undone(step)["restored"] == 1
    step, _ = run(temp({"path": str(root)}, execution="e-2"))
    assert temp().purge(step)["problems"] == []
    assert list(root.iterdir()) == []


def test_names_of_any_bytes(tmp_path: Path) -> None:
    root = tmp_path / "tmp"
    root.mkdir()
    for name in (b"new\nline", b"\xff\xfe", b"-rf", b"\x1b[31m", b"$(id)", b"x" * 255, "\u202ertl".encode()):
        path = os.fsencode(root) + b"/" + name
        os.close(os.open(path, os.O_CREAT))
        os.utime(path, ns=(10**18, 10**18))
    put(root / "young", 0)
    before = snapshot(root)
    step, details = run(temp({"path": str(root)}))
    assert details["files"] == 7
    assert left(root) == {"young"}
    undone(step)
    assert differences(before, snapshot(root)) == []


def test_hard_links_and_sparse_files_free_what_they_free(tmp_path: Path) -> None:
    root = tmp_path / "tmp"
    first = put(root / "d" / "first", 20, 100_000)
    os.link(first, root / "d" / "second")
    outside = put(root / "d" / "third", 20, 50_000)
    os.link(outside, tmp_path / "outside")
    with open(put(root / "d" / "sparse", 20, b""), "r+b") as file:
        file.truncate(10 << 30)
    grow_old(root / "d" / "sparse", 20)
    age_directories(root)
    step, details = run(temp({"path": str(root)}))
    assert step.bytes == details["freed_on_purge"] == first_blocks(root, "first")
    assert temp().purge(step)["freed_space"] == details["freed_on_purge"]


@pytest.mark.parametrize("keeps", [True, False])
def test_a_unit_of_many_files_of_which_one_stays_stays_with_all(tmp_path: Path, keeps: bool) -> None:
    root = tmp_path / "tmp"
    for number in range(1500):
        put(root / "unit" / f"f{number:04}", 20)
    put(root / "unit" / "young", 1)
    age_directories(root)
    step, details = run(temp({"path": str(root), "unit": "directory"}, keeps_way_back=keeps))
    assert (step.items, details["files"]) == (0, 0)
    assert len(list((root / "unit").iterdir())) == 1501


@pytest.mark.parametrize("keeps", [True, False])
def test_a_file_with_a_name_elsewhere_frees_nothing_however_many_of_its_others_go(tmp_path: Path, keeps: bool) -> None:
    root = tmp_path / "tmp"
    first = put(root / "a" / "first", 20, 100_000)
    os.link(first, put(root / "b" / "beside", 20).with_name("second"))
    os.link(first, tmp_path / "outside")
    both = put(root / "a" / "both", 20, 50_000)
    os.link(both, root / "b" / "both")
    age_directories(root)
    expected = first_blocks(root, "both") + first_blocks(root, "beside")
    step, details = run(temp({"path": str(root)}, keeps_way_back=keeps))
    assert (details["files"], step.bytes) == (5, expected)
    assert details["freed_on_purge" if keeps else "freed_space"] == expected
    assert not keeps or temp().purge(step)["freed_space"] == expected


def first_blocks(root: Path, name: str) -> int:
    found = next(root.rglob(name))
    return found.stat().st_blocks * 512


def test_what_an_undo_put_back_is_held_for_another_age(tmp_path: Path) -> None:
    root = a_tree(tmp_path)
    step, _ = run(temp({"path": str(root)}))
    records = undone(step)["held"]
    put(root / "gone" / "new", 0)  # somebody goes on working there
    put(root / "later.tmp", 20)
    now = datetime.now(UTC)
    os.utime(root / "later.tmp", ns=(10**18, 10**18))
    step, details = run(temp({"path": str(root)}, held=records, now=now, execution="e-2"))
    assert left(root) >= {"old.tmp", "gone/", "gone/a", "gone/deep/b", "mixed/old", "mixed/sub/old", "empty/"}
    assert any("put back by an undo" in item["why"] for item in details["skipped"])
    later = now + timedelta(days=11)
    run(temp({"path": str(root)}, held=records, now=later, execution="e-3"))
    assert left(root) == set()


def test_a_new_directory_with_the_number_of_one_that_was_put_back_is_not_held(tmp_path: Path) -> None:
    put(tmp_path / "top" / "new" / "a", 20)
    put(tmp_path / "top" / "later" / "a", 20)
    numbers = {name: os.stat(tmp_path / "top" / name).st_ino for name in ("new", "later")}
    made = syscalls.born(str(tmp_path / "top" / "later"), -100)
    if made is None:
        pytest.skip(f"the file system of {tmp_path} does not tell when a file was made")
    for path in (*(tmp_path / "top").rglob("*"), tmp_path / "top"):
        os.utime(path, ns=(10**18, 10**18))
    records = [
        {"from_ns": made - 10**9, "until_ns": made - 10**9, "inodes": [numbers["new"]]},
        {"from_ns": made, "until_ns": made, "inodes": [numbers["later"]]},
    ]
    run(temp({"path": str(tmp_path / "top")}, held=records, now=datetime.now(UTC)))
    assert left(tmp_path / "top") == {"later/", "later/a"}


def test_too_much_needs_a_second_look(tmp_path: Path) -> None:
    root = a_tree(tmp_path)
    plan = temp({"path": str(root)}, mass_deletion=MassDeletion(share=0.25, items=4)).plan()
    assert "5 of 7 files would be deleted" in plan.refusals[0]["detail"]
    assert plan.roots[0]["filesystem"]["mount"]


def test_it_can_be_stopped_at_every_safe_point(tmp_path: Path) -> None:
    root = a_tree(tmp_path)
    before = snapshot(root)
    for points in range(40):
        talk = Talk()
        executor = temp({"path": str(root)}, host=talk, execution=f"e-{points}")
        step = through_json(executor.plan().steps[0])
        talk.stop_after(points)
        try:
            executor.run(step)
            stopped = False
        except StopRequestedError:
            stopped = True
        assert undone(step)["problems"] == []
        assert differences(before, snapshot(root)) == []
    assert not stopped


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a file immutable")
def test_an_immutable_file_stays_and_the_rest_goes(tmp_path: Path) -> None:
    root = a_tree(tmp_path)
    if os.system(f"chattr +i {root}/gone/deep/b 2>/dev/null") != 0:
        pytest.skip("this file system has no chattr")
    try:
        _step, details = run(temp({"path": str(root)}))
        assert left(root) == {"young.tmp", "mixed/", "mixed/young", "gone/", "gone/deep/", "gone/deep/b"}
        assert details["problems"] == [{"path": f"{root}/gone/deep/b", "why": "it is immutable (chattr)"}]
    finally:
        os.system(f"chattr -i {root}/gone/deep/b")


def test_the_type_of_each_is_as_it_was(tmp_path: Path) -> None:
    root = tmp_path / "tmp"
    root.mkdir()
    os.mkfifo(root / "fifo")
    grow_old(root / "fifo", 20)
    step, _ = run(temp({"path": str(root)}))
    assert left(root) == set()
    undone(step)
    assert stat.S_ISFIFO(os.lstat(root / "fifo").st_mode)


@pytest.mark.parametrize("kind", ["link", "file", "pipe", "everybody's"])
def test_a_trash_that_somebody_has_prepared_is_not_used_and_it_is_said_what_to_do(tmp_path: Path, kind: str) -> None:
    top = tmp_path / "top"
    put(top / "a", 100)
    age_directories(top)
    top.chmod(0o1777)
    trap = top / ".jamaint-trash"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    if kind == "link":
        trap.symlink_to(elsewhere)
    elif kind == "file":
        trap.write_text("x")
    elif kind == "pipe":
        os.mkfifo(trap)
    else:
        trap.mkdir()
        trap.chmod(0o777)
    with pytest.raises(StepError, match=r"is not a directory of ours alone: .*; move it away"):
        run(temp({"path": str(top)}))
    assert (top / "a").exists()
    assert list(elsewhere.iterdir()) == []


def test_wildcards_and_live_targets_hold_here_too(tmp_path: Path) -> None:
    for name in ("a/jobs/j1/f", "b/jobs/j1/f", "b/jobs/j2/f"):
        put(tmp_path / name, 40)
    age_directories(tmp_path)
    (tmp_path / "b" / "jobs" / "running").symlink_to("j1")
    by = {"files": ["modification"], "directories": ["modification"]}
    path = {"path": f"{tmp_path}/*/jobs", "age_seconds": 10 * DAY, "age_by": by, "unit": "directory"}
    run(temp(path))
    there = {str(found.relative_to(tmp_path)) for found in tmp_path.glob("*/jobs/j*/f")}
    assert there == {"b/jobs/j1/f"}


def test_files_in_directories_that_are_held_count_for_the_guard(tmp_path: Path) -> None:
    root = tmp_path / "tmp"
    for number in range(40):
        put(root / f"d{number % 4}" / "deep" / f"f{number:02}", 20)
    age_directories(root)
    host = temp({"path": str(root)})
    plan = host.plan()
    seen = plan.roots[0]
    host.run(plan.steps[0])
    records = undone(through_json(plan.steps[0]))["held"]
    again = temp({"path": str(root)}, held=records, now=datetime.now(UTC), execution="e-2").plan()
    assert (again.roots[0]["files"], seen["files"], again.refusals) == (40, 40, ())
    assert again.steps[0].items == 0
    assert "held until 20" in again.steps[0].says
