"""What is compressed can be read by the tools people have, and is proven before anything else happens."""

import gzip
import importlib
import lzma
import os
import zlib
from pathlib import Path
from typing import Any

import pytest

from jamaint.files.access import compression
from jamaint.files.access.compression import Codec, codec
from jamaint.files.access.file_copy import Sum

LIBRARIES = pytest.mark.parametrize("library", ["isal", "zstandard", "zlib", "lzma"])


def the_codec(library: str, monkeypatch: pytest.MonkeyPatch) -> Codec:
    if library == "zlib":
        monkeypatch.setattr(compression, "_library", lambda name: None)
    else:
        pytest.importorskip(library)
    found, _ = codec({"zstandard": "zstd", "lzma": "xz"}.get(library, "gzip"))
    assert found.library == library
    return found


def pack(found: Codec, top: Path, data: bytes, size: int | None = None) -> tuple[Sum, int]:
    (top / "a").write_bytes(data)
    source = os.open(top / "a", os.O_RDONLY)
    target = os.open(top / "b", os.O_CREAT | os.O_RDWR | os.O_TRUNC, 0o600)
    try:
        return found.pack(source, target, len(data) if size is None else size, lambda count: None), target
    finally:
        os.close(source)


def unpacked(path: Path, found: Codec) -> bytes:
    if found.suffix == ".gz":
        return gzip.decompress(path.read_bytes())
    if found.suffix == ".xz":
        return lzma.decompress(path.read_bytes())
    module: Any = importlib.import_module("zstandard")
    data: bytes = module.ZstdDecompressor().decompress(path.read_bytes())
    return data


@LIBRARIES
@pytest.mark.parametrize("data", [b"x", b"line of a log\n" * 300_000, os.urandom(2_500_000), bytes(80_000_000)])
def test_there_and_back(library: str, data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = the_codec(library, monkeypatch)
    total, target = pack(found, tmp_path, data)
    try:
        assert total == Sum(len(data), zlib.crc32(data))
        assert found.unpack(target, lambda count: None) == total
    finally:
        os.close(target)
    assert unpacked(tmp_path / "b", found) == data


@LIBRARIES
def test_damage_is_seen(library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = the_codec(library, monkeypatch)
    data = os.urandom(100_000)
    total, target = pack(found, tmp_path, data)
    try:
        packed = (tmp_path / "b").read_bytes()
        damaged = [
            packed[:-1],
            packed[:50_000],
            packed[:-9] + bytes([packed[-9] ^ 1]) + packed[-8:],
            b"",
            packed + b"x",
        ]
        for bad in damaged:
            os.truncate(target, 0)
            os.pwrite(target, bad, 0)
            assert found.unpack(target, lambda count: None) != total
    finally:
        os.close(target)


@LIBRARIES
@pytest.mark.parametrize("promised", [5, 500_000])
def test_a_source_that_grows_or_shrinks_is_told_by_its_length(
    library: str, promised: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = the_codec(library, monkeypatch)
    total, target = pack(found, tmp_path, b"x" * 100_000, promised)
    os.close(target)
    assert total.length != promised


def test_without_zstandard_gzip_stands_in_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "_library", lambda name: None)
    found, warning = codec("zstd")
    assert (found.suffix, found.library) == (".gz", "zlib")
    assert warning is not None
    assert "zstandard" in warning
    assert codec("gzip")[1] is None


@LIBRARIES
def test_every_megabyte_is_a_safe_point(library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = the_codec(library, monkeypatch)
    (tmp_path / "a").write_bytes(os.urandom(5_000_000))
    source, target = os.open(tmp_path / "a", os.O_RDONLY), os.open(tmp_path / "b", os.O_CREAT | os.O_RDWR, 0o600)
    counts: list[int] = []
    try:
        found.pack(source, target, 5_000_000, counts.append)
        assert sum(counts) == 5_000_000
        assert max(counts) <= 1 << 20
        counts.clear()
        found.unpack(target, counts.append)
        assert len(counts) >= 5
    finally:
        os.close(source)
        os.close(target)
