"""A file that is replaced is whole whoever reads it, and no link that somebody plants beside it is followed."""

import os
import stat
from pathlib import Path

import pytest

from jamaint.host.replaced_file import replace_file


def test_new_content_comes_with_its_mode_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "a.prom"
    for content in (b"one", b"two"):
        replace_file(str(file), content, 0o644)
        assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (content, 0o644)
    assert os.listdir(tmp_path) == ["a.prom"]


def test_what_a_killed_process_has_left_does_not_stop_the_next(tmp_path: Path) -> None:
    (tmp_path / ".a.prom.new").write_bytes(b"half")
    replace_file(str(tmp_path / "a.prom"), b"whole", 0o644)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"whole"]


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"his")
    victim.chmod(0o600)
    (tmp_path / ".a.prom.new").symlink_to(victim)
    replace_file(str(tmp_path / "a.prom"), b"ours", 0o644)
    assert (victim.read_bytes(), stat.S_IMODE(victim.stat().st_mode)) == (b"his", 0o600)


def test_a_directory_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        replace_file(str(tmp_path / "none" / "a.prom"), b"", 0o644)
