"""On overlayfs a directory of a lower layer cannot be moved: what is old in it goes by itself."""

import itertools
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from test_temp_killed import temp

from jamaint.executors.shared.executor import StepError
from jamaint.executors.temp_cleanup.executor import TempCleanup
from jamaint.files.access import syscalls
from logs_cleanup_runs import Talk, age_directories, put


@pytest.fixture
def merged(tmp_path: Path) -> Iterator[Path]:
    """A directory of a container's image: the lower layer has all, nothing is in the upper one."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    place = tmp_path / "m"
    for name in ("lower", "rw", "m"):
        (tmp_path / name).mkdir()
    put(tmp_path / "lower" / "cache" / "old" / "f", 40)
    put(tmp_path / "lower" / "cache" / "young", 1)
    age_directories(tmp_path / "lower")
    options = f"lowerdir={tmp_path}/lower,upperdir={tmp_path}/rw/u,workdir={tmp_path}/rw/w,redirect_dir=off"
    mounts = [["-t", "tmpfs", "none", tmp_path / "rw"], ["-t", "overlay", "overlay", "-o", options, place]]
    done: list[Path] = []
    try:
        for words in mounts:
            if subprocess.run(["mount", *words], check=False).returncode:
                pytest.skip("no overlayfs can be mounted here")
            done.append(Path(words[-1]))
            if len(done) == 1:
                for name in ("u", "w"):
                    (tmp_path / "rw" / name).mkdir()
        yield place / "cache"
    finally:
        for path in reversed(done):
            subprocess.run(["umount", path], check=True)


def test_a_directory_of_the_lower_layer(merged: Path) -> None:
    executor = temp(merged)
    step = executor.plan().steps[0]
    details = executor.run(step)
    assert (details["files"], details["problems"]) == (1, [])
    assert [one["why"][:30] for one in details["skipped"] if one["path"].endswith("old")] == [
        "its file system cannot move it"
    ]
    assert not (merged / "old" / "f").exists()
    again = temp(merged)  # with nothing left to take it is no failure either
    assert again.run(again.plan().steps[0])["problems"] == []
    outcome = temp(merged).undo(step, False)
    assert (outcome["restored"], outcome["problems"]) == (1, [])
    assert (merged / "old" / "f").exists()


def later(root: Path, execution: str) -> TempCleanup:
    """The executor in another execution."""
    executor = temp(root)
    return TempCleanup(replace(executor._work, execution=execution), Talk())


def dressed(merged: Path) -> None:
    """Gives the directory of the lower layer what an undo has to bring back; the lower layer is written before."""
    lower = merged.parents[1] / "lower" / "cache" / "old"
    os.chown(lower, 1234, 2345)
    lower.chmod(0o3751)
    os.setxattr(lower, "user.note", b"kept")
    os.utime(lower, ns=(10**18 + 7, 10**18 + 11))


def how(path: Path) -> tuple[object, ...]:
    seen = path.stat()
    extended = {name: os.getxattr(path, name) for name in os.listxattr(path) if name.startswith("user.")}
    return seen.st_uid, seen.st_gid, seen.st_mode, seen.st_atime_ns, seen.st_mtime_ns, extended


def test_an_empty_directory_of_the_lower_layer_goes_and_comes_back_as_it_was(merged: Path) -> None:
    (merged.parents[1] / "lower" / "cache" / "old" / "f").unlink()
    dressed(merged)
    before, parent = how(merged / "old"), how(merged)
    executor = later(merged, "e-1")
    step = executor.plan().steps[0]
    details = executor.run(step)
    assert (details["directories"], details["problems"]) == (1, [])
    assert not (merged / "old").exists()
    assert how(merged)[:3] == parent[:3]
    for dry_run in (True, False):
        outcome = later(merged, "e-1").undo(step, dry_run)
        assert (outcome["kept"], outcome["problems"]) == ([], [])
    assert (how(merged / "old"), how(merged)) == (before, parent)
    assert not (merged / ".jamaint-trash").exists()


def test_what_is_emptied_in_one_run_goes_in_the_next(merged: Path) -> None:
    for execution in ("e-1", "e-2"):
        executor = later(merged, execution)
        step = executor.plan().steps[0]
        assert executor.run(step)["problems"] == []
    assert not (merged / "old").exists()
    assert (merged / "young").exists()


@pytest.mark.parametrize("call", ["mkdir", "rmdir", "fchown", "setxattr", "rename_noreplace", "symlink"])
def test_killed_at_any_call_it_is_in_its_place_or_comes_back(merged: Path, call: str) -> None:
    (merged.parents[1] / "lower" / "cache" / "old" / "f").unlink()
    dressed(merged)
    before, parent = how(merged / "old"), how(merged)
    step = later(merged, "e-1").plan().steps[0]
    for number in range(1, 12):
        child = os.fork()
        if child == 0:
            _die_at(call, number)
            later(merged, "e-1").run(step)
            os._exit(0)
        died = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        outcome = later(merged, "e-1").undo(step, False)
        assert (outcome["kept"], outcome["problems"]) == ([], []), (call, number)
        assert how(merged / "old") == before, (call, number)
        assert how(merged) == parent, (call, number)
        assert not (merged / ".jamaint-trash").exists()
        if died == 0:
            return
    raise AssertionError(f"more than ten calls of {call}")


def _die_at(call: str, number: int) -> None:
    """The process ends right before its call of that number."""
    module = syscalls if call == "rename_noreplace" else os
    real, counted = getattr(module, call), itertools.count(1)

    def counting(*args: object, **kw: object) -> object:
        if next(counted) == number:
            os._exit(9)
        return real(*args, **kw)

    setattr(module, call, counting)


def test_a_file_system_without_modes_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "t" / "old", 40)
    put(tmp_path / "t" / "young", 1)
    mkdir = os.mkdir

    def without_modes(path: str, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        mkdir(path, mode, dir_fd=dir_fd)
        os.chmod(path, 0o755, dir_fd=dir_fd)

    executor = temp(tmp_path / "t")
    step = executor.plan().steps[0]
    monkeypatch.setattr(os, "mkdir", without_modes)
    with pytest.raises(StepError, match=r"keeps no modes or owners.*enabled: false"):
        executor.run(step)
    assert (tmp_path / "t" / "old").exists()
    assert not (tmp_path / "t" / ".jamaint-trash").exists()
