"""What opening a root and going down in it refuses, word by word, and whom each refusal names."""

import os
import pwd
import resource
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from jamaint.files.access.root import DirectoryRefusedError, Root, RootRefusedError, open_root

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@contextmanager
def refused(path: Path | str, kind: str) -> Iterator[list[str]]:
    with pytest.raises(RootRefusedError) as refusal, open_root(str(path)):
        pass
    assert refusal.value.kind == kind
    yield [refusal.value.why]


@pytest.mark.parametrize(("path", "named"), [("", "an empty path"), ("a/b", "a/b"), ("/a/../b", "/a/../b")])
def test_path_that_is_not_plain_is_named_in_the_refusal(path: str, named: str) -> None:
    with refused(path, "unsafe") as (why,):
        assert why == f"{named}: name a directory by its whole path, without . or .."


def test_refusals_read_as_their_reason() -> None:
    assert str(RootRefusedError("/a", "it burns", "failed", 7)) == "it burns"
    assert str(DirectoryRefusedError("it burns", True, True, 7)) == "it burns"


def test_without_a_descriptor_left_the_root_cannot_be_entered(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(RootRefusedError) as refusal:
            open_root(str(tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (refusal.value.kind, refusal.value.owner) == ("failed", None)
    assert refusal.value.why == f"{tmp_path} cannot be entered: too many open files"


def test_another_device_in_the_same_mount_is_not_entered(tmp_path: Path) -> None:
    """A subvolume of Btrfs is one: its mount is that of the root."""
    (tmp_path / "a").mkdir()
    with open_root(str(tmp_path)) as root:
        other = replace(root, stat=os.stat("/proc"))
        with pytest.raises(DirectoryRefusedError) as refusal:
            other.look_in(root.fd, "a")
    assert refusal.value.why == "another file system is mounted there"


def test_root_is_exclusive_unless_said(tmp_path: Path) -> None:
    assert not Root(str(tmp_path), -1, tmp_path.stat(), 1).shared


def test_sticky_directory_below_is_entered_in_a_shared_root_alone(tmp_path: Path) -> None:
    (tmp_path / "sticky").mkdir()
    (tmp_path / "sticky").chmod(0o1777)
    with open_root(str(tmp_path)) as root, pytest.raises(DirectoryRefusedError, match="written by everyone") as refusal:
        root.descend("sticky")
    assert (refusal.value.missing, refusal.value.failed, refusal.value.owner) == (False, True, None)
    assert refusal.value.why == (
        "it may be written by everyone (mode 1777), so what is in it could be replaced by others: have the "
        "program write "
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
            f"{tmp_path} may be written by everyone (mode 0777), so what is in it could be replaced by "
            f"others: have the "
            "program write in a directory of its own, and name that; or take the right to write from others, if "
            "nothing needs it"
        )


@as_root
@pytest.mark.parametrize(("mode", "refuses"), [(0o755, False), (0o1777, False), (0o777, True)])
def test_top_of_the_tree_is_checked_as_any_directory_on_the_way(tmp_path: Path, mode: int, refuses: bool) -> None:
    (tmp_path / "logs").mkdir()
    tmp_path.chmod(mode)
    expected = (
        "/ may be written by everyone (mode 0777), so what is in it could be replaced by others: have the "
        "program write "
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
        except RootRefusedError as refusal:
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
    with open_root(str(tmp_path)) as root, pytest.raises(DirectoryRefusedError) as refusal:
        root.descend("theirs")
    assert refusal.value.why == (
        "it belongs to uid 4242, so what is in it could be replaced by others: no account has that uid: give it to one "
        "that shall work there"
    )
    assert (refusal.value.owner, refusal.value.failed, refusal.value.missing) == (4242, True, False)


@as_root
def test_refused_root_of_another_names_the_owner_and_the_path_that_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "app" / "logs").mkdir(parents=True)
    os.chown(tmp_path / "app", 65534, -1)
    with pytest.raises(RootRefusedError) as refusal:
        open_root(str(tmp_path / "app" / "logs"))
    name = pwd.getpwuid(65534).pw_name
    assert (refusal.value.owner, refusal.value.path) == (65534, f"{tmp_path}/app/logs")
    assert refusal.value.why == (
        f"{tmp_path}/app belongs to {name} (uid 65534), so what is in it could be replaced by others: set "
        f"`user: {name}` "
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
    with open_root(str(tmp_path)) as root, pytest.raises(DirectoryRefusedError) as refusal:
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
        with suppress(RootRefusedError):
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
        with pytest.raises(DirectoryRefusedError) as refusal:
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
            with pytest.raises(DirectoryRefusedError) as refusal:
                root.descend(name)
            assert refusal.value.why == "it is a link or no directory any more"
            assert (refusal.value.missing, refusal.value.failed, refusal.value.owner) == (False, False, None)
        with pytest.raises(DirectoryRefusedError) as refusal:
            root.descend("missing")
        assert (refusal.value.why, refusal.value.missing, refusal.value.failed) == (
            "it is no longer there",
            True,
            False,
        )


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/"])
def test_names_that_are_none_are_refused_as_a_failure(tmp_path: Path, name: str) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    with open_root(str(tmp_path)) as root, pytest.raises(DirectoryRefusedError) as refusal:
        root.look_in(root.fd, name)
    assert (refusal.value.why, refusal.value.failed) == ("it has no name of its own", True)


def test_descriptors_are_not_handed_on_to_programs(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with open_root(str(tmp_path)) as root, root.descend("a") as place:
        assert not os.get_inheritable(root.fd)
        assert not os.get_inheritable(place.fd)
