"""Rotates made logs by the tasks imported from one logrotate.d file, and puts them back: a part of shipped_files."""

import os
import pwd
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from jamaint.config.load import load
from jamaint.core.plans import undo_order
from jamaint.core.rotation_records import Records, RotationRecord
from jamaint.ctl.imports import logrotate
from jamaint.ctl.imports.result import Imported, yaml_lines
from jamaint.executors.logs_rotate.executor import LogsRotate
from jamaint.executors.logs_rotate.rules import ROTATION
from jamaint.executors.shared.executor import StepError, Work
from jamaint.schema.errors import ConfigError
from logs_cleanup_runs import EVERYTHING, Talk
from tree_snapshot import differences, snapshot

DAYS, DAY = 40, 86400
LINE = b"a line of a log that somebody wrote\n"
SCRIPTS = {"prerotate": None, "postrotate": None, "signal": None, "scripts": None}
ONCE = datetime(2020, 1, 1, tzinfo=UTC)
"""When all logs were last rotated, as both programs have it in their records."""
LOGROTATE = "/usr/sbin/logrotate"
ADM_MODE = 0o640
OF_THE_SYSTEM = ("log", "lib", "cache", "spool", "tmp", "srv", "var", "root")


@dataclass
class Rotation:
    """What was measured of one file; `same` are logs that both plan alike, `told` is what was otherwise."""

    entries: int = 0
    logs: int = 0
    same: int = 0
    rotated: int = 0
    restored: int = 0
    told: list[str] = field(default_factory=list)


def rotation_of(name: str, text: str, found: Imported, scratch: Path) -> Rotation:
    """Imports the file anew with its logs below `scratch`, makes these, compares the plans, rotates and undoes."""
    top, result = scratch / "root", Rotation(entries=len(found.tasks))
    top.mkdir(mode=0o755)
    file = scratch / name
    file.write_text(_below(text, found, str(top)), encoding="utf-8", errors="surrogateescape")
    file.chmod(0o644)
    moved = logrotate.read([str(file)], lambda path: Path(path).read_text(errors="surrogateescape"), _no_list)
    try:
        tasks = _configured(moved, scratch)
    except ConfigError:
        return result  # told with what could not be carried over
    logs = [log for config in tasks.values() for log in _make_logs(config)]
    result.logs = len(set(logs))
    if not logs:
        return result
    _age(top)
    theirs = _planned_by_logrotate(file, logs, scratch)
    _rotate(tasks, top, sorted(set(logs)), theirs, result)
    return result


def _no_list(path: str) -> list[str]:
    raise NotADirectoryError(path)


def _below(text: str, found: Imported, top: str) -> str:
    """A file's text with all its logs below a directory."""
    paths = {path for task in found.tasks for path in task.keys["config"]["log_paths"]}
    if not paths:
        return text
    longest = sorted(paths, key=len, reverse=True)
    return re.sub(
        rf"(?<![\w./])({'|'.join(map(re.escape, longest))})(?=[\s{{\"]|$)", rf"{top}\1", text, flags=re.MULTILINE
    )


def _configured(found: Imported, scratch: Path) -> dict[str, dict[str, Any]]:
    """The tasks' configurations as a daemon would have them."""
    file = scratch / "jamaintd.yaml"
    file.write_text("\n".join(yaml_lines(found)) + "\n")
    file.chmod(0o600)
    tasks = load(str(file), environ={}, euid=os.geteuid()).tasks
    return {name: dict(task.config) for name, task in tasks.items()}


def _make_logs(config: Mapping[str, Any]) -> Iterator[str]:
    size = max(config["max_size"] or 0, config["min_size"] or 0, len(LINE) * 100) + 1
    owner = (config["create"] or {}).get("owner") or config["user"] or "root"
    for pattern in config["log_paths"]:
        for path in dict.fromkeys(_example(pattern, sign) for sign in ("one", "two")):
            place = Path(path)
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
            if config["user"]:
                _give(place.parent, pwd.getpwnam(config["user"]))
            if not place.exists():
                place.write_bytes(LINE * (size // len(LINE) + 1))
                account = pwd.getpwnam(owner)
                os.chown(place, account.pw_uid, account.pw_gid)
                place.chmod(ADM_MODE)
            yield path


def _give(directory: Path, account: pwd.struct_passwd) -> None:
    """Makes a directory an account's, and those above it, up to one of the system's own."""
    while directory.name not in OF_THE_SYSTEM:
        os.chown(directory, account.pw_uid, account.pw_gid)
        directory = directory.parent


def _example(pattern: str, sign: str) -> str:
    return re.sub(r"\[[^]]*\]|\?", "1", pattern.replace("*", sign))


def _age(top: Path) -> None:
    at = int(datetime.now(UTC).timestamp()) - DAYS * DAY
    for place in sorted(top.rglob("*"), reverse=True):
        os.utime(place, (at, at))


def _planned_by_logrotate(file: Path, logs: list[str], scratch: Path) -> dict[str, bool]:
    """Which logs `logrotate -d` would rotate, when it has rotated none for years."""
    state = scratch / "state"
    state.write_text("logrotate state -- version 2\n" + "".join(f'"{log}" 2020-1-1-0:0:0\n' for log in logs))
    done = subprocess.run([LOGROTATE, "-d", "-s", str(state), str(file)], check=False, capture_output=True, text=True)
    planned, log = {}, ""
    for line in (done.stderr + done.stdout).splitlines():
        if line.startswith("considering log "):
            log = line.removeprefix("considering log ")
        elif "log needs rotating" in line or "log does not need rotating" in line:
            planned[log] = "needs rotating" in line
    return planned


def _rotate(
    tasks: Mapping[str, dict[str, Any]], top: Path, logs: list[str], theirs: Mapping[str, bool], result: Rotation
) -> None:
    before, ours, runs = snapshot(top), set(), []
    for name, config in tasks.items():
        worker = _worker(name, config, logs)
        try:
            plan = worker.plan()
            runs.append((name, config, plan.steps))
            for step in plan.steps:
                details = worker.run(step)
                result.told += [problem["why"] for problem in details["problems"]]
                ours |= {one["path"] for one in details.get("rotated", ())} if step.name == ROTATION else set()
        except StepError as failed:
            result.told.append(failed.message.replace(str(top), ""))
    for name, config, steps in reversed(runs):
        for step in undo_order(steps):
            outcome = _worker(name, config, logs).undo(step, False)
            result.told += [one["why"] for one in outcome["kept"] + outcome["problems"]]
    left = differences(before, snapshot(top))
    result.told += [line.replace(str(top), "") for line in left]
    result.same = sum((log in ours) == theirs.get(log, False) for log in logs)
    for log in logs:
        if (log in ours) != theirs.get(log, False):
            path = log.removeprefix(str(top))
            result.told.append(f"{path}: {'only logrotate' if theirs.get(log) else 'only this'} rotates it")
    result.rotated = len(ours)
    result.restored = sum(not any(os.path.basename(log) in line for line in left) for log in ours)


def _worker(name: str, config: dict[str, Any], logs: Sequence[str]) -> LogsRotate:
    fields: dict[str, Any] = {"keeps_way_back": True, "mass_deletion": EVERYTHING, "low_space": 0.0}
    fields |= {"timeout_seconds": None, "now": datetime.now(UTC)}
    fields["rotations"] = Records({log: RotationRecord(log, ONCE, True, "e-0") for log in logs})
    changed = config | SCRIPTS | {"user": None}  # the owner's rights are taken for each directory anyway
    return LogsRotate(Work(execution=f"e-{name}", task_name=name, config=changed, **fields), Talk())
