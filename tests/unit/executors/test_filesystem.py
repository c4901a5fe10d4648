"""filesystem.cleanup and filesystem.optimize: what goes by age and limits, links, duplicates; and what is only told."""

import os
import subprocess
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jamaint.core.plans import MassDeletion, Plan, Step
from jamaint.executors.filesystem_cleanup.executor import FilesystemCleanup
from jamaint.executors.filesystem_optimize.executor import FilesystemOptimize
from jamaint.executors.shared.executor import StepError, Work
from jamaint.files.access.mounts import Mount, mount_of, mounts
from logs_cleanup_runs import DAY, EVERYTHING, NOW, Talk, age_directories, put, through_json
from tree_snapshot import differences, snapshot


def work(config: dict[str, Any], **changes: Any) -> Work:
    fields: dict[str, Any] = {
        "keeps_way_back": True,
        "mass_deletion": EVERYTHING,
        "low_space": 0.0,
        "now": NOW,
    } | changes
    return Work(execution="e-1", task_name="t", config=config, timeout_seconds=None, **fields)


def cleanup(*paths: dict[str, Any], keeps_way_back: bool = True, **config: Any) -> FilesystemCleanup:
    """The executor; what a path leaves out is as in the configuration."""
    default: dict[str, Any] = {"pattern": None, "age_seconds": None, "min_size": 0, "max_size": None}
    default |= {"max_files": None, "keep_newest": 0, "exclude": []}
    whole: dict[str, Any] = {"remove_empty_directories": False, "broken_links": False, "duplicates": None}
    whole |= {"directory_age_seconds": DAY, "paths": [default | path for path in paths]}
    return FilesystemCleanup(work(whole | config, keeps_way_back=keeps_way_back), Talk())


def run(executor: FilesystemCleanup) -> tuple[Plan, list[dict[str, Any]]]:
    plan = executor.plan()
    return plan, [executor.run(through_json(step)) for step in plan.steps]


def left(top: Path) -> set[str]:
    found = {str(path.relative_to(top)) for path in top.rglob("*") if not path.is_dir() or path.is_symlink()}
    return {name for name in found if ".jamaint-trash" not in name}


def undo(*steps: Step) -> None:
    for step in reversed(steps):
        outcome = cleanup().undo(through_json(step), False)
        assert (outcome["kept"], outcome["problems"]) == ([], [])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, age in (("a1", 1), ("a5", 5), ("d/a20", 20), ("d/a30", 30), ("e/a40", 40)):
        put(tmp_path / "up" / name, age, b"content of " + name.encode())
    age_directories(tmp_path / "up")
    return tmp_path / "up"


def test_old_files_go_and_directories_stay(root: Path) -> None:
    before = snapshot(root)
    plan, (details,) = run(cleanup({"path": str(root), "age_seconds": 10 * DAY}))
    assert plan.steps[0].says.startswith(f"Remove 3 files older than 10 days from {root}.")
    assert left(root) == {"a1", "a5"}
    assert (root / "e").is_dir()
    assert details["files"] == 3
    undo(*plan.steps)
    assert differences(before, snapshot(root)) == []


def test_empty_directories_go_where_that_is_asked(root: Path) -> None:
    (root / "empty" / "deep").mkdir(parents=True)
    age_directories(root)
    (root / "fresh").mkdir()
    run(cleanup({"path": str(root), "age_seconds": 25 * DAY}, remove_empty_directories=True))
    assert {path.name for path in root.iterdir() if path.is_dir()} == {"d", "fresh", ".jamaint-trash"}


@pytest.mark.parametrize(("limit", "stay"), [(5, 5), (3, 3), (1, 1), (0, 0)])
def test_too_many_files(root: Path, limit: int, stay: int) -> None:
    plan, _ = run(cleanup({"path": str(root), "max_files": limit}))
    assert left(root) == set(["a1", "a5", "d/a20", "d/a30", "e/a40"][:stay])
    assert f"beyond {limit} files" in plan.steps[0].says


