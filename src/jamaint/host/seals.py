"""Seals: a mark on what root has made, so that a row of the database cannot claim to be of root."""

import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from typing import Any

from jamaint.errors import INTERNAL, Problem
from jamaint.wire import dumps

KEY_BYTES = 32


class Seals:
    """Marks values with a key that only the daemon's user can read, kept at `<state_dir>/seal.key`."""

    def __init__(self, state_dir: str) -> None:
        """Raises Problem where there is no key and none can be made."""
        path = os.path.join(state_dir, "seal.key")
        try:
            self._key = _key(path)
        except OSError as error:
            what = f"cannot read or make {path}, the key of what root allows: {error.strerror}"
            raise Problem(INTERNAL, f"{what}; state_dir must be writable and have room") from error

    def of(self, value: Mapping[str, Any]) -> str:
        """The seal of `value`: the same for the same keys and values, in whatever order they come."""
        return hmac.new(self._key, dumps(_sorted(value)).encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()

    def is_whole(self, value: Mapping[str, Any], seal: str | None) -> bool:
        """Whether `seal` is the one that `value` was given here."""
        return seal is not None and hmac.compare_digest(seal, self.of(value))


def _key(path: str) -> bytes:
    """The key, made when there is none yet."""
    os.makedirs(os.path.dirname(path), mode=0o711, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return _make(path)
    with os.fdopen(descriptor, "rb") as file:
        key = file.read(KEY_BYTES)
    return key if len(key) == KEY_BYTES else _make(path)


def _make(path: str) -> bytes:
    """A new key, whole or not there: a crash leaves no half of one."""
    key, new = secrets.token_bytes(KEY_BYTES), f"{path}.new"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)
    return key


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, (list, tuple)):
        return [_sorted(item) for item in value]
    return value
