"""Errors in a configuration: what is wrong, where it stands, and what would be right."""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from jamaint.core.secrets import cleaned
from jamaint.errors import INVALID_PARAMS, JamaintError
from jamaint.schema.units import shown

WORD_LIMIT = 100

Path = tuple[str | int, ...]
"""How a value is reached: keys, and positions in lists counted from 0."""


class Flaw(NamedTuple):
    """A mistake inside one value, before it is known in which file that value stands.

    `at_key` says that the key is wrong and not its value. An unknown key has `unknown` set, and in `meant` the key it
    was probably meant to be.
    """

    path: Path
    problem: str
    at_key: bool = False
    unknown: bool = False
    meant: str | None = None


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One mistake with its place; line and column count from 1, and are 0 where there is no place in a file."""

    file: str
    line: int
    column: int
    key: str
    problem: str

    def to_json(self) -> dict[str, Any]:
        """As it goes over the control protocol."""
        return {
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "key": cleaned(self.key),
            "problem": cleaned(self.problem),
        }

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return cleaned(": ".join(part for part in (place, self.key, self.problem) if part))


class ConfigError(JamaintError):
    """A configuration that cannot be taken, with every mistake that is in it."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        count = "a mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes, the first"
        data = {"mistakes": [mistake.to_json() for mistake in mistakes]}
        super().__init__(INVALID_PARAMS, f"the configuration has {count}: {mistakes[0]}", data)
        self.mistakes = tuple(mistakes)


def mistakes_text(mistakes: Iterable[Mistake]) -> str:
    """`file:line:column: key: problem`, a line each."""
    return "\n".join(str(mistake) for mistake in mistakes)


def dotted(path: Path) -> str:
    """The path as people write it: `tasks.app-logs.config.log_paths[0]`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{shown(part)}" for part in path)
    return text.removeprefix(".")


def closest(word: str, known: Iterable[str], likeness: float = 0.6) -> str | None:
    """The one of `known` that `word` was probably meant to be, or None; `likeness` (0..1) is how like they must be."""
    names = {_plain(name): name for name in known}
    if len(word) > WORD_LIMIT:
        return None
    found = difflib.get_close_matches(_plain(word), names, n=1, cutoff=likeness)
    return names[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean nightly?`, or else `there are a, b, c`, or else `there are none`."""
    names = sorted(known)
    meant = closest(word, names)
    if meant is not None:
        return f"did you mean {meant}?"
    return f"there are {', '.join(names)}" if names else "there are none"


def _plain(word: str) -> str:
    """Without what people mix up: retentionDays, retention-days and Retention_Days are one word."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", word).lower().replace("-", "_")
