"""usage: sizes as they are on the disk, each file once; what cannot be measured says why and stops nothing."""

import faulthandler
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dead_mounts import dead_mount
from jamaint.core.plans import Step
from jamaint.executors.internal import usage
from jamaint.executors.internal.usage import Usage
from jamaint.host.disk_space import each_disk_once, without_number
from logs_cleanup_runs import Talk, work
from tree_snapshot import differences, snapshot


def measured(*targets: tuple[str, str]) -> list[dict[str, Any]]:
    step = Step("usage", "", {"targets": [list(target) for target in targets]})
    addresses = {name: {"dsn": name} for kind, name in targets if kind in ("database", "cache")}
    found: list[dict[str, Any]] = Usage(replace(work(), config={"addresses": addresses}), Talk()).run(step)["targets"]
    return found


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "tree"
    (top / "inner").mkdir(parents=True, mode=0o755)
    (top / "a").write_bytes(b"x" * 10_000)
    (top / "inner" / ".hidden").write_bytes(b"x" * 5_000)
    os.link(top / "a", top / "inner" / "again")
    with (top / "sparse").open("wb") as file:
        file.truncate(1 << 30)
    return top


def test_a_directory_in_blocks_and_each_file_once(tree: Path) -> None:
    (found,) = measured(("logs", str(tree)))
    blocks = sum((tree / name).stat().st_blocks * 512 for name in ("a", "inner/.hidden", "sparse"))
    assert (found["files"], found["bytes"]) == (3, blocks)


def test_what_could_not_be_entered_is_told_beside_the_figure(tree: Path) -> None:
    (tree / "theirs").mkdir(mode=0o755)
    (tree / "theirs" / "b").write_bytes(b"x" * 10_000)
    mount = tree / "theirs"
    if os.geteuid() != 0:
        pytest.skip("only root can mount something there")
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", mount], check=True)
    try:
        (found,) = measured(("logs", str(tree)))
    finally:
        subprocess.run(["umount", mount], check=True)
    assert found["files"] == 3
    assert found["problem"] == (
        f"without 1 that could not be entered; the first is {mount}: another file system is mounted there"
    )


def test_a_place_that_everybody_may_write_in_is_measured_with_what_belongs_to_others(tree: Path) -> None:
    tree.chmod(0o1777)
    (tree / "inner").chmod(0o777)
    if os.geteuid() == 0:
        os.chown(tree / "inner", 65534, 65534)
    (found,) = measured(("temp", str(tree)))
    assert (found["files"], found.get("problem")) == (3, None)


def test_measuring_changes_nothing(tree: Path) -> None:
    before = snapshot(tree)
    measured(("logs", str(tree)), ("storage", str(tree)))
    assert differences(before, snapshot(tree)) == []


def test_an_address_that_was_not_given_when_it_was_opened_is_not_reached() -> None:
    step = Step("usage", "", {"targets": [["database", "postgresql://elsewhere/x"], ["cache", "redis://elsewhere/0"]]})
    for one in Usage(replace(work(), config={}), Talk()).run(step)["targets"]:
        assert "was not given" in one["problem"]


def test_a_disk_once_and_as_the_kernel_has_it(tree: Path) -> None:
    (found,) = measured(("storage", str(tree)), ("storage", str(tree / "inner")))
    status = os.statvfs(tree)
    assert found["total"] == status.f_blocks * status.f_frsize
    assert 0 <= found["share"] <= 1
    assert str(tree).startswith(found["label"].rstrip("/"))
    assert os.stat(found["label"]).st_dev == os.stat(tree).st_dev


@pytest.mark.parametrize(
    "target",
    [
        ("logs", "/nonexistent/logs"),
        ("storage", "/nonexistent"),
        ("cache", "unix:///nonexistent/redis.sock"),
        ("database", "postgresql:///x?host=/nonexistent"),
    ],
)
def test_what_cannot_be_measured_says_why(tree: Path, target: tuple[str, str]) -> None:
    wrong, right = measured(target, ("logs", str(tree)))
    assert wrong["bytes"] is None
    assert wrong["problem"]
    assert right["bytes"] > 0


def test_a_password_is_in_no_problem() -> None:
    found = measured(("database", "postgresql://u:s3cret@127.0.0.1:1/x"), ("cache", "redis://u:s3cret@127.0.0.1:1/0"))
    assert "s3cret" not in str([one["problem"] for one in found])


@contextmanager
def dead_line(seconds: float) -> Iterator[None]:
    """Ends this process with the stacks of all threads where the block hangs: no exception would reach it."""
    faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.fixture
def dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(usage, "SILENCE_SECONDS", 0.6)
    (tmp_path / "far").mkdir()
    (tmp_path / "near").mkdir()
    with dead_mount(tmp_path / "far", tmp_path / "near") as place:
        yield place


def test_usage_of_dead_mount_does_not_answer_and_others_do(dead: Path, tree: Path) -> None:
    targets = ("logs", str(dead)), ("files", str(dead / "inner")), ("storage", str(dead)), ("logs", str(tree))
    *silent, right = measured(*targets)
    assert [one["bytes"] for one in silent] == [None, None, None]
    assert all("does not answer" in one["problem"] for one in silent)
    assert right["files"] == 3


def test_usage_of_an_owners_directory_waits_for_no_dead_mount_before_it(dead: Path) -> None:
    """To take a user's rights waits for all threads, also for the one that the dead mount keeps waiting."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        his = Path(made) / "his"
        his.mkdir(mode=0o700)
        (his / "a").write_bytes(b"x" * 10_000)
        for path in (his, his / "a"):
            os.chown(path, 65534, 65534)
        with dead_line(20):
            silent, right = measured(("files", str(dead / "inner")), ("files", str(his)))
    assert "does not answer" in silent["problem"]
    assert (right.get("files"), right.get("problem")) == (1, None)


def test_usage_of_directory_with_dead_mount_in_it_leaves_that_out(dead: Path) -> None:
    (dead.parent / "a").write_bytes(b"x" * 10_000)
    (found,) = measured(("files", str(dead.parent)))
    assert found["problem"] == (
        f"without 1 that could not be entered; the first is {dead}: another file system is mounted there"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to act as others")
def test_usage_of_directory_of_somebody_else_is_measured_as_he() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:  # where anybody may pass
        tree = Path(directory)
        (tree / "a").write_bytes(b"x" * 10_000)
        (tree / "closed").mkdir(mode=0o700)
        tree.chmod(0o750)
        os.chown(tree, 65534, 65534)
        (found,) = measured(("logs", str(tree)))
    assert found["files"] == 1
    assert "without 1 that could not be entered" in found["problem"]
    assert os.geteuid() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_disk_without_inodes_says_so(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,nr_inodes=16", "none", tmp_path], check=True)
    try:
        for number in range(os.statvfs(tmp_path).f_ffree):
            (tmp_path / str(number)).touch()
        (found,) = measured(("storage", str(tmp_path)))
    finally:
        subprocess.run(["umount", "-l", tmp_path], check=True)
    assert (found["inodes_share"], found["share"] < 0.1) == (1.0, True)


def test_disk_keeps_its_number_for_the_daemon_which_may_have_seen_it_elsewhere(tree: Path) -> None:
    (found,) = measured(("storage", str(tree)), ("storage", str(tree / "inner")))
    assert found["device"] == tree.stat().st_dev
    assert [one["name"] for one in without_number(each_disk_once([found, {**found, "name": "other"}]))] == [str(tree)]
    assert "device" not in without_number([found])[0]
