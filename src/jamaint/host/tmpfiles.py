"""Which paths other packages want to be spared by whoever cleans temporary files: x and X lines of tmpfiles.d(5)."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

DIRECTORIES = ("/etc/tmpfiles.d", "/run/tmpfiles.d", "/usr/local/lib/tmpfiles.d", "/usr/lib/tmpfiles.d")
"""A file in an earlier one replaces the file of the same name in a later one."""


@dataclass(frozen=True, slots=True)
class Spared:
    """Globs of whole paths: `whole` with all that is below them (x), `alone` without (X)."""

    whole: Sequence[str] = ()
    alone: Sequence[str] = ()


def spared(directories: Sequence[str] = DIRECTORIES) -> Spared:
    """Reads what stands there now. A line that cannot be understood is left out: its own tool complains of it."""
    whole: list[str] = []
    alone: list[str] = []
    specifiers = _specifiers()
    for path in sorted(_files(directories).values()):
        for kind, pattern in _rules(path):
            filled = _fill(pattern, specifiers)
            if filled is not None:
                (whole if kind == "x" else alone).append(filled)
    return Spared(whole, alone)


def _files(directories: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for directory in directories:
        try:
            names = os.listdir(directory)
        except OSError:
            continue
        for name in names:
            if name.endswith(".conf"):
                found.setdefault(name, os.path.join(directory, name))
    return found


def _rules(path: str) -> list[tuple[str, str]]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError:
        return []
    words = (line.split() for line in lines)
    return [(line[0][0], line[1].strip("\"'")) for line in words if len(line) > 1 and line[0][0] in "xX"]


def _fill(pattern: str, specifiers: Mapping[str, str]) -> str | None:
    """The pattern with its specifiers filled in; None when one is not known here."""
    filled, rest = "", pattern
    while True:
        before, sign, rest = rest.partition("%")
        filled += before
        if not sign:
            return filled if filled.startswith("/") else None
        value = specifiers.get(rest[:1])
        if value is None:
            return None
        filled += value
        rest = rest[1:]


def _specifiers() -> dict[str, str]:
    known = {"%": "%", "t": "/run", "S": "/var/lib", "C": "/var/cache", "L": "/var/log"}
    known |= {"T": "/tmp", "V": "/var/tmp"}  # noqa: S108 - what they stand for
    known |= {"H": platform.node(), "v": platform.release()}
    for sign, path in (("b", "/proc/sys/kernel/random/boot_id"), ("m", "/etc/machine-id")):
        try:
            with open(path, encoding="ascii") as file:
                known[sign] = file.read().strip().replace("-", "")
        except OSError:
            continue
    return known
