"""A copy has the bytes, the holes, the owner, the mode, the attributes and the times of its source, or is none."""

import errno
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from jamaint.files.access.file_copy import CHUNK, Sum, copy_bytes, open_source, read_back
from jamaint.files.rights.attributes import AttributesDifferError, FileAttributes
from tree_snapshot import snapshot


@pytest.fixture
def here(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


def copied(here: int, top: Path) -> tuple[Sum, Sum]:
    source = open_source("a", here)
    target = os.open(top / "b", os.O_CREAT | os.O_RDWR, 0o600)
    ticks: list[int] = []
    try:
        seen = os.fstat(source)
        wanted = FileAttributes.of(source, seen)
        wanted.give(target)
        total = copy_bytes(source, target, seen.st_size, ticks.append)
        again = read_back(target, seen.st_size, ticks.append)
        wanted.settle(target, (seen.st_atime_ns, seen.st_mtime_ns))
    finally:
        os.close(source)
        os.close(target)
    assert sum(ticks) >= seen.st_size
    assert not seen.st_size > 2 * CHUNK or len(ticks) > 2
    return total, again


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [(0, b"x")],
        [(0, b"x" * 70000), (5 << 20, b"y" * 5000), (9 << 20, b"")],  # holes within and at the end
        [(3 << 20, b"z")],  # a hole in front
        [(2 << 20, b"")],  # nothing but a hole
        [(0, os.urandom(3 * CHUNK + 17))],
    ],
)
def test_bytes_and_holes(here: int, tmp_path: Path, pieces: list[tuple[int, bytes]]) -> None:
    with open(tmp_path / "a", "wb") as file:
        for at, data in pieces:
            file.seek(at)
            file.write(data)
        file.truncate(max([at + len(data) for at, data in pieces], default=0))
    os.utime(tmp_path / "a", ns=(10**18 + 1, 10**18 + 2))
    os.chmod(tmp_path / "a", 0o4751)
    total, again = copied(here, tmp_path)
    assert total == again == Sum().add((tmp_path / "a").read_bytes())
    found = snapshot(tmp_path)
    assert vars(found[b"a"]) == vars(found[b"b"])
    assert (tmp_path / "b").stat().st_atime_ns == 10**18 + 1
    assert (tmp_path / "b").stat().st_blocks <= (tmp_path / "a").stat().st_blocks


def test_attributes_and_access_lists(here: int, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    entries = [(1, 6, -1), (2, 4, os.geteuid() + 1), (4, 4, -1), (16, 6, -1), (32, 0, -1)]
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
    try:
        os.setxattr(tmp_path / "a", "user.origin", b"\0\xff")
        os.setxattr(tmp_path / "a", "system.posix_acl_access", acl)
    except OSError:
        pytest.skip("no attributes on this file system")
    copied(here, tmp_path)
    found = snapshot(tmp_path)
    assert found[b"a"].attributes == found[b"b"].attributes
    assert len(found[b"b"].attributes) == 2


@pytest.mark.parametrize("call", ["fchown", "fchmod", "setxattr"])
def test_what_cannot_be_kept_makes_it_no_copy(
    here: int, tmp_path: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_text("x")
    monkeypatch.setattr(os, "listxattr", lambda fd: ["security.selinux", "user.origin"])
    monkeypatch.setattr(os, "getxattr", lambda fd, name: b"label")
    monkeypatch.setattr(
        "jamaint.files.rights.attributes._give_owner", lambda fd, now, uid, gid: os.fchown(fd, uid, gid)
    )

    def refuse(*args: object) -> None:
        raise OSError(errno.EPERM, "no")

    for name in ("fchown", "fchmod", "setxattr"):
        monkeypatch.setattr(os, name, refuse if name == call else lambda *args: None)
    with pytest.raises(AttributesDifferError, match="origin" if call == "setxattr" else "owner, group or mode"):
        copied(here, tmp_path)


def test_a_label_of_the_system_may_be_lost(here: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("x")
    monkeypatch.setattr(os, "listxattr", lambda fd: ["security.selinux"])
    monkeypatch.setattr(os, "getxattr", lambda fd, name: b"label")

    def refuse(*args: object) -> None:
        raise OSError(errno.EPERM, "no")

    monkeypatch.setattr(os, "setxattr", refuse)
    total, again = copied(here, tmp_path)
    assert total == again


def test_a_source_is_a_regular_file_and_no_fifo_is_waited_for(here: int, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "real").write_text("x")
    os.utime(tmp_path / "real", ns=(7, 10**18))
    with pytest.raises(FileNotFoundError):
        open_source("fifo", here)
    with pytest.raises(OSError, match="symbolic links"):
        open_source("link", here)
    fd = open_source("real", here)
    os.read(fd, 1)
    os.close(fd)
    assert (tmp_path / "real").stat().st_atime_ns == 7
