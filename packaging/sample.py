"""Starts jamaintd in the foreground with a sample: a tree of logs that it makes, a window that opens in ten seconds."""

import hashlib
import os
import pathlib
import random
import stat
import sys
import time
from datetime import UTC, datetime, timedelta

DAY = 86400
FILES = 240
SOCKET_PATH_LIMIT = 90

CONFIG = """\
# Made by `make run`. Change it and type `jamaintctl reload`; `make clean` throws it away.
state_dir: {state}
socket: {{ path: {socket} }}
rollback: {{ retention: 7d }}
grants:
  commands: {{ greeting: [/bin/echo, good night] }}

windows:
  tonight:
    description: what "tonight" is for a sample, from ten seconds after the start
    schedule: {{ at: "{opens}" }}
    duration: 60
    cutoff: 10
    timezone: UTC
    allowed_tasks: [cleanup, custom]
    max_concurrent_tasks: 2

tasks:
  app-logs:
    description: expire and compress the application's logs
    type: cleanup
    category: logs
    schedule: {{ window: tonight }}
    config:
      log_paths: ["{logs}/*.log"]
      retention_days: 30
      compress_logs: {{ algorithm: zstd, older_than: 1d }}
    rollback: {{ enabled: true, auto_rollback: true }}
    mass_deletion: {{ share: 80%, items: 1000 }}

  disk-report:
    description: how full the disks are, in the execution's log
    type: custom
    category: system
    executor: command
    config:
      command: [df, --human-readable, --local]
"""


def main() -> None:
    """Makes what is missing, says what to type next, and becomes jamaintd."""
    programs = pathlib.Path(sys.argv[1]).resolve()
    base = _base(pathlib.Path.cwd() / ".run")
    socket = _socket(base)
    logs = base / "state" / "sample" / "logs"
    if not logs.exists():
        _make_logs(logs)
    opens = datetime.now(UTC) + timedelta(seconds=10)
    config = base / "jamaintd.yaml"
    if not config.exists():
        config.write_text(
            CONFIG.format(state=base / "state", socket=socket, logs=logs, opens=opens.strftime("%Y-%m-%dT%H:%M:%SZ"))
        )
    (base / "env").write_text(f"export JAMAINT_SOCKET={socket}\nexport PATH={programs}:$PATH\n")
    print(
        f"jamaintd starts with a sample. Its socket: {socket}\n"
        f"Its logs to clean: {logs}\n"
        "In another shell, in this directory, type:\n\n"
        "    . .run/env\n"
        "    jamaintctl status\n\n"
        "Ctrl-C here stops it; started again, it goes on where it was. `make clean` throws all of it away.\n",
        flush=True,
    )
    os.execv(programs / "jamaintd", ["jamaintd", "--config", str(config)])


def _base(wanted: pathlib.Path) -> pathlib.Path:
    """Below the checkout; where root does not own the way there, or others may not pass, in root's own place.

    As root the database runs as a user without rights, who must be able to reach it, and nobody may be able to swap
    a directory above the logs that root cleans.
    """
    if os.geteuid() != 0 or all(_is_roots(parent) for parent in wanted.parents):
        wanted.mkdir(mode=0o755, exist_ok=True)
        return wanted
    elsewhere = pathlib.Path("/var/lib", f"jamaint-sample-{hashlib.sha256(os.fsencode(wanted)).hexdigest()[:8]}")
    elsewhere.mkdir(mode=0o755, exist_ok=True)
    if not wanted.is_symlink():
        wanted.symlink_to(elsewhere)
    return elsewhere


def _is_roots(directory: pathlib.Path) -> bool:
    found = directory.stat()
    others_write = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not found.st_mode & stat.S_ISVTX
    return found.st_uid == 0 and not others_write and bool(found.st_mode & stat.S_IXOTH)


def _socket(base: pathlib.Path) -> pathlib.Path:
    """Below the base unless that makes the path too long for a socket."""
    if len(os.fsencode(base / "socket" / "jamaintd.sock")) <= SOCKET_PATH_LIMIT:
        return base / "socket" / "jamaintd.sock"
    runtime = os.environ.get("XDG_RUNTIME_DIR") or ("/run" if os.geteuid() == 0 else f"/tmp/jamaint-{os.geteuid()}")
    return pathlib.Path(runtime) / "jamaint-sample" / "jamaintd.sock"


def _make_logs(directory: pathlib.Path) -> None:
    """A log a day and service, sixty days back, of lines as an application writes them."""
    directory.mkdir(parents=True)
    dice = random.Random(1)
    now = time.time()
    for number in range(FILES):
        days, service = divmod(number, 4)
        path = directory / f"{('web', 'worker', 'search', 'mail')[service]}-{days:02}d.log"
        lines = (
            f"{dice.getrandbits(48):012x} GET /articles/{dice.randrange(9999)} 200 {dice.randrange(90)}ms\n"
            for _ in range(dice.randrange(2000, 9000))
        )
        path.write_text("".join(lines))
        os.utime(path, (now - days * DAY - 3600, now - days * DAY - 3600))


if __name__ == "__main__":
    main()
