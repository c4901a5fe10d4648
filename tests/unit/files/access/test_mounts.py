"""Where a file system is mounted on the machine, as a unit sees it that has each of its directories bound in."""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jamaint.files.access.mounts import MOUNTINFO, is_mount_point
from jamaint.files.access.root import open_root
from logs_cleanup_runs import in_fresh_process

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount")
_NEW_MOUNT_NAMESPACE = 0x20000


def mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True, capture_output=True)


def mounting(act: Callable[[], Any]) -> Any:
    """What `act` returns, in a process with mounts of its own."""

    def alone() -> Any:
        if ctypes.CDLL(None).unshare(_NEW_MOUNT_NAMESPACE) != 0:
            return "may not mount"
        try:
            mount("--make-rprivate", "/")
        except subprocess.CalledProcessError:
            return "may not mount"
        return act()

    result = in_fresh_process(alone)
    if result == "may not mount":
        pytest.skip("may not mount here")
    return result


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "app" / "inner").mkdir(parents=True)
    return tmp_path


def seen(path: Path, machine: Path) -> bool:
    with open_root(str(path)) as root:
        return is_mount_point(root, MOUNTINFO, str(machine))


def bound_by_a_unit(place: Path, path: Path) -> bool:
    """The answer in a unit that has `path` bound in, where the machine has what it has now."""
    shutil.copyfile(MOUNTINFO, place / "machine")
    mount("--bind", path, path)
    return seen(path, place / "machine")


def test_mount_point_no_plain_directory(place: Path) -> None:
    assert not seen(place / "app", place / "no table")


def test_mount_point_no_directory_bound_by_its_unit(place: Path) -> None:
    assert mounting(lambda: bound_by_a_unit(place, place / "app")) is False


def test_mount_point_no_directory_on_a_disk_bound_by_its_unit(place: Path) -> None:
    def act() -> bool:
        mount("-t", "tmpfs", "-o", "mode=755", "none", place / "app")
        (place / "app" / "inner").mkdir()
        return bound_by_a_unit(place, place / "app" / "inner")

    assert mounting(act) is False


def test_mount_point_disk_of_the_machine(place: Path) -> None:
    def act() -> bool:
        mount("-t", "tmpfs", "-o", "mode=755", "none", place / "app")
        return bound_by_a_unit(place, place / "app")

    assert mounting(act) is True


def test_mount_point_directory_bound_by_the_machine(place: Path) -> None:
    def act() -> bool:
        other = place / "other" / "app"
        other.mkdir(parents=True)
        mount("--bind", other, place / "app")
        return bound_by_a_unit(place, place / "app")

    assert mounting(act) is True


def test_mount_point_disk_mounted_over_a_bound_directory(place: Path) -> None:
    def act() -> bool:
        mount("--bind", place / "app", place / "app")
        mount("-t", "tmpfs", "-o", "mode=755", "none", place / "app")
        shutil.copyfile(MOUNTINFO, place / "machine")
        return seen(place / "app", place / "machine")

    assert mounting(act) is True


def test_mount_point_other_directory_than_the_machine_has(place: Path) -> None:
    def act() -> bool:
        other = place / "other" / "app"
        other.mkdir(parents=True)
        shutil.copyfile(MOUNTINFO, place / "machine")
        mount("--bind", other, place / "app")
        return seen(place / "app", place / "machine")

    assert mounting(act) is True


def test_mount_point_bound_directory_outside_a_unit(place: Path) -> None:
    def act() -> bool:
        mount("--bind", place / "app", place / "app")
        return seen(place / "app", place / "no table")

    assert mounting(act) is True


def test_mount_point_unknown_without_a_readable_table(place: Path) -> None:
    def act() -> str:
        mount("--bind", place / "app", place / "app")
        (place / "machine").mkdir()
        try:
            return str(seen(place / "app", place / "machine"))
        except OSError as error:
            return type(error).__name__

    assert mounting(act) == "IsADirectoryError"


def test_mount_point_with_blank_and_backslash(place: Path) -> None:
    def act() -> bool:
        path = place / "my \\ app"
        path.mkdir()
        mount("-t", "tmpfs", "-o", "mode=755", "none", path)
        return bound_by_a_unit(place, path)

    assert mounting(act) is True
