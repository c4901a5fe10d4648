"""Compression as a stream: how a file is packed, and how what was packed is proven before its source goes."""

import importlib
import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jamaint.files.access.file_copy import CHUNK, Sum, write_all

_UNPACKED_CHUNK = 1 << 20
_ZSTD_CHUNK = 2 << 10
"""Four bytes of zstd can stand for 128 KiB, and its reader gives all that it gets at once."""
_XZ_PRESET = 6
"""What xz itself takes. It needs 94 MiB of memory, says its manual."""


@dataclass(frozen=True, slots=True)
class Codec:
    """A way to compress: `suffix` is what its files end in, `library` what does the work."""

    suffix: str
    library: str
    _module: Any
    level: int | None = None
    """None: a usual one, which is quick."""

    @property
    def _crc32(self) -> Callable[[bytes, int], int]:
        isal = _library("isal.isal_zlib")  # eight times faster
        found: Callable[[bytes, int], int] = getattr(isal or self._module, "crc32", zlib.crc32)
        return found

    def pack(self, source: int, target: int, size: int, tick: Callable[[int], None]) -> Sum:
        """Compresses from one open file into another and returns the sum of what was read. Raises OSError."""
        packer = self._packer(size)
        total, crc32 = Sum(), self._crc32
        while chunk := os.read(source, CHUNK):
            total = total.add(chunk, crc32)
            if total.length > size:
                break  # it grows: what was promised to the packer no longer holds, and the source stays anyway
            write_all(target, packer.compress(chunk))
            tick(len(chunk))
        if total.length == size:
            write_all(target, packer.flush())
        return total

    def _packer(self, size: int) -> Any:
        if self.suffix == ".zst":
            level = 3 if self.level is None else self.level
            return self._module.ZstdCompressor(level=level, write_checksum=True).compressobj(size=size)
        if self.suffix == ".xz":
            return self._module.LZMACompressor(preset=_XZ_PRESET if self.level is None else self.level)
        usual = 2 if self.library == "isal" else 6
        return self._module.compressobj(usual if self.level is None else self.level, zlib.DEFLATED, 31)

    def unpack(self, packed: int, tick: Callable[[int], None]) -> Sum | None:
        """The sum of what an open compressed file holds; None when it is damaged. Raises OSError."""
        os.lseek(packed, 0, os.SEEK_SET)
        damaged = {".zst": "ZstdError", ".xz": "LZMAError"}.get(self.suffix, "error")
        unpack = {".zst": self._unpack_zstd, ".xz": self._unpack_xz}.get(self.suffix, self._unpack_gzip)
        try:
            return unpack(packed, tick)
        except getattr(self._module, damaged):
            return None

    def _unpack_zstd(self, packed: int, tick: Callable[[int], None]) -> Sum | None:
        total, crc32, reader = Sum(), self._crc32, self._module.ZstdDecompressor().decompressobj()
        while chunk := os.read(packed, CHUNK):
            for at in range(0, len(chunk), _ZSTD_CHUNK):
                total = total.add(reader.decompress(chunk[at : at + _ZSTD_CHUNK]), crc32)
                tick(0)
        return total if reader.eof and not reader.unused_data else None

    def _unpack_xz(self, packed: int, tick: Callable[[int], None]) -> Sum | None:
        total, crc32, reader = Sum(), self._crc32, self._module.LZMADecompressor()
        while not reader.eof:
            chunk = os.read(packed, CHUNK) if reader.needs_input else b""
            if reader.needs_input and not chunk:
                return None
            total = total.add(reader.decompress(chunk, _UNPACKED_CHUNK), crc32)
            tick(0)
        return total if not reader.unused_data and not os.read(packed, 1) else None

    def _unpack_gzip(self, packed: int, tick: Callable[[int], None]) -> Sum | None:
        total, crc32, reader = Sum(), self._crc32, self._module.decompressobj(31)
        while chunk := os.read(packed, CHUNK):
            while chunk:
                total = total.add(reader.decompress(chunk, _UNPACKED_CHUNK), crc32)
                chunk = reader.unconsumed_tail
                tick(0)
        total = total.add(reader.flush(), crc32)
        return total if reader.eof and not reader.unused_data else None


def codec(algorithm: str, level: int | None = None) -> tuple[Codec, str | None]:
    """The codec for zstd, xz or gzip, and a warning where another one has to stand in for it."""
    # The libraries are optional, and each costs a worker that compresses nothing milliseconds: so not at the top.
    if algorithm == "zstd":
        zstandard = _library("zstandard")
        if zstandard is not None:
            return Codec(".zst", "zstandard", zstandard, level), None
    if algorithm == "xz":
        lzma = _library("lzma")
        if lzma is not None:  # a Python that was built without it
            return Codec(".xz", "lzma", lzma, level), None
    missing = {"zstd": "zstandard is not installed", "xz": "this Python has no lzma"}.get(algorithm)
    warning = f"{missing}: compressing with gzip instead" if missing else None
    level = None if missing else level
    isal = _library("isal.isal_zlib") if level is None else None  # it has levels of its own
    return (Codec(".gz", "zlib", zlib, level) if isal is None else Codec(".gz", "isal", isal)), warning


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
