"""logrotate's files as tasks of `logs.rotate`. The defaults are those of logrotate.conf(5), 3.21."""

from __future__ import annotations

import os

from jamaint.ctl.imports.logrotate_files import FLAGS, Directives, Reader, Stanza, size_of
from jamaint.ctl.imports.result import Imported, Line, Task, is_number, name_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
LOST = {
    "renamecopy": "renamecopy: the log is renamed",
    "mail": "mail: nobody is sent a log that expires",
    "shred": "shred: what expires is not overwritten",
    "dateyesterday": "dateyesterday: a name tells when it was rotated",
    "datehourago": "datehourago: a name tells when it was rotated",
    "allowhardlink": "allowhardlink: a log with several names is told, and left",
    "addextension": "addextension: name the logs yourself",
    "start": "start: numbers begin with 1",
    "preremove": "preremove: what expires can be put back, so nothing runs before",
}
CODECS = {"gzip": "gzip", "pigz": "gzip", "zstd": "zstd", "xz": "xz", "pixz": "xz"}
DATABASES = ("/var/lib/postgresql", "/var/lib/pgsql", "/var/lib/mysql")
"""Where the daemon touches nothing; a test holds this to the daemon's own list, which the client does not load."""
KEEP_FOR_EVER = 10_000
DEFAULT_SIZE = "1MiB"
"""Without a period and a size, logrotate rotates what is larger than 1 MiB."""
SHELL_SIGNS = set("|&;<>()$`\\\"'*?[#~=%\n!{}")


def read(files: Sequence[str], open_text: Callable[[str], str], listed: Callable[[str], list[str]]) -> Imported:
    """Read `files` with all that they include. `open_text` and `listed` may raise OSError; that is a mistake too."""
    found = Imported()
    reader = Reader(found, open_text, listed)
    for file in files:
        reader.file(file, Line(file, 1, ""))
    for stanza in reader.stanzas:
        refused = [f"{path} is where a database keeps its files: leave it to logrotate" for path in stanza.paths
                   if _is_of_a_database(path)]  # fmt: skip
        stanza.paths = [path for path in stanza.paths if not _is_of_a_database(path)]
        if stanza.paths:
            task = _task_of(stanza)
            task.remarks += refused
            found.add(task)
        else:
            found.remarks += [f"{stanza.line.place}: {why}" for why in refused]
    _warn_of_duplicates(found)
    return found


def _is_of_a_database(path: str) -> bool:
    """True where `config check` would refuse a log, for a database keeps its files in that directory."""
    directory = os.path.dirname(path)
    return f"{directory}/".startswith(tuple(f"{place}/" for place in DATABASES)) and (
        os.path.basename(directory) not in ("log", "pg_log")
    )


def _task_of(stanza: Stanza) -> Task:
    given, config = stanza.directives, {}
    task = Task(f"{name_of(os.path.basename(stanza.line.file))}-rotate", stanza.line, {})
    config["log_paths"] = stanza.paths
    config.update(_when(given))
    config.update(_kept(given, task))
    config.update(_aside(stanza, task))
    config.update(_made(given, task))
    config.update(_scripts(stanza, task))
    task.remarks += [LOST[word] for word in LOST if word in given]
    period = given.get("period", ["daily"])[0]
    hourly = period == "hourly"
    task.keys = {
        "description": f"rotate {', '.join(stanza.paths)}",
        "type": "security",
        "category": "logs",
        "executor": "logs.rotate",
        "schedule": {"calendar": "hourly" if hourly else "daily", "jitter": "5m" if hourly else "1h"},
        "config": config,
    }
    return task


def _when(given: Directives) -> dict[str, Any]:
    """How often, and from which size and age on."""
    found: dict[str, Any] = {}
    if "size" in given:  # the last of size and a period counts for logrotate; a size stands below it in every real file
        found["max_size"] = size_of(given["size"]) or DEFAULT_SIZE
    elif "period" in given:
        period, *which = given["period"]
        found["every"] = period
        if period == "weekly" and which and is_number(which[0]) and int(which[0]) < len(WEEKDAYS):
            found["weekday"] = WEEKDAYS[int(which[0])]
        if period == "monthly" and which and is_number(which[0]) and 1 <= int(which[0]) <= 31:
            found["month_day"] = int(which[0])
    else:
        found["max_size"] = DEFAULT_SIZE
    for word, key in (("maxsize", "max_size"), ("minsize", "min_size")):
        size = size_of(given.get(word))
        if size and key not in found:
            found[key] = size
    for word, key in (("minage", "min_age"), ("maxage", "max_age")):
        days = _number(given.get(word))
        if days:
            found[key] = f"{days}d"
    if given.get("ifempty") != ["notifempty"]:  # logrotate's default
        found["if_empty"] = True
    return found