def test_too_much_in_all(root: Path) -> None:
    block = (root / "a1").stat().st_blocks * 512
    run(cleanup({"path": str(root), "max_size": 2 * block}))
    assert left(root) == {"a1", "a5"}
    run(cleanup({"path": str(root), "max_size": 2 * block - 1}))
    assert left(root) == {"a1"}


def test_the_newest_stay_in_any_case(root: Path) -> None:
    run(cleanup({"path": str(root), "age_seconds": 2 * DAY, "max_files": 1, "keep_newest": 3}))
    assert left(root) == {"a1", "a5", "d/a20"}
    run(cleanup({"path": str(root), "age_seconds": 2 * DAY, "keep_newest": 99}))
    assert left(root) == {"a1", "a5", "d/a20"}


def test_small_files_and_other_names_stay(root: Path) -> None:
    put(root / "d" / "big.tmp", 20, 5000)
    run(cleanup({"path": str(root), "age_seconds": DAY / 2, "min_size": 1000, "pattern": "*.tmp"}))
    assert left(root) == {"a1", "a5", "d/a20", "d/a30", "e/a40"}


def test_broken_links(root: Path) -> None:
    for name, target in (("broken", "nowhere"), ("fine", "a1"), ("around", "around")):
        (root / name).symlink_to(target)
        os.utime(root / name, ns=(10**18, 10**18), follow_symlinks=False)
    run(cleanup({"path": str(root), "age_seconds": 100 * DAY}))
    assert {"broken", "fine", "around"} <= left(root)
    plan, _ = run(cleanup({"path": str(root), "age_seconds": 100 * DAY}, broken_links=True))
    assert left(root) == {"fine", "a1", "a5", "d/a20", "d/a30", "e/a40"}
    undo(*plan.steps)
    assert os.readlink(root / "broken") == "nowhere"


def test_duplicates_are_reported_or_removed(root: Path) -> None:
    for name, age in (("twin", 3), ("d/twin", 15), ("e/twin", 50)):
        put(root / name, age, b"the same in all")
    put(root / "not-quite", 9, b"the same in alL")
    age_directories(root)
    before = snapshot(root)
    plan, (_, report) = run(cleanup({"path": str(root), "age_seconds": 99 * DAY}, duplicates="report"))
    assert plan.steps[1].says == "Report 2 files that hold the same as an older one; remove nothing."
    assert report["found"] == 2
    assert {item["same_as"] for item in plan.steps[1].sample} == {f"{root}/e/twin"}
    plan, (_, removed) = run(cleanup({"path": str(root), "age_seconds": 99 * DAY}, duplicates="remove"))
    assert removed["files"] == 2
    assert "e/twin" in left(root)
    assert not {"twin", "d/twin"} & left(root)
    undo(*plan.steps)
    assert differences(before, snapshot(root)) == []


def test_duplicates_count_for_the_guard_with_what_is_old(root: Path) -> None:
    for number in range(40):
        put(root / f"twin{number}", 3, b"the same in all")
        put(root / f"old{number}", 120, b"%d" % number)
    age_directories(root)
    one = cleanup({"path": str(root), "age_seconds": 99 * DAY}, duplicates="remove")
    one = FilesystemCleanup(replace(one._work, mass_deletion=MassDeletion()), Talk())
    (refusal,) = one.plan().refusals
    assert (refusal["items"], refusal["files"]) == (79, 85)


def test_what_the_first_step_removes_is_no_twin(root: Path) -> None:
    put(root / "old-twin", 50, b"the same")
    put(root / "young-twin", 1, b"the same")
    _, (_, removed) = run(cleanup({"path": str(root), "age_seconds": 45 * DAY}, duplicates="remove"))
    assert removed["files"] == 0
    assert "young-twin" in left(root)


def test_a_duplicate_that_changes_meanwhile_stays(root: Path) -> None:
    put(root / "one", 5, b"the same")
    two = put(root / "two", 4, b"the same")
    executor = cleanup({"path": str(root), "age_seconds": 99 * DAY}, duplicates="remove")
    plan = executor.plan()
    two.write_bytes(b"another")
    for step in plan.steps:
        executor.run(through_json(step))
    assert two.read_bytes() == b"another"


