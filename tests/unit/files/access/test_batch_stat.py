"""Statuses: what is seen of many files in one go is what the standard library sees of each."""

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from jamaint.files.access.batch_stat import Statuses, listed
from jamaint.files.access.tree_walk import BATCH, fingerprint

ALIKE = ("st_mode", "st_nlink", "st_uid", "st_ino", "st_dev", "st_size", "st_blocks")
TIMES = {"access": "st_atime_ns", "change": "st_ctime_ns", "modification": "st_mtime_ns"}


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    """A directory with one of each kind, open."""
    (tmp_path / "plain").write_bytes(b"x" * 10_000)
    (tmp_path / "setuid").touch()
    (tmp_path / "setuid").chmod(0o4755)
    os.link(tmp_path / "plain", tmp_path / "second")
    (tmp_path / "link").symlink_to("plain")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "sub").mkdir()
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(10 << 30)
    for name in (b"new\nline", b"\xff\xfe", b"x" * 255, "\u202ertl".encode()):
        os.close(os.open(os.fsencode(tmp_path) + b"/" + name, os.O_CREAT))
    for moment in (0, 1, 999_999_999, 10**18 + 7, -1, -(10**18)):
        path = tmp_path / f"at{moment}"
        path.touch()
        os.utime(path, ns=(moment, moment + 1))
    opened = os.open(tmp_path, os.O_RDONLY)
    yield opened
    os.close(opened)


def no_failure(name: str, error: OSError) -> None:
    raise AssertionError(name) from error


def test_each_column_is_what_lstat_says(fd: int) -> None:
    names, seen = sorted(os.listdir(fd)), Statuses()
    assert seen.look(names, fd, no_failure) == names
    ones = [os.lstat(name, dir_fd=fd) for name in names]
    assert seen.modes == [one.st_mode for one in ones]
    assert seen.links == [one.st_nlink for one in ones]
    assert seen.inodes == [one.st_ino for one in ones]
    assert seen.sizes == [one.st_size for one in ones]
    assert seen.blocks == [one.st_blocks for one in ones]
    assert seen.devices == [one.st_dev for one in ones]
    assert seen.prints() == [fingerprint(one) for one in ones]
    for which, attribute in TIMES.items():
        assert seen.nanoseconds(which) == [getattr(one, attribute) for one in ones]
        assert seen.seconds(which) == [getattr(one, attribute) // 10**9 for one in ones]
    assert not seen.locked


def test_one_is_as_lstat_says_it_also_after_the_next_look(fd: int) -> None:
    names, seen = os.listdir(fd), Statuses()
    seen.look(names, fd, no_failure)
    found = [seen.one(number) for number in range(seen.count)]
    seen.look(["plain"], fd, no_failure)
    for name, one in zip(names, found, strict=True):
        known = os.lstat(name, dir_fd=fd)
        for attribute in (*ALIKE, *TIMES.values()):
            assert getattr(one, attribute) == getattr(known, attribute), (name, attribute)
        assert one.locked == ""


def test_what_cannot_be_looked_at_is_told_and_left_out(fd: int) -> None:
    seen, failed = Statuses(), dict[str, OSError]()
    names = ["gone", "plain", "x" * 300, "sub", "gone too"]
    assert seen.look(names, fd, failed.__setitem__) == ["plain", "sub"]
    assert {name: error.strerror for name, error in failed.items()} == {
        "gone": "No such file or directory",
        "x" * 300: "File name too long",
        "gone too": "No such file or directory",
    }
    assert seen.inodes == [os.lstat(name, dir_fd=fd).st_ino for name in ("plain", "sub")]
    assert seen.look(["gone"], fd, lambda *_: None) == []
    assert (seen.count, seen.sizes, seen.prints(), seen.devices) == (0, [], [], [])
    assert seen.look([], fd, no_failure) == []


def test_a_listing_comes_in_batches_and_tells_directories_apart(tmp_path: Path) -> None:
    for number in range(BATCH):
        (tmp_path / f"f{number}").touch()
    (tmp_path / "inner").mkdir()
    (tmp_path / "link").symlink_to("inner")
    opened = os.open(tmp_path, os.O_RDONLY)
    try:
        batches = list(listed(opened))
    finally:
        os.close(opened)
    assert [len(files) + len(directories) for files, directories in batches] == [BATCH, 2]
    assert [name for _, directories in batches for name in directories] == ["inner"]
    assert {name for files, _ in batches for name in files} == {f"f{number}" for number in range(BATCH)} | {"link"}


def test_a_full_batch_fits(tmp_path: Path) -> None:
    names = [f"f{number}" for number in range(BATCH)]
    for name in names:
        (tmp_path / name).touch()
    opened, seen = os.open(tmp_path, os.O_RDONLY), Statuses()
    try:
        assert seen.look(names, opened, no_failure) == names
    finally:
        os.close(opened)
    assert len(set(seen.inodes)) == BATCH
    assert all(stat.S_ISREG(mode) for mode in seen.modes)
