"""A root is opened only where nobody else could swap it, and the refusal says what to do."""

import os
import pwd
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from jamaint.files.access.root import NotEntered, RootRefused, open_root

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@contextmanager
def refused(path: Path | str, kind: str) -> Iterator[list[str]]:
    told: list[str] = []
    with pytest.raises(RootRefused) as refusal, open_root(str(path)):
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
        assert "is not a directory" in why


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
        with pytest.raises(NotEntered) as missing:
            root.descend("a/b")
        assert missing.value.missing
        (tmp_path / "a").symlink_to("elsewhere")
        with pytest.raises(NotEntered, match="link"):
            root.descend("a/b")
        (tmp_path / "old" / "b").chmod(0o777)
        with pytest.raises(NotEntered, match="written by everyone"):
            root.descend("old/b")
        (tmp_path / "file").touch()
        with pytest.raises(NotEntered):
            root.descend("file")


def test_sticky_directory_below_is_entered_in_a_shared_root_alone(tmp_path: Path) -> None:
    (tmp_path / "sticky").mkdir()
    (tmp_path / "sticky").chmod(0o1777)
    with open_root(str(tmp_path)) as root, pytest.raises(NotEntered, match="written by everyone") as refusal:
        root.descend("sticky")
    assert (refusal.value.missing, refusal.value.failed, refusal.value.owner) == (False, True, None)
    assert refusal.value.why == (
        "it may be written by everyone (mode 1777), so what is in it could be swapped under us: have the program write "
        "in a directory of its own, and name that"
    )
    with open_root(str(tmp_path), shared=True) as root, root.descend("sticky"):
        pass