@pytest.mark.parametrize("keeps", [True, False])
def test_a_duplicate_whose_older_one_goes_meanwhile_stays(root: Path, keeps: bool) -> None:
    older = put(root / "older", 15, b"the same")
    put(root / "twin", 4, b"the same")
    executor = cleanup({"path": str(root), "age_seconds": 99 * DAY}, keeps_way_back=keeps, duplicates="remove")
    plan = executor.plan()
    older.unlink()
    details = [executor.run(through_json(step)) for step in plan.steps]
    assert (root / "twin").read_bytes() == b"the same"
    why = f"its original, {older}, has gone or changed since"
    assert {"path": str(root / "twin"), "why": why} in details[1]["skipped"]


def test_a_duplicate_whose_older_one_is_written_to_with_its_times_set_back_stays(root: Path) -> None:
    older, twin = put(root / "older", 15, b"the same"), put(root / "twin", 4, b"the same")
    executor = cleanup({"path": str(root), "age_seconds": 99 * DAY}, duplicates="remove")
    plan, seen = executor.plan(), older.stat()
    older.write_bytes(b"the SAME")
    os.utime(older, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    for step in plan.steps:
        executor.run(through_json(step))
    assert twin.exists()


@pytest.mark.parametrize("differ", ["mode", "owner", "attribute"])
def test_files_of_others_or_with_other_rights_are_no_duplicates(root: Path, differ: str) -> None:
    put(root / "older", 15, b"the same")
    twin = put(root / "twin", 4, b"the same")
    try:
        if differ == "mode":
            twin.chmod(0o600)
        elif differ == "owner":
            os.chown(twin, 12345, -1)
        else:
            os.setxattr(twin, "user.of", b"somebody")
    except OSError as error:
        pytest.skip(f"cannot be made to differ here: {error}")
    _, (_, removed) = run(cleanup({"path": str(root), "age_seconds": 99 * DAY}, duplicates="remove"))
    assert (removed["files"], twin.exists()) == (0, True)


def test_a_file_with_several_names_is_counted_once_towards_the_size(root: Path) -> None:
    size = sum(path.stat().st_blocks * 512 for path in root.rglob("*") if path.is_file())
    for path in [path for path in root.rglob("a*") if path.is_file()]:
        os.link(path, path.with_name(f"{path.name}-again"))
    plan, (details,) = run(cleanup({"path": str(root), "max_size": size}))
    assert (plan.steps[0].items, details["files"]) == (0, 0)
    _, (details,) = run(cleanup({"path": str(root), "max_size": size - 1}))
    assert (details["files"], "e/a40" in left(root), "e/a40-again" in left(root)) == (2, False, False)


def test_a_limit_of_size_remembers_few_bytes_of_a_file(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        for number in range(count):
            (tmp_path / f"{number:06}").touch()
        executor = cleanup({"path": str(tmp_path), "max_size": 1 << 40})
        tracemalloc.start()
        executor.plan()
        try:
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert (peak(25_000) - peak(5_000)) / 20_000 < 48


def test_a_missing_path_is_told(root: Path) -> None:
    plan, _ = run(cleanup({"path": f"{root}/nowhere", "max_files": 3}, {"path": str(root), "age_seconds": DAY}))
    assert f"{root}/nowhere does not exist" in plan.warnings


MOUNTINFO = r"""25 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 25 0:5 / /dev rw shared:2 - devtmpfs devtmpfs rw
31 25 254:1 / /srv/my\040data ro,relatime - xfs /dev/vdb rw
32 25 254:0 /var/lib/x /mnt/bound rw,relatime - ext4 /dev/vda rw
33 25 254:2 / /boot rw - iso9660 /dev/sr0 ro
"""


def test_mounts_are_those_on_disks_each_once(tmp_path: Path) -> None:
    (tmp_path / "mountinfo").write_text(MOUNTINFO)
    found = mounts(str(tmp_path / "mountinfo"))
    assert [(one.path, one.kind, one.read_only) for one in found] == [
        ("/", "ext4", False),
        ("/boot", "iso9660", True),
        ("/srv/my data", "xfs", True),
    ]
    table = str(tmp_path / "mountinfo")
    assert mount_of("/srv/my data/x", found, table) == found[2]
    assert mount_of("/mnt/bound/x", found, table) == found[0]


def test_mount_of_a_path_on_no_disk_is_none(tmp_path: Path) -> None:
    (tmp_path / "mountinfo").write_text(MOUNTINFO)
    assert mount_of("/dev/x", mounts(str(tmp_path / "mountinfo")), str(tmp_path / "mountinfo")) is None


def optimize(there: list[Mount], monkeypatch: pytest.MonkeyPatch, **config: Any) -> FilesystemOptimize:
    monkeypatch.setattr("jamaint.executors.filesystem_optimize.executor.mounts", lambda: there)
    return FilesystemOptimize(work({"trim": None, "defragment": None} | config), Talk())


def program(directory: Path, name: str, text: str) -> None:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory in which programs are looked for before all others."""
    place = tmp_path / "bin"
    place.mkdir()
    monkeypatch.setattr("jamaint.host.processes.executables.SAFE_PATH", str(place))
    monkeypatch.setattr("jamaint.host.accounts.SAFE_PATH", f"{place}:/usr/bin:/bin")
    return place


DISKS = [Mount("/", "ext4", "/dev/vda", False), Mount("/nowhere", "iso9660", "/dev/sr0", True)]


def test_trim_says_what_the_disk_got_back(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(programs, "fstrim", 'echo "$2: 12.3 GiB (13207842816 bytes) trimmed"')
    executor = optimize(DISKS, monkeypatch, trim=[""])
    plan = executor.plan()
    assert plan.warnings == ("/nowhere is on iso9660, which knows no trim",)
    details = executor.run(plan.steps[0])
    assert (details["places"], details["trimmed_bytes"]) == ([{"path": "/", "trimmed_bytes": 13207842816}], 13207842816)


def test_a_disk_that_cannot_is_told(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(programs, "fstrim", 'echo "fstrim: $2: the discard operation is not supported" >&2; exit 1')
    executor = optimize(DISKS, monkeypatch, trim=["/"])
    with pytest.raises(StepError, match="the discard operation is not supported"):
        executor.run(executor.plan().steps[0])


def test_a_program_that_is_not_there_is_told(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = optimize(DISKS, monkeypatch, defragment=["/"])
    plan = executor.plan()
    assert "install e2fsprogs" in plan.warnings[0]
    with pytest.raises(StepError, match="there is no program e4defrag"):
        executor.run(plan.steps[0])


def test_defragmentation_is_only_reported(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(programs, "e4defrag", 'echo " Total/best extents    12/9"; echo " Fragmentation score   7"; [ "$1" = -c ]')
    executor = optimize(DISKS, monkeypatch, defragment=["/"])
    details = executor.run(executor.plan().steps[0])
    assert details["places"] == [{"path": "/", "score": 7, "extents": 12, "best_extents": 9}]


WRITTEN = {"files": ["birth", "change", "modification"], "directories": ["birth", "modification"]}
"""What `age_by` is where it is left out."""


@contextmanager
def mounted(*words: str | Path) -> Iterator[None]:
    """Mounts a file system; the last word is where."""
    subprocess.run(["mount", *words], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", words[-1]], check=True)


def in_days(count: float) -> Any:
    return datetime.now(UTC) + timedelta(days=count)


def test_age_by_keeps_fresh_copy_with_old_time_of_writing(root: Path) -> None:
    path = {"path": str(root), "age_seconds": 10 * DAY, "age_by": WRITTEN}
    _, (details,) = run(cleanup(path))
    assert (details["files"], details["kept_by"]) == (0, {"change": 5})
    later = work(cleanup(path)._work.config, now=in_days(11))
    _, (details,) = run(FilesystemCleanup(later, Talk()))
    assert details["files"] == 5


@pytest.mark.parametrize("limit", [{}, {"max_files": 100}])
def test_age_by_birth_keeps_file_that_was_just_made(root: Path, limit: dict[str, Any]) -> None:
    by = {"files": ["birth", "modification"], "directories": ["birth", "modification"]}
    _, (details,) = run(cleanup({"path": str(root), "age_seconds": 10 * DAY, "age_by": by} | limit))
    assert (details["files"], details["kept_by"]["birth"]) == (0, 3)


def test_age_by_does_not_keep_what_is_beyond_a_limit(root: Path) -> None:
    run(cleanup({"path": str(root), "age_seconds": 10 * DAY, "age_by": WRITTEN, "max_files": 2}))
    assert left(root) == {"a1", "a5"}


def test_fresh_copy_of_empty_directory_stays(root: Path) -> None:
    (root / "empty").mkdir()
    age_directories(root)
    run(cleanup({"path": str(root), "age_seconds": 10 * DAY, "age_by": WRITTEN}, remove_empty_directories=True))
    assert (root / "empty").is_dir()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_mount_point_goes_only_when_it_is_meant(root: Path) -> None:
    path = {"path": str(root), "age_seconds": 10 * DAY}
    with pytest.raises(StepError, match="is no mount point now, and `mount: true` says that it is one"):
        cleanup(path | {"mount": True}).plan()
    with mounted("-t", "tmpfs", "none", root):
        put(root / "old", 40, b"x")
        with pytest.raises(StepError, match="is where a file system is mounted: set `mount: true`"):
            cleanup(path).plan()
        _, (details,) = run(cleanup(path | {"mount": True}))
        assert details["files"] == 1


@contextmanager
def without_inodes(top: Path) -> Iterator[Path]:
    """A file system of 128 inodes, each of them used."""
    with mounted("-t", "tmpfs", "-o", "size=8m,nr_inodes=128,mode=755", "none", top):
        (top / "s").mkdir()
        for number in range(os.statvfs(top).f_ffree):
            put(top / "s" / f"f{number}", 40, b"")
        assert os.statvfs(top).f_ffree == 0
        yield top / "s"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_trash_without_inodes_is_foreseen_in_the_plan(tmp_path: Path) -> None:
    with without_inodes(tmp_path) as full:
        with pytest.raises(StepError, match=r"cannot be made below .*: only 0\.0% of the inodes") as refusal:
            cleanup({"path": str(full), "age_seconds": DAY}).plan()
        assert refusal.value.kind == "refused"
        other = tmp_path.parent / "other"
        put(other / "old", 40, b"x")
        plan, (details,) = run(
            cleanup({"path": str(full), "age_seconds": DAY}, {"path": str(other), "age_seconds": DAY})
        )
        assert any(warning.startswith("a trash for ") for warning in plan.warnings)
        assert details["files"] == 1
        again = cleanup({"path": str(full), "age_seconds": DAY}, {"path": str(other), "age_seconds": DAY})
        for number in range(60):
            (full / f"f{number}").unlink()
        with pytest.raises(StepError, match="the plan did not have it"):  # what becomes of it, the plan did not say
            again.run(through_json(plan.steps[0]))
        assert (full / "f60").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_when_full_unlink_frees_inodes(tmp_path: Path) -> None:
    with without_inodes(tmp_path) as full:
        config = cleanup({"path": str(full), "age_seconds": DAY})._work.config
        plan, (details,) = run(FilesystemCleanup(work(config, when_full="unlink"), Talk()))
        assert "the task says `rollback.when_full: unlink`: removed there at once" in plan.steps[0].says
        assert plan.steps[0].undo is None
        assert details["files"] > 100
        assert os.statvfs(tmp_path).f_ffree > 100


def tree(top: Path, **ages: float) -> Path:
    """Directories of those ages in days, each with a file in it."""
    for name, age in ages.items():
        put(top / name / "app.py", age)
        os.utime(top / name, ns=(int((NOW.timestamp() - age * DAY) * 10**9),) * 2)
    return top


RELEASES = {"unit": "directory", "age_by": {"files": ["modification"], "directories": ["modification"]}}


def test_keep_newest_of_whole_directories(tmp_path: Path) -> None:
    top = tree(tmp_path / "releases", r1=1, r2=10, r3=20, r4=30, r5=60)
    (top / "r5" / "log").symlink_to("/var/log")
    os.utime(top / "r5", ns=(int((NOW.timestamp() - 60 * DAY) * 10**9),) * 2)
    put(top / "REVISION", 99)
    before = snapshot(top)
    plan, (details,) = run(cleanup({"path": str(top), "keep_newest": 2} | RELEASES))
    assert plan.steps[0].says.startswith(f"Remove 4 files and 3 directories beyond the 2 newest from {top}.")
    assert left(top) == {"r1/app.py", "r2/app.py", "REVISION"}
    assert (details["directories"], details["kept_by"]["newest"]) == (3, 2)
    undo(*plan.steps)
    assert differences(before, snapshot(top)) == []


@pytest.mark.parametrize("link", ["current", "../current"])
@pytest.mark.parametrize("direct", [False, True])
def test_release_that_a_link_leads_to_stays(tmp_path: Path, link: str, direct: bool) -> None:
    top = tree(tmp_path / "app" / "releases", r1=1, r2=10, r3=20, r4=30)
    (top / link).symlink_to("r3" if link == "current" else "releases/r3")
    _, (details,) = run(cleanup({"path": str(top), "keep_newest": 1} | RELEASES, keeps_way_back=not direct))
    assert left(top) - {"current"} == {"r1/app.py", "r3/app.py"}
    assert {"path": f"{top}/r3", "why": f"the link {os.path.normpath(top / link)} leads to it"} in details["skipped"]


def test_release_that_a_link_leads_to_since_the_plan_stays(tmp_path: Path) -> None:
    top = tree(tmp_path / "releases", r1=1, r2=10, r3=20)
    executor = cleanup({"path": str(top), "keep_newest": 1} | RELEASES)
    plan = executor.plan()
    (top / "current").symlink_to("r2")
    executor.run(through_json(plan.steps[0]))
    assert left(top) == {"r1/app.py", "r2/app.py", "current"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make links of others")
def test_link_of_somebody_else_keeps_nothing(tmp_path: Path) -> None:
    top = tree(tmp_path / "releases", r1=1, r2=10, r3=20)
    (top / "mine").symlink_to("r3")
    os.chown(top / "mine", 65534, 65534, follow_symlinks=False)
    run(cleanup({"path": str(top), "keep_newest": 1} | RELEASES))
    assert left(top) == {"r1/app.py", "mine"}


def test_file_that_a_link_leads_to_stays(root: Path) -> None:
    (root / "latest").symlink_to("d/a30")
    run(cleanup({"path": str(root), "age_seconds": 10 * DAY}))
    assert left(root) == {"a1", "a5", "d/a30", "latest"}


def test_whole_directories_count_for_the_guard_with_those_that_stay(tmp_path: Path) -> None:
    top = tree(tmp_path / "releases", r1=1, r2=10, r3=20, r4=30)
    plan = cleanup({"path": str(top), "keep_newest": 3} | RELEASES).plan()
    assert (plan.roots[0]["files"], plan.steps[0].items) == (4, 1)


@pytest.mark.parametrize(
    ("rule", "stay"),
    [
        ({"keep_newest": 1, "keep_per": "path"}, {"a1"}),
        ({"keep_newest": 1, "keep_per": "directory"}, {"a1", "d/a20", "e/a40"}),
        ({"keep_newest": 1, "keep_per": "pattern", "pattern": ["*5", "*0"]}, {"a1", "a5", "d/a20"}),
        ({"pattern": ["*5", "*40"]}, {"a1", "d/a20", "d/a30"}),
    ],
)
def test_keep_newest_per_group(root: Path, rule: dict[str, Any], stay: set[str]) -> None:
    run(cleanup({"path": str(root), "age_seconds": 0.5 * DAY} | rule))
    assert left(root) == stay


def test_wildcards_mean_the_directories_that_are_there(tmp_path: Path) -> None:
    for name, age in (
        ("a/tmp/x", 20),
        ("b/tmp/x", 20),
        ("b/tmp/y", 1),
        ("b/other/x", 20),
        (".h/tmp/x", 20),
        ("c/z", 9),
    ):
        put(tmp_path / name, age)
    (tmp_path / "link").symlink_to("a")
    plan, (details,) = run(cleanup({"path": f"{tmp_path}/*/tmp", "age_seconds": 10 * DAY}))
    assert {root["path"] for root in plan.roots} == {f"{tmp_path}/a/tmp", f"{tmp_path}/b/tmp"}
    assert (details["files"], left(tmp_path) & {"a/tmp/x", "b/tmp/x"}) == (2, set())
    undo(*plan.steps)
    own = {"path": f"{tmp_path}/a/tmp", "age_seconds": 30 * DAY}
    run(cleanup({"path": f"{tmp_path}/[ab]/tmp", "age_seconds": 10 * DAY}, own))
    assert left(tmp_path) & {"a/tmp/x", "b/tmp/x"} == {"a/tmp/x"}
    none = cleanup({"path": f"{tmp_path}/*/nothing", "age_seconds": DAY}).plan()
    assert f"no directory matches {tmp_path}/*/nothing" in none.warnings


def test_age_from_name_goes_by_the_date_and_nothing_else(tmp_path: Path) -> None:
    names = ("db-20261101.sql", "db-20261114.sql", "db-20261113.sql", "db-20261399.sql", "db.sql", "db-20270101.sql")
    for name in names:
        put(tmp_path / "d" / name, 0.1)
    config = {"path": str(tmp_path / "d"), "age_seconds": 10 * DAY, "age_from_name": "%Y%m%d"}
    _, (details,) = run(cleanup(config))
    assert left(tmp_path / "d") == set(names) - {"db-20261101.sql", "db-20261113.sql"}
    assert details["kept_by"] == {"date in the name": 2, "left alone": 2}
    assert "has no date" in details["skipped"][0]["why"]
    run(cleanup(config | {"age_seconds": None, "max_files": 1}))
    assert left(tmp_path / "d") == {"db-20261399.sql", "db.sql", "db-20270101.sql"}


def test_age_from_name_of_whole_directories(tmp_path: Path) -> None:
    top = tree(tmp_path / "releases", **{"20261001": 0.1, "20261120": 0.1, "shared": 99})
    run(cleanup({"path": str(top), "age_seconds": 10 * DAY, "age_from_name": "%Y%m%d"} | RELEASES))
    assert left(top) == {"20261120/app.py", "shared/app.py"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_free_until_takes_the_oldest_until_so_much_is_free(tmp_path: Path) -> None:
    with mounted("-t", "tmpfs", "-o", "size=1m,mode=755", "none", tmp_path):
        for age in range(1, 8):
            put(tmp_path / "d" / f"a{age}", age, bytes(100 * 1024))
        path = {"path": str(tmp_path / "d"), "free_until": 0.5}
        _, (details,) = run(cleanup(path, keeps_way_back=False))
        assert left(tmp_path / "d") == {f"a{age}" for age in range(1, 6)}
        assert details["files"] == 2
        plan, (details,) = run(cleanup(path, keeps_way_back=False))
        assert "is free, and 50.0% is required (`free_until`)" in plan.steps[0].says
        assert details["files"] == 0
        more = path | {"free_until": 0.9, "age_seconds": 4.5 * DAY}
        kept = cleanup(more).plan()
        assert "frees nothing before it is purged" in kept.warnings[0]
        config = cleanup(more)._work.config
        plan, (details,) = run(FilesystemCleanup(work(config, when_full="unlink"), Talk()))
        assert left(tmp_path / "d") == {f"a{age}" for age in range(1, 5)}
        assert "removed there at once" in plan.steps[0].says
        plan, (details,) = run(cleanup(more | {"age_seconds": DAY, "when_used": 0.95}))
        assert "and this begins at 95.0% (`when_used`)" in plan.steps[0].says
        assert details["files"] == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_whole_directories_stay_where_links_beside_them_cannot_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = tree(tmp_path / "app" / "releases", r1=1, r2=10)
    with mounted("--bind", top, top):  # as a unit has it that has been given this directory alone
        monkeypatch.setattr("jamaint.files.cleanup.sweep_step.is_mount_point", lambda _root: False)
        with pytest.raises(StepError, match=r"links in .*/app, such as `current`, cannot be seen by this worker"):
            cleanup({"path": str(top), "keep_newest": 1} | RELEASES).plan()
