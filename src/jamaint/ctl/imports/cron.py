"""crontabs and the directories of run-parts as tasks of `command`. The grammar is that of crontab(5) of cron."""

from __future__ import annotations

import os

from jamaint.ctl.imports.result import Imported, Line, Task, is_number, name_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

PERIODS = {"cron.hourly": "hourly", "cron.daily": "daily", "cron.weekly": "weekly", "cron.monthly": "monthly",
           "cron.yearly": "yearly"}  # fmt: skip
NICKNAMES = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
TIMES = 5
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
FIELDS = (
    ("minute", 0, 59, ()), ("hour", 0, 23, ()), ("day of a month", 1, 31, ()), ("month", 1, 12, MONTHS),
    ("day of a week", 0, 7, WEEKDAYS),
)  # fmt: skip
"""What the five times are called, the least and the most of each, and the names that stand for numbers."""
OWN_NAMES = ("MAILTO", "MAILFROM", "SHELL", "LOGNAME", "CRON_TZ", "RANDOM_DELAY")
"""Variables that tell cron something, and are not handed to the command."""


def read(files: Sequence[str], open_text: Callable[[str], str], _listed: Callable[[str], list[str]]) -> Imported:
    """Read crontabs, and take programs of cron.daily and the like by the name of their directory."""
    found = Imported()
    for file in files:
        period = PERIODS.get(os.path.basename(os.path.dirname(file)))
        if period:
            found.add(_program(file, period))
            continue
        try:
            text = open_text(file)
        except OSError as error:
            found.mistake(Line(file, 1, ""), 1, f"cannot be read: {error.strerror}")
            continue
        _crontab([Line(file, number, one) for number, one in enumerate(text.splitlines(), 1)], found)
    return found


def _program(file: str, period: str) -> Task:
    task = Task(name_of(os.path.basename(file)), Line(file, 1, f"a program of cron's, {period}"), {})
    task.keys = _keys(f"run {file}", {"calendar": period}, {"command": [file]})
    return task


def _crontab(lines: Sequence[Line], found: Imported) -> None:
    """Read one crontab; those of users name no user in their lines."""
    file = lines[0].file if lines else ""
    users = os.path.dirname(file).endswith("/crontabs")
    environment: dict[str, str] = {}
    for line in lines:
        text = line.text.strip()
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        if equals and name.strip().replace("_", "").isalnum() and not name.strip()[0].isdigit():
            environment[name.strip()] = value.strip().strip("\"'")
            continue
        _entry(line, text, os.path.basename(file) if users else None, dict(environment), found)


def _entry(line: Line, text: str, owner: str | None, environment: dict[str, str], found: Imported) -> None:
    nick, start = text.startswith("@"), line.text.find(text) + 1
    fields = 1 if nick else TIMES
    parts = text.split(None, fields + (owner is None))
    if len(parts) < fields + 1 + (owner is None):
        found.mistake(line, start, "a line has five times (or @daily and the like), a user and a command")
        return
    times, command, user = " ".join(parts[:fields]), parts[-1], owner or parts[fields]
    if times == "@reboot":
        found.remarks.append(f"{line.place}: @reboot is the job of a systemd unit: left out")
        return
    if nick and times not in NICKNAMES:
        found.mistake(line, start, f"{times} is not a valid time: the line is left out")
        return
    at = start - 1
    for part, (called, least, most, names) in zip(() if nick else parts, FIELDS, strict=False):
        at = line.text.find(part, at)
        if not all(_is_time(one, least, most, names) for one in part.split(",")):
            found.mistake(line, at + 1, f"{part} is no {called}: the line is left out")
            return
        at += len(part)
    body, percent, _stdin = _split_percent(command)
    word = os.path.basename(body.split()[0]) if body.split() else "command"
    task = Task(name_of(f"{os.path.basename(line.file)}-{word}"), line, {})
    if percent:
        task.remarks.append("what stands behind % is the command's standard input")
    shell = environment.get("SHELL", "/bin/sh")
    config: dict[str, Any] = {"command": [shell, "-c", body]}
    if user != "root":
        config["user"] = user
    kept = {name: value for name, value in environment.items() if name not in OWN_NAMES}
    if kept:
        config["environment"] = kept
    if environment.get("MAILTO"):
        task.remarks.append(f"MAILTO={environment['MAILTO']}: the output is in `jamaintctl execution log`")
    schedule = {"cron": {"@midnight": "@daily", "@annually": "@yearly"}.get(times, times)}
    if environment.get("CRON_TZ"):
        schedule["timezone"] = environment["CRON_TZ"]
    task.keys = _keys(f"run {body}" if len(body) < 60 else f"run {word}", schedule, config)
    found.add(task)


def _is_time(text: str, least: int, most: int, names: Sequence[str]) -> bool:
    """True of `*`, a value and a stretch of values, each also with a step."""
    stretch, slash, step = text.partition("/")
    if slash and not (is_number(step) and int(step)):
        return False
    if stretch == "*":
        return True
    return all(one.lower() in names or (is_number(one) and least <= int(one) <= most) for one in stretch.split("-", 1))


def _keys(description: str, schedule: dict[str, str], config: dict[str, Any]) -> dict[str, Any]:
    return {
        "description": description,
        "type": "custom",
        "category": "system",
        "executor": "command",
        "schedule": schedule,
        "config": config,
    }


def _split_percent(command: str) -> tuple[str, bool, str]:
    """Split a command at its first % that is not escaped."""
    at = 0
    while (at := command.find("%", at)) >= 0:
        if at and command[at - 1] == "\\":
            command = command[: at - 1] + command[at:]
            continue
        return command[:at].rstrip(), True, command[at + 1 :]
    return command, False, ""
