"""Inventories: the records of what executions take, as files below the state directory, so not in any trash."""

import os
from base64 import b64decode
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

FILE_BYTES = 256 << 20
"""More is not recorded of one execution: some ten million files."""
_BYTES_OF_LENGTH = 4


def path_of(opening: Mapping[str, Any]) -> str:
    """The file of an execution, by what its worker was or will be given."""
    state_dir = os.path.dirname(opening["limits"]["kept_directory"])
    return os.path.join(state_dir, "taken", str(opening["execution"]))


def append(path: str, block: str) -> bool:
    """Appends a block as the worker sent it; false where there is no more room for it. Raises OSError."""
    data = b64decode(block)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        size = os.fstat(fd).st_size
        if size + len(data) > FILE_BYTES:
            return False
        _append_whole(fd, size, len(data).to_bytes(_BYTES_OF_LENGTH, "big") + data)
    finally:
        os.close(fd)
    return True


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
