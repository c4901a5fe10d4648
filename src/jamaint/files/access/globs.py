"""Globs: which names below a root are meant, read one directory at a time, so that no path is matched twice.

`*`, `?` and `[...]` stay within one component and leave out names with a leading dot, as in a shell; `**` stands for
any number of directories.
"""

import fnmatch
import re
from collections.abc import Callable, Iterable, Sequence

TRASH = ".jamaint-trash"
OURS = ".jamaint-"
"""Names that begin so are never matched nor walked: they are the way back of some execution."""

States = frozenset[tuple[int, int]]
Match = Callable[[str], object]


def split_root(pattern: str) -> tuple[str, str]:
    """Cuts a path with globs into its fixed directory and the rest: /a/b*/c gives /a and b*/c, /a/b gives /a and b."""
    names = pattern.split("/")
    fixed = next((n for n, name in enumerate(names) if is_glob(name)), len(names) - 1)
    fixed = min(fixed, len(names) - 1)
    return "/".join(names[:fixed]) or "/", "/".join(names[fixed:])


class Globs:
    """A set of globs, matched downwards: states in a directory, and from there into the next."""

    def __init__(self, patterns: Iterable[str], hidden: bool = False) -> None:
        self._all = [_components(pattern) for pattern in patterns]
        self._hidden = hidden  # whether a wildcard takes names with a leading dot too
        self._files: dict[States, Match] = {}
        self.start = self._close({(n, 0) for n in range(len(self._all))})

    def files(self, states: States) -> Match:
        """A test of names in the directory with these states: true for those that are meant."""
        if states not in self._files:
            last = {self._all[n][at] for n, at in states if at == len(self._all[n]) - 1}
            self._files[states] = re.compile("|".join(self._regex(name) for name in sorted(last)) or "(?!)").match
        return self._files[states]

    def into(self, states: States, name: str) -> States:
        """The states in a subdirectory; empty when nothing in it can be meant."""
        found = set()
        for n, at in states:
            component = self._all[n][at]
            if component == "**":
                if self._hidden or not name.startswith("."):
                    found.add((n, at))
            elif at + 1 < len(self._all[n]) and re.match(self._regex(component), name):
                found.add((n, at + 1))
        return self._close(found)

    def below(self, directory: str) -> tuple[States, bool]:
        """The states at a directory given by its path from where the globs start; true when it is itself meant."""
        states, meant = self.start, False
        for name in directory.split("/"):
            meant = meant or bool(self.files(states)(name))
            states = self.into(states, name)
        return states, meant

    def rests(self, states: States) -> list[str]:
        """Return globs that mean below the directory with these states what all mean there."""
        return ["/".join(self._all[n][at:]) for n, at in sorted(states)]

    def _close(self, states: set[tuple[int, int]]) -> States:
        todo = list(states)
        while todo:
            n, at = todo.pop()
            if self._all[n][at] == "**" and (n, at + 1) not in states:
                states.add((n, at + 1))
                todo.append((n, at + 1))
        return frozenset(states)

    def _regex(self, component: str) -> str:
        guard = "" if self._hidden or component.startswith(".") else r"(?!\.)"
        return guard + fnmatch.translate(component)


def exclusion(pattern: str) -> str:
    """An exclusion as a glob: one without a slash is meant at any depth, one with a slash in front from / on."""
    return pattern if "/" in pattern else f"**/{pattern}"


def _components(pattern: str) -> Sequence[str]:
    names = [name for name in pattern.split("/") if name]
    if names and names[-1] == "**":
        names.append("*")
    return tuple(name for n, name in enumerate(names) if name != "**" or names[n - 1 : n] != ["**"]) or ("",)


def is_glob(name: str) -> bool:
    """Whether a name has one of the signs that mean more than themselves."""
    return any(sign in name for sign in "*?[")
