"""The verbs: which files are read, where the result goes, and the comparison with logrotate's own dry run."""

from __future__ import annotations

import errno
import glob
import os
import stat
import subprocess
import sys

from jamaint.ctl.cli.context import DONE
from jamaint.ctl.cli.failures import INVALID
from jamaint.ctl.imports import cron, logrotate, tmpfiles
from jamaint.ctl.imports.result import yaml_lines
from jamaint.ctl.output.text import escaped
from jamaint.errors import INTERNAL, JamaintError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jamaint.ctl.cli.context import Call
    from jamaint.ctl.imports.result import Imported

    Reader = Callable[[Sequence[str], Callable[[str], str], Callable[[str], list[str]]], Imported]

LOGROTATE = ("/etc/logrotate.conf",)
TMPFILES = ("/etc/tmpfiles.d", "/run/tmpfiles.d", "/usr/local/lib/tmpfiles.d", "/usr/lib/tmpfiles.d")
CRON = ("/etc/crontab", "/etc/cron.d", "/etc/cron.hourly", "/etc/cron.daily", "/etc/cron.weekly", "/etc/cron.monthly",
        "/var/spool/cron/crontabs")  # fmt: skip
LEFT_OUT = (".dpkg-old", ".dpkg-dist", ".dpkg-new", ".dpkg-tmp", ".bak", "~", ".rpmsave", ".rpmnew", ".disabled", ",v")
"""Endings that logrotate and run-parts pass over."""
DRY_RUN_SECONDS = 30


def import_logrotate(call: Call) -> int:
    """`import logrotate`."""
    return _imported(call, logrotate.read, LOGROTATE, expand=False)


def import_tmpfiles(call: Call) -> int:
    """`import tmpfiles`."""
    return _imported(call, tmpfiles.read, TMPFILES, expand=True)


def import_cron(call: Call) -> int:
    """`import cron`."""
    return _imported(call, cron.read, CRON, expand=True)


def _imported(call: Call, read: Reader, own: Sequence[str], *, expand: bool) -> int:
    """Read, print or write, and tell mistakes on standard error; 7 if there was one, with the rest imported."""
    given = [str(word) for word in call.values.get("file") or ()]
    files = given or [one for one in own if os.path.exists(one)]
    if expand:
        files = [inside for one in files for inside in (_listed(one) if os.path.isdir(one) else [one])]
    found = read(files, _text, _listed)
    for task in found.tasks:
        task.keys["schedule"].setdefault("timezone", local_zone())
    if read is logrotate.read:
        found.remarks += _compared(files, found)
    if call.json:
        tasks = {task.name: task.keys for task in found.tasks}
        remarks = {task.name: task.remarks for task in found.tasks if task.remarks}
        call.screen.document({
            "tasks": tasks, "remarks": found.remarks, "not_carried_over": remarks, "mistakes": found.mistakes,
        })  # fmt: skip
    else:
        _write(call, list(yaml_lines(found)))
    for mistake in found.mistakes:
        call.screen.note(f"jamaintctl: {escaped(mistake)}")
    return INVALID if found.mistakes else DONE


def local_zone() -> str:
    """The zone of this machine's clock, by which logrotate, systemd and cron go; UTC where it has no name."""
    if os.environ.get("TZ"):
        return os.environ["TZ"].removeprefix(":")
    try:
        _, mark, zone = os.path.realpath("/etc/localtime").partition("/zoneinfo/")
    except OSError:
        return "UTC"
    return zone if mark else "UTC"


def _write(call: Call, lines: Sequence[str]) -> None:
    place = call.values.get("output")
    if place is None:
        call.screen.lines(lines)
        return
    try:
        with open(place, "x", encoding="utf-8", opener=_for_us_alone) as file:
            file.writelines(f"{line}\n" for line in lines)
    except FileExistsError:
        raise JamaintError(INTERNAL, f"{place} is there already and is left as it is: name another file") from None
    except OSError as error:
        raise JamaintError(INTERNAL, f"cannot write {place}: {error.strerror}") from None
    call.screen.lines([
        f"written to {place}; only you can read it (mode 0600), for crontabs may hold passwords.",
        f"Look through it, then: chmod 0644 {place} && jamaintctl config check {place}",
    ])  # fmt: skip


def _for_us_alone(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _text(file: str) -> str:
    if file == "-":
        return sys.stdin.read()
    # Without waiting for a writer: an include may lead to a FIFO.
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, encoding="utf-8", errors="surrogateescape") as opened:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "is not a regular file")
        return opened.read()


def _listed(place: str) -> list[str]:
    """The files of a directory in order of their names. Raises OSError, NotADirectoryError for a file."""
    names = sorted(os.listdir(place)) if place != "-" else []
    if place == "-":
        raise NotADirectoryError(place)
    kept = (os.path.join(place, name) for name in names if not name.endswith(LEFT_OUT) and not name.startswith("."))
    return [one for one in kept if os.path.isfile(one)]


def _compared(files: Sequence[str], found: Imported) -> list[str]:
    """Say whether the tasks name the same logs of this machine as `logrotate -d` does for the same files."""
    program = next((one for one in ("/usr/sbin/logrotate", "/usr/bin/logrotate") if os.access(one, os.X_OK)), None)
    if program is None or "-" in files:
        return ["not compared with logrotate -d: logrotate is not installed" if program is None else "not compared"]
    try:
        done = subprocess.run(  # noqa: S603 - a program of the system, with the files that were named
            [program, "-d", "-s", "/dev/null", *files],
            capture_output=True, check=False, timeout=DRY_RUN_SECONDS, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return [f"not compared with logrotate -d: {error}"]
    said = (done.stderr + done.stdout).decode("utf-8", "replace").splitlines()
    theirs = {line.split("considering log ", 1)[1].strip() for line in said if "considering log " in line}
    theirs = {one for one in theirs if os.path.exists(one)}
    patterns = [path for task in found.tasks for path in task.keys["config"]["log_paths"]]
    ours = {one for pattern in patterns for one in glob.glob(pattern) if os.path.isfile(one)}
    if ours == theirs:
        return [f"compared with logrotate -d on this machine: the same {len(ours)} logs"]
    only = [f"only logrotate: {one}" for one in sorted(theirs - ours)]
    only += [f"only these tasks: {one}" for one in sorted(ours - theirs)]
    return [f"compared with logrotate -d on this machine: {len(ours & theirs)} logs are the same", *only]
