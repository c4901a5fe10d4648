"""Which paths systemd-tmpfiles leaves alone while it cleans this machine: the lines of tmpfiles.d, as it reads them."""

import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jamaint.files.rules.tmpfiles_lines import concerns, read_line

DIRECTORIES = ("/etc/tmpfiles.d", "/run/tmpfiles.d", "/usr/local/lib/tmpfiles.d", "/usr/lib/tmpfiles.d")
"""A file in an earlier one replaces the file of the same name in a later one."""

_ARCHITECTURES = {
    "x86_64": "x86-64",
    "i386": "x86",
    "i686": "x86",
    "aarch64": "arm64",
    "armv7l": "arm",
    "armv6l": "arm",
    "ppc64le": "ppc64-le",
    "ppc64": "ppc64",
    "riscv64": "riscv64",
    "s390x": "s390x",
    "loongarch64": "loongarch64",
}
_OF_RELEASE = {
    "A": "IMAGE_VERSION",
    "B": "BUILD_ID",
    "M": "IMAGE_ID",
    "o": "ID",
    "w": "VERSION_ID",
    "W": "VARIANT_ID",
}


@dataclass(frozen=True, slots=True)
class Spared:
    """Globs of whole paths: `whole` with all that is below them (x), `alone` without (X), `entries` with lines of
    their own. `unclear` are lines that could not be understood, each with its globs and words for people."""

    whole: Sequence[str] = ()
    alone: Sequence[str] = ()
    entries: Sequence[str] = ()
    unclear: Sequence[tuple[Sequence[str], str]] = ()

    def below(self, root: str) -> Sequence[str]:
        """The globs of what stays below a root with all that is in it. A line for the root itself does not keep it."""
        return [*self.whole, *(path for path in self.entries if concerns(path, root))]

    def warnings(self, roots: Sequence[str]) -> list[str]:
        """What to tell of lines that may be about something below one of these roots."""
        return [
            words
            for paths, words in self.unclear
            if not paths or any(_may_be_in(path, root) for path in paths for root in roots)
        ]


def spared(directories: Sequence[str] = DIRECTORIES) -> Spared:
    """Read what stands there now."""
    whole, alone, entries = list[str](), list[str](), list[str]()
    unclear: list[tuple[Sequence[str], str]] = []
    specifiers = _specifiers()
    for file, number, line in _lines(directories):
        if number == 0:
            unclear.append(((), f"{file} cannot be read: {line}; what it asks to be left alone is not known"))
            continue
        entry = read_line(line, specifiers)
        if entry is None:
            continue
        {"x": whole, "X": alone}.get(entry.kind, entries).extend(entry.paths)
        if entry.why:
            spares = f"{' and '.join(entry.paths)} is left alone" if entry.paths else "nothing can be spared for it"
            unclear.append((entry.paths, f"{file}, line {number}: {entry.why}: {spares}"))
    return Spared(whole, alone, entries, unclear)


def _lines(directories: Sequence[str]) -> Iterator[tuple[str, int, str]]:
    """(file, number, line) of all; number 0 with the reason for a file that cannot be read."""
    for _, path in sorted(_files(directories).items()):
        try:
            with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
                lines = file.read().split("\n")
        except FileNotFoundError:
            continue
        except OSError as error:
            yield path, 0, os.strerror(error.errno or 0).lower()
            continue
        for number, line in enumerate(lines, start=1):
            yield path, number, line


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


def _specifiers() -> dict[str, str]:
    """What they stand for where systemd-tmpfiles runs, as root; without those that cannot be learnt here."""
    known = {"%": "%", "t": "/run", "S": "/var/lib", "C": "/var/cache", "L": "/var/log"}
    known |= {"T": "/tmp", "V": "/var/tmp"}  # noqa: S108 - what they stand for
    known |= {"u": "root", "U": "0", "g": "root", "G": "0", "h": "/root"}
    known |= {"H": platform.node(), "l": platform.node().partition(".")[0], "v": platform.release()}
    if platform.machine() in _ARCHITECTURES:
        known["a"] = _ARCHITECTURES[platform.machine()]
    for sign, path in (("b", "/proc/sys/kernel/random/boot_id"), ("m", "/etc/machine-id")):
        try:
            with open(path, encoding="ascii") as file:
                known[sign] = file.read().strip().replace("-", "")
        except (OSError, ValueError):
            continue
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return known
    return known | {sign: release.get(name, "") for sign, name in _OF_RELEASE.items()}


def _may_be_in(path: str, root: str) -> bool:
    """Whether a glob may mean something below a root, or a part of the path to it."""
    fixed = path.partition("*")[0].partition("?")[0].partition("[")[0]
    return fixed.startswith(f"{root.rstrip('/')}/") or f"{root.rstrip('/')}/".startswith(fixed)
