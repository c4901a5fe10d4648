"""Wildcards in a root's path: which directories a pattern means now."""

import os
import re
from collections.abc import Iterator
from fnmatch import translate

from jamaint.files.access.globs import OURS, is_glob


def directories(pattern: str) -> list[str]:
    """Return the directories that a path with wildcards means, sorted; links are not followed, hidden names not meant.

    Each is opened with all checks by whoever acts in it: what is said here is only which names there are.
    """
    found = ["/"]
    for name in pattern.strip("/").split("/"):
        found = [
            inner for above in found for inner in (_matching(above, name) if is_glob(name) else [_in(above, name)])
        ]
    return sorted(path for path in found if os.path.isdir(path) and not os.path.islink(path))


def _matching(above: str, name: str) -> Iterator[str]:
    is_meant = re.compile(translate(name)).match
    try:
        with os.scandir(above) as entries:
            for entry in entries:
                hidden = entry.name.startswith(OURS) or (entry.name.startswith(".") and not name.startswith("."))
                if not hidden and is_meant(entry.name) and entry.is_dir(follow_symlinks=False):
                    yield _in(above, entry.name)
    except OSError:  # it is not there, or cannot be looked at: nothing in it is meant, which the plan tells
        return


def _in(above: str, name: str) -> str:
    return f"{above.rstrip('/')}/{name}"