def _kept(given: Directives, task: Task) -> dict[str, Any]:
    """How many are kept, under which names, and compressed how."""
    count = given.get("rotate", ["0"])[0]
    found: dict[str, Any] = {"keep": KEEP_FOR_EVER if count == "-1" else _number([count]) or 0}
    if _is_on(given, "dateext"):
        if given.get("dateformat"):
            found["date_format"] = given["dateformat"][0]
    else:
        found["names"] = "number"
    if given.get("extension"):
        found["extension"] = given["extension"][0]
    if _is_on(given, "compress"):
        program = os.path.basename(given.get("compresscmd", ["gzip"])[0])
        if program not in CODECS:
            task.remarks.append(f"compresscmd {program}: compressed with gzip")
        compress: dict[str, Any] = {
            "algorithm": CODECS.get(program, "gzip"),
            "delay": _is_on(given, "delaycompress"),
        }
        levels = [one[1:] for one in given.get("compressoptions", ()) if one.startswith("-") and is_number(one[1:])]
        if levels:
            compress["level"] = int(levels[-1])
        found["compress"] = compress
    return found


def _aside(stanza: Stanza, task: Task) -> dict[str, Any]:
    """Where the rotated logs go, by its path from the directory of the logs."""
    olddir = (stanza.directives.get("olddir") or [""])[0].rstrip("/")
    if not olddir:
        return {}
    directories = {os.path.dirname(path) for path in stanza.paths}
    path = olddir
    if olddir.startswith("/"):
        inside = [olddir[len(one) + 1 :] for one in directories if olddir.startswith(f"{one}/")]
        path = inside[0] if len(directories) == 1 and inside else ""
    letters = path.translate({ord(sign): None for sign in "-_."}).split("/")
    if not all(one.isalnum() for one in letters) or any(part.startswith((".", "-")) for part in path.split("/")):
        task.remarks.append(
            f"olddir {olddir}: it is not in the directory of all these logs; "
            "write a logs.cleanup task with archive_logs"
        )
        return {}
    if "createolddir" in stanza.directives:
        task.remarks.append(f"createolddir: make {olddir} yourself, with the owner of the logs' directory")
    return {"olddir": path}


def _made(given: Directives, task: Task) -> dict[str, Any]:
    """What the new log is like, and by whom it is all done."""
    found: dict[str, Any] = {}
    if _is_on(given, "copytruncate"):
        found["copy_truncate"] = True
    elif _is_on(given, "copy"):
        found["copy"] = True
    elif given.get("create") == ["nocreate"]:
        found["create"] = False
    elif given.get("create"):
        keys = ("mode", "owner", "group")
        words = given["create"]
        found["create"] = dict(zip(keys[0 if is_number(words[0]) else 1 :], words, strict=False))
    elif "create" not in given:
        found["create"] = False
    owner = given.get("su") or []
    if owner and owner[0] != "root":
        found["user"] = owner[0]
    if len(owner) > 1 and owner[1] not in (owner[0], "root"):
        task.remarks.append(f"su {' '.join(owner)}: the group is the one of {owner[0]}")
    return found


def _scripts(stanza: Stanza, task: Task) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, words in (("prerotate", ("firstaction", "prerotate")), ("postrotate", ("postrotate", "lastaction"))):
        there = [stanza.scripts[word] for word in words if stanza.scripts.get(word, "").strip()]
        if there:
            found[key] = _command("\n".join(there))
    if stanza.scripts.get("preremove"):
        task.remarks.append(LOST["preremove"])
    if not found:
        return {}
    scripts: dict[str, Any] = {}
    many = len(stanza.paths) > 1 or any(sign in stanza.paths[0] for sign in "*?[")
    uses_path = any("$1" in body or "${1}" in body for body in stanza.scripts.values())
    if uses_path or (many and not _is_on(stanza.directives, "sharedscripts")):
        scripts["per_log"] = True
        found = {key: [*value, "logrotate"] if value[1:2] == ["-c"] else value for key, value in found.items()}
    if stanza.directives.get("su"):
        scripts["user"] = "root"
    return found | ({"scripts": scripts} if scripts else {})


def _command(script: str) -> list[str]:
    """A script as a command: without a shell where it is one plain line that starts with a program's path."""
    lines = [line.strip() for line in script.splitlines() if line.strip() and not line.strip().startswith("#")]
    if len(lines) == 1 and lines[0].startswith("/") and not SHELL_SIGNS & set(lines[0]):
        return lines[0].split()
    width = min((len(line) - len(line.lstrip()) for line in script.splitlines() if line.strip()), default=0)
    return ["/bin/sh", "-c", "\n".join(line[width:].rstrip() for line in script.splitlines())]


def _is_on(given: Directives, word: str) -> bool:
    return bool(given.get(word)) and FLAGS[given[word][0]]


def _number(values: Iterable[str] | None) -> int | None:
    for one in values or ():
        return int(one) if is_number(one) else None
    return None


def _warn_of_duplicates(found: Imported) -> None:
    seen: dict[str, str] = {}
    for task in found.tasks:
        for path in task.keys["config"]["log_paths"]:
            if path in seen:
                task.remarks.append(f"{path} is also in {seen[path]}: remove it from one of the two")
            seen.setdefault(path, task.name)
