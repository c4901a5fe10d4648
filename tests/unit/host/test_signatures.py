"""The key of the seals: damaged or gone it is an error with the way to restore it, never a new key without a word."""

import shutil
from pathlib import Path

import pytest

from jamaint.errors import JamaintError
from jamaint.host.signatures import Seals

VALUE = {"what": "root allows"}


def seals(place: Path) -> Seals:
    return Seals(str(place))


def test_key_is_made_once_and_kept_with_a_copy(tmp_path: Path) -> None:
    seal = seals(tmp_path).of(VALUE)
    assert seals(tmp_path).is_whole(VALUE, seal)
    assert (tmp_path / "seal.key").read_bytes() == (tmp_path / "seal.key.copy").read_bytes()
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


@pytest.mark.parametrize("content", [None, b"", b"x" * 16, b"x" * 32, b"x" * 64, b"x" * 100])
def test_key_damaged_is_restored_as_it_says(tmp_path: Path, content: bytes | None) -> None:
    seal, key = seals(tmp_path).of(VALUE), tmp_path / "seal.key"
    key.unlink()
    if content is not None:
        key.write_bytes(content)
    with pytest.raises(JamaintError, match=r"restore it with `cp -p (\S+) (\S+)`") as told:
        seals(tmp_path)
    assert (key.read_bytes() if key.exists() else None) == content
    _, _, source, target = told.value.message.split("`")[1].split()
    shutil.copy2(source, target)
    assert seals(tmp_path).is_whole(VALUE, seal)


def test_key_damaged_without_a_copy_is_no_new_key(tmp_path: Path) -> None:
    seals(tmp_path)
    (tmp_path / "seal.key").write_bytes(b"x" * 16)
    (tmp_path / "seal.key.copy").unlink()
    with pytest.raises(JamaintError, match="restore it from a backup"):
        seals(tmp_path)
    assert (tmp_path / "seal.key").read_bytes() == b"x" * 16


def test_key_of_an_earlier_version_gets_a_copy(tmp_path: Path) -> None:
    (tmp_path / "seal.key").write_bytes(b"k" * 32)
    seal = seals(tmp_path).of(VALUE)
    (tmp_path / "seal.key.copy").replace(tmp_path / "seal.key")
    assert seals(tmp_path).is_whole(VALUE, seal)


def test_copy_damaged_is_made_again(tmp_path: Path) -> None:
    seals(tmp_path)
    (tmp_path / "seal.key.copy").write_bytes(b"half")
    seals(tmp_path)
    assert (tmp_path / "seal.key").read_bytes() == (tmp_path / "seal.key.copy").read_bytes()
