"""The calls of the kernel that Python lacks."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jamaint.files.access import syscalls
from logs_cleanup_runs import without_modern_calls


@pytest.fixture
def here(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


def move(here: int, source: str, target: str) -> None:
    syscalls.rename_noreplace(source, target, src_dir_fd=here, dst_dir_fd=here)


@pytest.mark.parametrize("modern", [True, False])
def test_a_rename_never_overwrites(here: int, tmp_path: Path, modern: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not modern:
        for name in ("open", "rename"):
            monkeypatch.setattr(os, name, getattr(os, name))
        monkeypatch.setattr(syscalls, "_renameat2", syscalls._renameat2)
        without_modern_calls()
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    (tmp_path / "d").mkdir()
    with pytest.raises(FileExistsError):
        move(here, "a", "b")
    with pytest.raises(FileExistsError):
        move(here, "d", "b")
    with pytest.raises(FileNotFoundError):
        move(here, "x", "y")
    move(here, "a", "c\udcff")
    move(here, "d", "e")
    assert sorted(os.listdir(here)) == ["b", "c\udcff", "e"]
    assert (tmp_path / "b").read_text() == "b"
    assert (tmp_path / "c\udcff").read_text() == "a"


def test_mount_ids_are_those_of_proc(here: int, monkeypatch: pytest.MonkeyPatch) -> None:
    told = syscalls.mount_id(here)

    def old_kernel(*args: Any) -> tuple[int, bytes]:
        return 0, b"\0" * 256

    monkeypatch.setattr(syscalls, "_status", old_kernel)
    assert syscalls.mount_id(here) == told


def test_identity_is_what_stat_says(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    seen = (tmp_path / "a").stat()
    assert syscalls.identity(str(tmp_path / "a")) == (seen.st_mode & 0xFFFF, seen.st_dev, seen.st_ino)
    assert stat.S_ISCHR(syscalls.identity("/dev/null")[0])
    with pytest.raises(OSError, match="No such file") as error:
        syscalls.identity(str(tmp_path / "x"))
    assert error.value.errno == errno.ENOENT


def test_a_file_without_attributes_is_not_locked(here: int, tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert syscalls.locked_by_attribute("a", here) is None
