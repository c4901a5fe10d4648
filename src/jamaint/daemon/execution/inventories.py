"""Inventories: the records of what executions take, as files below the state directory, so not in any trash.

A worker takes nothing before the daemon has answered that it is recorded, so the answer has to be quick: it comes when
the block is written, which outlives a kill of either of them. That it outlives a power cut too costs a commit of the
journal (some 3 ms), as much as the taking of a small directory; so the file is made durable twice a second and at the
end of each step. The renames into the trash are no more durable meanwhile.
"""

import math
import os
import time
from base64 import b64decode
from collections.abc import Mapping
from contextlib import suppress
from threading import Lock
from typing import Any

import trio

FILE_BYTES = 256 << 20
"""More is not recorded of one execution: some ten million files."""
SYNC_SECONDS = 0.5
"""How long what is recorded may be without being durable, while more comes."""
_BYTES_OF_LENGTH = 4
_THREADS = trio.CapacityLimiter(math.inf)
"""Its own: a directory that hangs holds up nobody else. There is one call for each execution."""


def path_of(opening: Mapping[str, Any]) -> str:
    """The file of an execution, by what its worker was or will be given."""
    state_dir = os.path.dirname(opening["limits"]["kept_directory"])
    return os.path.join(state_dir, "taken", str(opening["execution"]))


class RecordWriter:
    """The record of an execution while it is written; opened when the first block comes. One call at a time."""

    def __init__(self, path: str) -> None:
        self._path, self._fd = path, -1
        self._working, self._is_closed = Lock(), False
        self._synced, self._is_synced = float("-inf"), True

    async def append(self, block: str) -> str:
        """Append a block (base64) and return "" when it is written, or why it is not. In a thread of its own."""
        return await trio.to_thread.run_sync(self._append, block, abandon_on_cancel=True, limiter=_THREADS)

    async def sync(self) -> None:
        """Make durable what was appended. Raises OSError."""
        if not self._is_synced:
            await trio.to_thread.run_sync(self._sync, abandon_on_cancel=True, limiter=_THREADS)

    def close(self) -> None:
        """Let go of the file: now, or when an abandoned call ends that still works with it."""
        self._is_closed = True
        if self._working.acquire(blocking=False):
            self._release()

    def _release(self) -> None:
        if self._is_closed and self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._working.release()

    def _append(self, block: str) -> str:
        self._working.acquire()
        try:
            return self._append_decoded(b64decode(block))
        finally:
            self._release()

    def _append_decoded(self, data: bytes) -> str:
        try:
            if self._fd < 0:
                self._fd = _opened(self._path)
            size = os.fstat(self._fd).st_size
            if size + len(data) > FILE_BYTES:
                return f"it would be larger than {FILE_BYTES >> 20} MiB"
            self._is_synced = False
            _append_whole(self._fd, size, len(data).to_bytes(_BYTES_OF_LENGTH, "big") + data)
            if time.monotonic() - self._synced >= SYNC_SECONDS:
                self._make_durable()
        except OSError as error:
            return f"{error.strerror} ({self._path})"
        return ""

    def _sync(self) -> None:
        self._working.acquire()
        try:
            self._make_durable()
        finally:
            self._release()

    def _make_durable(self) -> None:
        os.fdatasync(self._fd)
        self._synced, self._is_synced = time.monotonic(), True


def _opened(path: str) -> int:
    directory = os.path.dirname(path)
    os.makedirs(directory, mode=0o700, exist_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        above = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(above)  # its name
        finally:
            os.close(above)
    except BaseException:
        os.close(fd)
        raise
    return fd


def remove(opening: Mapping[str, Any]) -> None:
    """Removes the file of an execution whose way back is gone."""
    with suppress(FileNotFoundError, KeyError):
        os.unlink(path_of(opening))


def given(opening: Mapping[str, Any]) -> dict[str, Any]:
    """What a worker is given for an undo: where the record is, if there is one."""
    with suppress(KeyError):
        path = path_of(opening)
        if os.path.exists(path):
            return {"taken": path}
    return {}


def _append_whole(fd: int, size: int, data: bytes) -> None:
    """A block is there whole or not at all, also on a full disk."""
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(fd, view) :]
    except OSError:
        os.ftruncate(fd, size)
        raise
