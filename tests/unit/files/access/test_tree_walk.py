"""A walk sees what is meant, and changes nothing, follows nothing, crosses nothing."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from jamaint.files.access.globs import Globs
from jamaint.files.access.root import open_root
from jamaint.files.access.skip_report import Skipped
from jamaint.files.access.tree_walk import BATCH, DEPTH_LIMIT, Batches, Rules, fingerprint, walk
from tree_snapshot import differences, snapshot

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def seen(top: Path, rules: Rules, skipped: Skipped | None = None) -> list[str]:
    with open_root(str(top)) as root:
        found = walk(root, rules, skipped or Skipped(), lambda: None)
        return sorted(name if rel == "." else f"{rel}/{name}" for rel, name, _ in found)


def logs(*patterns: str) -> Rules:
    return Rules(Globs(patterns or ("**/*.log*",)))


def make(top: Path, *paths: str) -> None:
    for path in paths:
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_bytes(os.fsencode(path))


def why(skipped: Skipped) -> dict[str, str]:
    return {os.path.basename(item["path"]): item["why"] for item in skipped.details()["skipped"]}


def test_all_that_is_meant_and_only_that(tmp_path: Path) -> None:
    make(tmp_path, "a.log", "b.txt", "s/c.log.1", "s/t/d.log", "s/t/e.gz", "u/\udcff\n.log")
    assert seen(tmp_path, logs()) == ["a.log", "s/c.log.1", "s/t/d.log", "u/\udcff\n.log"]
    assert seen(tmp_path, logs("*.log")) == ["a.log"]
    assert seen(tmp_path, logs("s/*.log*", "s/t/*")) == ["s/c.log.1", "s/t/d.log", "s/t/e.gz"]


def test_exclusions_win_and_the_trash_is_never_seen(tmp_path: Path) -> None:
    make(tmp_path, "a.log", "s/b.log", "s/t/c.log", ".jamaint-trash/e/cleanup/gone/d.log", ".jamaint-half.log")
    top = str(tmp_path).lstrip("/")
    rules = Rules(Globs(["**/*.log*", ".*/**", ".*"]), Globs([f"{top}/s/t", "**/b.log"], hidden=True))
    assert seen(tmp_path, rules) == ["a.log"]
    whole = Rules(Globs(["**/*.log"]), Globs([top], hidden=True))
    assert seen(tmp_path, whole) == []


def test_what_another_root_answers_for_is_left_to_it(tmp_path: Path) -> None:
    make(tmp_path, "a.log", "s/b.log", "s/c.txt")
    elsewhere = Globs([f"{str(tmp_path).lstrip('/')}/s/*.log"])
    assert seen(tmp_path, Rules(Globs(["**/*"]), elsewhere=elsewhere)) == ["a.log", "s/c.txt"]


def test_only_regular_files_and_the_others_are_told(tmp_path: Path) -> None:
    make(tmp_path, "a.log", "real/b.log")
    (tmp_path / "link.log").symlink_to("a.log")
    (tmp_path / "directory.log").symlink_to("real")
    os.mkfifo(tmp_path / "fifo.log")
    with socket.socket(socket.AF_UNIX) as listener:
        os.chdir(tmp_path)
        listener.bind("socket.log")
    skipped = Skipped()
    assert seen(tmp_path, logs(), skipped) == ["a.log", "real/b.log"]
    assert why(skipped) == {
        "link.log": "it is a symbolic link",
        "directory.log": "it is a symbolic link",
        "fifo.log": "it is a FIFO",
        "socket.log": "it is a socket",
    }
    assert skipped.problems == []


@as_root
def test_devices_are_told(tmp_path: Path) -> None:
    os.mknod(tmp_path / "null.log", 0o20666, os.makedev(1, 3))
    skipped = Skipped()
    assert seen(tmp_path, logs(), skipped) == []
    assert why(skipped) == {"null.log": "it is a device"}


def test_a_directory_that_others_may_write_in_is_left_alone_with_all_below(tmp_path: Path) -> None:
    make(tmp_path, "a.log", "open/b.log", "open/s/c.log")
    (tmp_path / "open").chmod(0o777)
    skipped = Skipped()
    assert seen(tmp_path, logs(), skipped) == ["a.log"]
    assert "may be written by everyone" in why(skipped)["open"]
    assert [item["path"] for item in skipped.problems] == [f"{tmp_path}/open"]


def test_a_walk_changes_nothing(tmp_path: Path) -> None:
    make(tmp_path, "a.log", "s/b.log", "s/t/c.log")
    times = dict.fromkeys((tmp_path, tmp_path / "s", tmp_path / "s" / "t"), (10**18, 10**18 + 7))
    for path, (atime, mtime) in times.items():
        os.utime(path, ns=(atime, mtime))
    before = snapshot(tmp_path)
    seen(tmp_path, logs())
    assert {path: (path.stat().st_atime_ns, path.stat().st_mtime_ns) for path in times} == times
    assert differences(before, snapshot(tmp_path)) == []


def test_too_deep_is_told_and_ends_nothing(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    for depth in range(DEPTH_LIMIT + 50):
        for name in (f"{depth}.log", "d"):
            if name == "d":
                os.mkdir(name, dir_fd=fd)
                inner = os.open(name, os.O_RDONLY, dir_fd=fd)
            else:
                os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=fd))
        os.close(fd)
        fd = inner
    os.close(fd)
    skipped = Skipped()
    before = len(os.listdir("/proc/self/fd"))
    found = seen(tmp_path, logs(), skipped)
    assert len(found) == DEPTH_LIMIT + 1
    assert [item["why"] for item in skipped.problems] == [f"it is deeper than {DEPTH_LIMIT} directories"]
    assert len(os.listdir("/proc/self/fd")) == before
    subprocess.run(["rm", "-rf", f"{tmp_path}/d"], check=True)  # shutil would recurse


@as_root
def test_no_other_mount_is_entered_not_even_one_of_the_same_disk(tmp_path: Path) -> None:
    make(tmp_path, "root/a.log", "root/s/hidden.log", "other/b.log")
    code = (
        "mount --bind other root/s && mount --bind root/m root/m; "
        f"{sys.executable} - <<'E'\n"
        f"import sys; sys.path[:] = {sys.path}\n"
        "from jamaint.files.access.globs import Globs\n"
        "from jamaint.files.access.root import open_root\n"
        "from jamaint.files.access.skip_report import Skipped\n"
        "from jamaint.files.access.tree_walk import Rules, walk\n"
        "skipped = Skipped()\n"
        f"with open_root({str(tmp_path / 'root')!r}) as root:\n"
        "    print([name for _, name, _ in walk(root, Rules(Globs(['**/*.log'])), skipped, lambda: None)])\n"
        "print(sorted(item['why'] for item in skipped.details()['skipped']))\n"
        "E"
    )
    make(tmp_path, "root/m/c.log")
    command = ["unshare", "-m", "sh", "-c", code]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    if "unshare" in answer.stderr or "mount" in answer.stderr:
        pytest.skip("may not mount here")
    assert answer.stdout.splitlines() == ["['a.log']", str(["another file system is mounted there"] * 2)], answer.stderr


def test_batches_give_back_what_was_put_in(tmp_path: Path) -> None:
    make(tmp_path, "a")
    status = (tmp_path / "a").stat()
    batches = Batches()
    names = [f"n{n}\udcff\n" for n in range(BATCH + 3)]
    for name in names:
        batches.add("x", name, status)
    batches.add("y", "z", status)
    listed = list(batches)
    assert [(rel, len(found)) for rel, found, _ in listed] == [("x", BATCH), ("x", 3), ("y", 1)]
    assert [name for rel, found, _ in listed for name in found] == [*names, "z"]
    assert {mark for _, _, marks in listed for mark in marks} == {fingerprint(status)}
    assert (batches.count, batches.bytes) == (BATCH + 4, (BATCH + 4) * status.st_size)


def test_a_fingerprint_changes_with_what_is_written(tmp_path: Path) -> None:
    make(tmp_path, "a", "b")
    marks = {fingerprint((tmp_path / name).stat()) for name in ("a", "b")}
    os.utime(tmp_path / "a", ns=(0, 1))
    marks.add(fingerprint((tmp_path / "a").stat()))
    os.truncate(tmp_path / "a", 5)
    os.utime(tmp_path / "a", ns=(0, 1))
    marks.add(fingerprint((tmp_path / "a").stat()))
    assert len(marks) == 4