def test_shared_root_may_be_sticky_and_its_risk_is_told_once_it_is_not(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    top.chmod(0o1777)
    with open_root(str(top), shared=True) as root:
        assert root.shared
        assert root.risk() is None
        top.chmod(0o777)
        assert root.risk() == "may be written by everyone (mode 0777)"
    top.chmod(0o755)
    with open_root(str(top)) as root:
        assert not root.shared
        assert root.risk() is None
        top.chmod(0o1777)
        assert root.risk() == "may be written by everyone (mode 1777)"


def test_refusal_of_a_directory_that_everybody_may_write_in_says_what_to_do(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with refused(tmp_path, "unsafe") as (why,):
        assert why == (
            f"{tmp_path} may be written by everyone (mode 0777), so what is in it could be swapped under us: have the "
            "program write in a directory of its own, and name that; or take the right to write from others, if "
            "nothing needs it"
        )


@as_root
@pytest.mark.parametrize(("mode", "refuses"), [(0o755, False), (0o1777, False), (0o777, True)])
def test_top_of_the_tree_is_checked_as_any_directory_on_the_way(tmp_path: Path, mode: int, refuses: bool) -> None:
    (tmp_path / "logs").mkdir()
    tmp_path.chmod(mode)
    expected = (
        "/ may be written by everyone (mode 0777), so what is in it could be swapped under us: have the program write "
        "in a directory of its own, and name that; or take the right to write from others, if nothing needs it"
    )
    assert _in_a_root_of_its_own(tmp_path, "/logs") == (expected if refuses else "opened")


def _in_a_root_of_its_own(top: Path, path: str) -> str:
    """Open `path` in a process to which `top` is the top of the tree; return "opened", or why not."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        said = "nothing"
        try:
            os.chroot(top)
            os.chdir("/")
            with open_root(path):
                said = "opened"
        except RootRefused as refusal:
            said = refusal.why
        finally:
            os.write(writing, said.encode())
            os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as answer:
        said = answer.read()
    os.waitpid(child, 0)
    return said


@contextmanager
def acting_as(uid: int) -> Iterator[None]:
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as path:
        os.chmod(path, 0o755)
        yield Path(path)


@as_root
def test_directory_of_another_is_refused_below_and_its_owner_told(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", 4242, -1)
    with open_root(str(tmp_path)) as root, pytest.raises(NotEntered) as refusal:
        root.descend("theirs")
    assert refusal.value.why == (
        "it belongs to uid 4242, so what is in it could be swapped under us: no account has that uid: give it to one "
        "that shall work there"
    )
    assert (refusal.value.owner, refusal.value.failed, refusal.value.missing) == (4242, True, False)


@as_root
def test_refused_root_of_another_names_the_owner_and_the_path_that_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "app" / "logs").mkdir(parents=True)
    os.chown(tmp_path / "app", 65534, -1)
    with pytest.raises(RootRefused) as refusal:
        open_root(str(tmp_path / "app" / "logs"))
    name = pwd.getpwuid(65534).pw_name
    assert (refusal.value.owner, refusal.value.path) == (65534, f"{tmp_path}/app/logs")
    assert refusal.value.why == (
        f"{tmp_path}/app belongs to {name} (uid 65534), so what is in it could be swapped under us: set `user: {name}` "
        "on the task (for logs, `user: owner`), to work with that user's rights"
    )


@as_root
def test_who_may_not_keep_the_access_time_opens_all_the_same(open_to_all: Path) -> None:
    with acting_as(65534), open_root(str(open_to_all)) as root:
        assert os.listdir(root.fd) == []


@as_root
def test_who_may_not_enter_or_read_is_told_so(open_to_all: Path) -> None:
    top = open_to_all / "top"
    (top / "inner").mkdir(parents=True)
    top.chmod(0o700)
    with acting_as(65534):
        with refused(top, "failed") as (why,):
            assert why == f"{top} cannot be read: permission denied"
        with refused(top / "inner", "failed") as (why,):
            assert why == f"{top}/inner cannot be entered: permission denied"


def test_name_that_is_too_long_is_told_as_a_failure(tmp_path: Path) -> None:
    with refused(tmp_path / ("x" * 256), "failed") as (why,):
        assert why.endswith("cannot be entered: file name too long")
    with open_root(str(tmp_path)) as root, pytest.raises(NotEntered) as refusal:
        root.descend("x" * 256)
    assert (refusal.value.why, refusal.value.failed) == ("file name too long", True)


def test_root_and_places_close_what_they_opened(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    before = len(os.listdir("/proc/self/fd"))
    with open_root(str(tmp_path)) as root:
        with root.descend("a"), root.descend("."):
            pass
        assert len(os.listdir("/proc/self/fd")) == before + 1
    for path in ("/proc/missing/x", str(tmp_path / "missing")):
        with suppress(RootRefused):
            open_root(path)
    assert len(os.listdir("/proc/self/fd")) == before


def test_descending_to_the_root_itself_gives_its_own_status(tmp_path: Path) -> None:
    with open_root(str(tmp_path)) as root, root.descend(".") as place:
        assert (place.rel, [one.st_ino for one in place.stats]) == (".", [tmp_path.stat().st_ino])
        assert root.name(".") == str(tmp_path)


@as_root
def test_what_is_mounted_below_is_not_entered(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with mounted_below(tmp_path / "other"), open_root(str(tmp_path)) as root:
        with pytest.raises(NotEntered) as refusal:
            root.descend("other")
        assert refusal.value.why == "another file system is mounted there"
        assert not refusal.value.failed


@contextmanager
def mounted_below(place: Path) -> Iterator[None]:
    if subprocess.run(["mount", "-t", "tmpfs", "none", str(place)], capture_output=True, check=False).returncode:
        pytest.skip("may not mount")
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_what_is_no_directory_below_is_left_alone_and_missing_told_apart(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("/")
    with open_root(str(tmp_path)) as root:
        for name in ("file", "link"):
            with pytest.raises(NotEntered) as refusal:
                root.descend(name)
            assert refusal.value.why == "it is a link or no directory any more"
            assert (refusal.value.missing, refusal.value.failed, refusal.value.owner) == (False, False, None)
        with pytest.raises(NotEntered) as refusal:
            root.descend("missing")
        assert (refusal.value.why, refusal.value.missing, refusal.value.failed) == (
            "it is no longer there",
            True,
            False,
        )


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/"])
def test_names_that_are_none_are_refused_as_a_failure(tmp_path: Path, name: str) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    with open_root(str(tmp_path)) as root, pytest.raises(NotEntered) as refusal:
        root.look_in(root.fd, name)
    assert (refusal.value.why, refusal.value.failed) == ("it has no name of its own", True)


def test_descriptors_are_not_handed_on_to_programs(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with open_root(str(tmp_path)) as root, root.descend("a") as place:
        assert not os.get_inheritable(root.fd)
        assert not os.get_inheritable(place.fd)


def test_descending_leaks_nothing_open(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(mode=0o777)
    (tmp_path / "a").chmod(0o777)
    with open_root(str(tmp_path)) as root:
        before = len(os.listdir("/proc/self/fd"))
        for rel in ("a", "a/b", "missing"):
            with suppress(NotEntered):
                root.descend(rel)
        assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("rel", ["..", "a/..", "a/../..", "a/.", "a//b", ""])
def test_descending_leads_neither_up_nor_nowhere(tmp_path: Path, rel: str) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    with open_root(str(tmp_path)) as root, pytest.raises(NotEntered, match="has no name of its own"):
        root.descend(rel)
