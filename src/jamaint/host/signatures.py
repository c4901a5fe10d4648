"""Signatures on what root has made, so that a database row cannot claim to be root's."""

import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from typing import Any

from jamaint.errors import INTERNAL, JamaintError
from jamaint.protocol.control import dumps

KEY_BYTES = 32
MARK_BYTES = 32
"""Behind the key, its SHA-256: a file that was damaged is known by it. Keys of earlier versions stand alone."""


class SealKeyError(JamaintError):
    """The key is damaged or gone; `message` says how it is restored."""

    def __init__(self, message: str) -> None:
        super().__init__(INTERNAL, message)


class Seals:
    """Marks values with a key that only the daemon's user can read, kept at `<state_dir>/seal.key`, and a copy."""

    def __init__(self, state_dir: str) -> None:
        """Raise SealKeyError where the key is damaged or gone, JamaintError where there is none yet and none can be
        made."""
        path = os.path.join(state_dir, "seal.key")
        try:
            os.makedirs(state_dir, mode=0o711, exist_ok=True)
            self._key = _key(path)
        except OSError as error:
            what = f"cannot read or make {path}, the key of what root allows: {error.strerror}"
            raise JamaintError(INTERNAL, f"{what}; state_dir must be writable and have room") from error

    def of(self, value: Mapping[str, Any]) -> str:
        """The seal of `value`: the same for the same keys and values, in whatever order they come."""
        return hmac.new(self._key, dumps(_sorted(value)).encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()

    def is_whole(self, value: Mapping[str, Any], seal: str | None) -> bool:
        """Whether `seal` is the one that `value` was given here."""
        return seal is not None and hmac.compare_digest(seal, self.of(value))


def _key(path: str) -> bytes:
    """Return the key, made when there is none yet: neither it nor its copy. Never a new one in place of another."""
    copy = f"{path}.copy"
    found, kept = _read(path), _read(copy)
    if found is None and kept is None:
        made = secrets.token_bytes(KEY_BYTES)
        _write(copy, made)  # first: a crash between the two leaves what can be restored
        _write(path, made)
        return made
    key, second = _key_in(found), _key_in(kept)
    if key is None or (second is not None and second != key):
        raise SealKeyError(_damaged(path, copy, "gone" if found is None else "damaged", second is not None))
    if second is None:
        _write(copy, key)
    return key


def _damaged(path: str, copy: str, how: str, has_copy: bool) -> str:
    what = f"{path}, the key of the seals of what root made, of approvals and of ways back, is {how}: "
    if has_copy:
        return f"{what}restore it with `cp -p {copy} {path}`; the daemon goes on by itself then"
    return (
        f"{what}restore it from a backup. To give up what it sealed (then objects that root made through the socket, "
        f"approvals and ways back of before are not trusted), remove {path} and {copy}"
    )


def _key_in(content: bytes | None) -> bytes | None:
    """Return the key that a file holds; None if that is no whole key."""
    if content is None or len(content) not in (KEY_BYTES, KEY_BYTES + MARK_BYTES):
        return None
    key, mark = content[:KEY_BYTES], content[KEY_BYTES:]
    return key if not mark or mark == hashlib.sha256(key).digest() else None


def _read(path: str) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        return file.read(KEY_BYTES + MARK_BYTES + 1)


def _write(path: str, key: bytes) -> None:
    """Write a key with its mark, whole or not at all: a crash leaves no half of one."""
    new = f"{path}.new"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key + hashlib.sha256(key).digest())
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, path)


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, (list, tuple)):
        return [_sorted(item) for item in value]
    return value
