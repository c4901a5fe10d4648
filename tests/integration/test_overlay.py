"""On overlayfs a directory of a lower layer cannot be moved: what is old in it goes by itself."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_temp_killed import temp

from jamaint.executors.executor import StepFailed
from logsrun import age_directories, put


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
    with pytest.raises(StepFailed, match=r"keeps no modes or owners.*enabled: false"):
        executor.run(step)
    assert (tmp_path / "t" / "old").exists()
    assert not (tmp_path / "t" / ".jamaint-trash").exists()
