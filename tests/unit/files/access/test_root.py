"""A root is opened only where nobody else could swap it, and the refusal says what to do."""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from jamaint.files.access.root import DirectoryRefusedError, RootRefusedError, open_root

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@contextmanager
def refused(path: Path | str, kind: str) -> Iterator[list[str]]:
    told: list[str] = []
    with pytest.raises(RootRefusedError) as refusal, open_root(str(path)):
        pass
    assert refusal.value.kind == kind
    told.append(refusal.value.why)
    yield told


def test_a_directory_of_ours_is_opened_and_its_access_time_stays(tmp_path: Path) -> None:
    os.utime(tmp_path, ns=(5, 10**18))
    with open_root(str(tmp_path)) as root:
        os.listdir(root.fd)
        assert root.name("a/b", "c") == f"{tmp_path}/a/b/c"
        assert root.name(".", "c") == f"{tmp_path}/c"
    assert tmp_path.stat().st_atime_ns == 5


def test_a_missing_one_is_told_by_its_first_missing_component(tmp_path: Path) -> None:
    with refused(tmp_path / "x" / "y", "missing") as (why,):
        assert why == f"{tmp_path}/x does not exist"


@pytest.mark.parametrize("path", ["relative/a", "", "/a/../b", "/a/./b", "/a//b", "/a/", "/", "/a\0b"])
def test_a_path_that_is_not_plain_is_refused(path: str) -> None:
    with refused(path, "unsafe") as (why,):
        assert "whole path" in why


@pytest.mark.parametrize("last", [True, False])
def test_a_link_on_the_way_is_refused_and_its_target_named(tmp_path: Path, last: bool) -> None:
    (tmp_path / "real" / "logs").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real/logs" if last else "real")
    with refused(tmp_path / "link" if last else tmp_path / "link" / "logs", "unsafe") as (why,):
        assert (
            why == f"{tmp_path}/link is a symbolic link to {'real/logs' if last else 'real'}; name the real directory"
        )


def test_a_file_is_no_root(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with refused(tmp_path / "file", "unsafe") as (why,):
        assert why == f"{tmp_path}/file is not a directory"


def test_what_everybody_may_write_in_is_no_root_but_a_sticky_one_may_be_on_the_way(tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    (outer / "logs").mkdir(parents=True)
    outer.chmod(0o1777)
    with refused(outer, "unsafe") as (why,):
        assert "may be written by everyone (mode 1777)" in why
        assert "chmod" not in why  # /tmp is such a one, and would be nobody's
    with open_root(str(outer / "logs")):
        pass
    outer.chmod(0o777)
    with refused(outer / "logs", "unsafe") as (why,):
        assert why.startswith(f"{outer} may be written by everyone")


def test_a_group_that_may_write_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    if os.geteuid() == 0:
        os.chown(logs, 0, 4)
    elif os.getegid() == 0:
        pytest.skip("our group is root's")
    monkeypatch.setattr(
        "jamaint.files.rights.writable_groups.is_private", lambda gid: False
    )  # as that of an ordinary user may be
    logs.chmod(0o770)
    with refused(logs, "unsafe") as (why,):
        assert "may be written by the group" in why
        assert "trust: {groups: [" in why


@as_root
def test_roots_group_may_write_but_not_those_on_an_access_list(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    os.chown(logs, 0, 0)
    logs.chmod(0o770)
    with open_root(str(logs)):
        pass
    entries = [(1, 7, -1), (2, 7, 65534), (4, 7, -1), (16, 7, -1), (32, 0, -1)]
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
    try:
        os.setxattr(logs, "system.posix_acl_access", acl)
    except OSError:
        pytest.skip("no access lists on this file system")
    with refused(logs, "unsafe") as (why,):
        assert "access list" in why


@as_root
def test_what_another_user_owns_is_refused_and_the_setting_named(tmp_path: Path) -> None:
    logs = tmp_path / "app" / "logs"
    logs.mkdir(parents=True)
    os.chown(logs.parent, 65534, -1)
    for path in (logs, logs.parent):
        with refused(path, "unsafe") as (why,):
            assert why.startswith(f"{logs.parent} belongs to ")
            assert "set `user: " in why
    os.chown(logs.parent, 4242, -1)
    with refused(logs, "unsafe") as (why,):
        assert "uid 4242" in why


def test_descending_checks_every_component(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "elsewhere" / "b").mkdir(parents=True)
    with open_root(str(tmp_path)) as root:
        with root.descend("a/b") as place:
            assert os.path.samestat(os.fstat(place.fd), (tmp_path / "a" / "b").stat())
            assert len(place.stats) == 2
        (tmp_path / "a").rename(tmp_path / "old")
        with pytest.raises(DirectoryRefusedError) as missing:
            root.descend("a/b")
        assert missing.value.missing
        (tmp_path / "a").symlink_to("elsewhere")
        with pytest.raises(DirectoryRefusedError, match="link"):
            root.descend("a/b")
        (tmp_path / "old" / "b").chmod(0o777)
        with pytest.raises(DirectoryRefusedError, match="written by everyone"):
            root.descend("old/b")
        (tmp_path / "file").touch()
        with pytest.raises(DirectoryRefusedError):
            root.descend("file")


def test_descending_leaks_nothing_open(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(mode=0o777)
    (tmp_path / "a").chmod(0o777)
    with open_root(str(tmp_path)) as root:
        before = len(os.listdir("/proc/self/fd"))
        for rel in ("a", "a/b", "missing"):
            with suppress(DirectoryRefusedError):
                root.descend(rel)
        assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("rel", ["..", "a/..", "a/../..", "a/.", "a//b", ""])
def test_descending_leads_neither_up_nor_nowhere(tmp_path: Path, rel: str) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    with open_root(str(tmp_path)) as root, pytest.raises(DirectoryRefusedError, match="has no name of its own"):
        root.descend(rel)
