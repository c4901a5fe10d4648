"""Names of logs: which files the patterns of a task mean, wherever its roots begin."""

from collections.abc import Sequence

from jamaint.files.access.globs import Globs, is_glob, split_root


class LogMatcher:
    """Tells whether a file is one that `log_paths` match as a log."""

    def __init__(self, patterns: Sequence[str]) -> None:
        rests: dict[str, list[str]] = {}
        for pattern in patterns:
            path, rest = split_root(pattern)
            rests.setdefault(path, []).append(rest)
        self._globs = {path: Globs(found) for path, found in rests.items()}
        self._last = frozenset(name for name in (one.rpartition("/")[2] for one in patterns) if not is_glob(name))

    def __call__(self, root: str, rel: str, name: str) -> bool:
        directory = root if rel == "." else f"{root}/{rel}"
        return any(_matches(globs, base, directory, name) for base, globs in self._globs.items())

    def matches(self, path: str) -> bool:
        """Tells whether a path is one that a pattern matches as a log."""
        directory, _, name = path.rpartition("/")
        return any(
            self(root, directory[len(root) + 1 :] or ".", name)
            for root in self._globs
            if directory == root or directory.startswith(f"{root}/")
        )

    def is_named(self, name: str) -> bool:
        """True if a pattern ends with the very name, and not with a wildcard."""
        return name in self._last


def _matches(globs: Globs, base: str, directory: str, name: str) -> bool:
    """True if globs below `base` match a name in a directory: a root of another owner's may lie below the base."""
    if directory == base:
        return bool(globs.files(globs.start)(name))
    below = base.rstrip("/") + "/"
    return directory.startswith(below) and bool(globs.files(globs.below(directory[len(below) :])[0])(name))


def as_glob(path: str) -> str:
    """A relative path as a glob that means it: so it belongs to the root of the pattern in front of it."""
    return f"[{path[0]}]{path[1:]}"


def join(root: str, rel: str, name: str) -> str:
    """The path of a file in a directory of a root."""
    return f"{root}/{name}" if rel == "." else f"{root}/{rel}/{name}"
