"""Warnings for secrets that others can read, and for those that cannot be had."""

import os
import stat
from collections.abc import Callable, Iterator
from typing import Any

from jamaint.config.merging import Given, Merged
from jamaint.schema.errors import Flaw, Mistake, Path
from jamaint.schema.secrets import given_secrets

COMMANDS = frozenset({"command", "rollback_command", "prerotate", "postrotate", "commands"})

Judge = Callable[[str, str], str | None]
"""From the kind and name of a reference to why that secret cannot be had, or None."""


def of_secrets(merged: Merged, judge: Judge) -> Iterator[Mistake]:
    """Of every secret in the files, and every reference to one, what will not do."""
    given = [*merged.sections.values(), *(one for named in merged.objects.values() for one in named.values())]
    for each in given:
        for path, value in given_secrets(each.value):
            problem = _problem(each, path, value, judge)
            if problem:
                yield each.mistake(Flaw(path, problem, at_key=True))


def _problem(given: Given, path: Path, value: Any, judge: Judge) -> str | None:
    if not isinstance(value, str):
        ((kind, name),) = value.items()
        return judge(kind, name)
    if COMMANDS.intersection(path):
        return "has a password in it, which everybody on this machine sees in the list of processes: let it read a file"
    file = given.document.file
    return f"holds a password, and everybody may read it: chmod 0640 {file}" if _mode(file) & stat.S_IROTH else None


def _mode(file: str) -> int:
    try:
        return os.stat(file).st_mode
    except OSError:
        return 0
