"""A file that others read while we write it anew: it is the old one or the new one, never a part of either."""

import os
from contextlib import suppress


def replace_file(path: str, content: bytes, mode: int) -> None:
    """Write `content` beside the file and rename it into its place. Raises OSError.

    The directory may be another user's. So the new file is made with O_EXCL and gets its mode by its descriptor: a link
    that somebody puts there is not followed. One that a killed process has left is removed first.
    """
    made = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.new")
    with suppress(FileNotFoundError):
        os.unlink(made)
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
        os.rename(made, path)
    except OSError:
        with suppress(OSError):
            os.unlink(made)
        raise
