"""The how-to free-space-now.md as it stands there, on a disk of its own that is full to the last byte."""

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from command_line import Scene, scene

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to" / "free-space-now.md"
OLD = 1_600_000_000
MIB = 1 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """An ext4 of 32 MiB in a file."""
    image, place = tmp_path / "image", tmp_path / "disk"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(32 * MIB)
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
        pytest.skip("needs root and mkfs.ext4")
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True, capture_output=True)
    if subprocess.run(["mount", "-o", "loop", image, place], check=False, capture_output=True).returncode:
        pytest.skip("no loop device can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def commands() -> list[list[str]]:
    return [line.split()[1:] for line in re.findall(r"^    (jamaintctl .*)$", HOW_TO.read_text(), re.MULTILINE)]


def old_files(directory: Path, count: int) -> None:
    directory.mkdir(mode=0o755, exist_ok=True)
    for number in range(count):
        (directory / f"f{number}").write_bytes(os.urandom(MIB))
        os.utime(directory / f"f{number}", (OLD, OLD))


def fill(disk: Path) -> None:
    """Uses up every block."""
    with (disk / "filler").open("ab", buffering=0) as file:
        for size in (MIB, 1024):
            with contextlib.suppress(OSError):
                while file.write(b"x" * size) == size:
                    pass
    assert os.statvfs(disk).f_bavail < 32


def task(root: Path, **more: Any) -> dict[str, Any]:
    path = {"path": str(root), "age": "30d", "age_by": ["modification"]}
    whole = {"share": "100%", "items": 1000}
    return {"executor": "filesystem.cleanup", "config": {"paths": [path]}, "mass_deletion": whole, **more}


def test_free_space_now_as_it_stands(disk: Path, database: str) -> None:
    with scene(database) as place:
        place.configure(
            tasks={
                "first": task(disk / "srv"),
                "direct": task(disk / "more", rollback={"when_full": "unlink"}),
            }
        )
        old_files(disk / "srv", 8)
        old_files(disk / "more", 4)
        with place.serving():
            assert place.ctl("execute", "first").returncode == 0
            fill(disk)
            follow(place, disk)
            fill(disk)
            done = place.ctl("execute", "direct", "--dry-run")  # step 3
            assert "removed there at once and not restorable" in done.stdout, done
            assert place.ctl("execute", "direct").returncode == 0
            assert os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize >= 4 * MIB
            assert sorted(os.listdir(disk / "more")) == []


def follow(place: Scene, disk: Path) -> None:
    """Types the how-to's commands; `/srv` is the disk here."""
    typed = [[str(disk) if word == "/srv" else word for word in words] for words in commands()]
    assert [words[:2] for words in typed] == [["purge", "--dry-run"], *[["purge", "--until-free"]] * 2]
    seen, dry, done = (place.ctl(*words) for words in typed)
    assert (seen.returncode, dry.returncode, done.returncode) == (0, 0, 0), (seen, dry, done)
    assert "1 execution would be purged, and free 8.0 MiB" in seen.stdout
    assert f"{disk}: 0% free before" in dry.stdout
    assert re.search(rf"{disk}: 0% free before, \d\d% free now", done.stdout), done.stdout
    told = place.ctl("rollback", "last")
    assert (told.returncode, "purged before its time" in told.stderr) == (5, True)
