"""Lines of tmpfiles.d with an age as tasks of `temp.cleanup`. The grammar is that of tmpfiles.d(5), systemd 252.

Only cleaning is carried over: what systemd-tmpfiles makes at boot (directories, links, modes) stays its job.
"""

from __future__ import annotations

import os
import shlex

from jamaint.ctl.imports.result import Imported, Line, Task, is_number, name_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CLEANED = "dDevqQ"
"""Types of lines whose age is heeded; of `e` the path may have wildcards."""
SPARED = "xX"
KNOWN = frozenset("fFwdDevqQpLcbCxXrRzZtThHaAm")
UNITS = {"us": None, "ms": "ms", "s": "s", "m": "m", "min": "m", "h": "h", "d": "d", "w": "w", "": "s"}
FIELDS = 6


def read(files: Sequence[str], open_text: Callable[[str], str], _listed: Callable[[str], list[str]]) -> Imported:
    """Read `files`, of which one with the name of an earlier one is left out, as systemd does."""
    found = Imported()
    spared: list[str] = []
    names: set[str] = set()
    for file in files:
        name = os.path.basename(file)
        if name in names:
            continue
        names.add(name)
        try:
            text = open_text(file)
        except OSError as error:
            found.mistake(Line(file, 1, ""), 1, f"cannot be read: {error.strerror}")
            continue
        for number, one in enumerate(text.splitlines(), 1):
            _line(Line(file, number, one), found, spared)
    for task in found.tasks:
        (rule,) = task.keys["config"]["paths"]
        below = [path for path in spared if path.startswith(rule["path"].rstrip("/") + "/")]
        if below:
            rule["exclude"] = below
    found.remarks.append("systemd-tmpfiles cleans the same places until its own lines have no age any more")
    return found


def _line(line: Line, found: Imported, spared: list[str]) -> None:
    text = line.text.strip()
    if not text or text.startswith("#"):
        return
    try:
        words = shlex.split(text)
    except ValueError as error:
        found.mistake(line, 1, f"{error}".lower())
        return
    kind = words[0][:1]
    if kind not in KNOWN or any(sign not in "!-+=~^$" for sign in words[0][1:]):
        found.mistake(line, 1, f"{words[0] or chr(34) * 2} is no type of tmpfiles.d: the line is left out")
        return
    path = words[1] if len(words) > 1 else ""
    if not path.startswith("/"):
        found.mistake(line, line.text.find(words[0]) + len(words[0]) + 2, "the path must begin with /")
        return
    if kind in SPARED:
        spared.append(_without_specifiers(path))
    age = words[5] if len(words) >= FIELDS else "-"
    if kind not in CLEANED or age == "-":
        return
    if "!" in words[0]:
        found.remarks.append(f"{line.place}: {path} is cleaned at boot only: left to systemd-tmpfiles")
        return
    owner = words[3] if words[3] not in ("-", "root", "0") and not words[3].startswith(":") else None
    _add(line, path, age, owner, found)


def _add(line: Line, path: str, age: str, owner: str | None, found: Imported) -> None:
    """Add the task of a line with an age."""
    remarks = []
    letters, colon, rest = age.partition(":")
    if colon:
        remarks.append(f"{letters}: which times count: see age_by in docs/reference/files.md")
        age = rest
    if age.startswith("~"):
        remarks.append("~: also what lies right in the directory goes")
        age = age[1:]
    length = _length(age)
    if length is None:
        found.mistake(line, line.text.find(age) + 1, f"{age} is no length of time: the line is left out")
        return
    if "%" in path:
        found.remarks.append(f"{line.place}: {path} has a specifier: write the path itself")
        return
    if not length:
        found.remarks.append(f"{line.place}: an age of 0 takes all at each boot: left out")
        return
    task = Task(f"{name_of(path.strip('/').replace('/', '-'))}-cleanup", line, {})
    task.remarks = remarks
    task.keys = {
        "description": f"remove what is older than {age} below {path}",
        "type": "cleanup",
        "category": "system",
        "schedule": {"calendar": "daily", "jitter": "1h"},
        "config": {"paths": [{"path": path, "age": length}], **({"user": owner} if owner else {})},
    }
    found.add(task)


def _without_specifiers(path: str) -> str:
    """A path whose specifiers match anything: what is spared may be more than systemd spares, and never less."""
    parts = path.replace("%%", "\0").split("%")
    return "".join([parts[0], *(f"*{part[1:]}" for part in parts[1:])]).replace("\0", "%").replace("**", "*")


def _length(text: str) -> str | None:
    """`1h30min` as the configuration writes it, "" for none at all; None where it is no length."""
    found, at = [], 0
    while at < len(text):
        end = at
        while end < len(text) and is_number(text[end]):
            end += 1
        stop = end
        while stop < len(text) and text[stop].isalpha():
            stop += 1
        unit = UNITS.get(text[end:stop])
        if end == at or unit is None:
            return None
        if int(text[at:end]):
            found.append(f"{int(text[at:end])}{unit}")
        at = stop
    return "".join(found)
