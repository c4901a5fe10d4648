"""A place with a daemon of its own and `jamaintctl` as people type it: what the acceptance tests share."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from daemon_harness import Client, Daemon, client, daemon
from socket_peers import CAN_BE_OTHERS

CTL = Path(sys.executable).parent / "jamaintctl"
SECONDS = 60
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")

Done = subprocess.CompletedProcess[str]


class Scene:
    """A directory with a configuration, gates that hold commands up, and logs; `ctl` types at its daemon."""

    def __init__(self, directory: Path, dsn: str | None) -> None:
        self.directory = directory
        self.config = directory / "jamaintd.yaml"
        self.socket = directory / "sock"
        self.dsn = dsn
        self.daemon: Daemon

    def configure(self, **sections: Any) -> None:
        """Writes the configuration; what every scene has need not be given. (JSON is YAML.)"""
        usual: dict[str, Any] = {
            "socket": {"path": str(self.socket), "mode": "0666"},
            "state_dir": str(self.directory / "state"),
            "log": {"format": "text"},
        }
        if self.dsn is not None:
            usual["database"] = {"dsn": self.dsn}
        self.config.write_text(json.dumps({**usual, **sections}, indent=1))

    @contextlib.contextmanager
    def serving(self) -> Iterator[Client]:
        """A daemon for the block, and a connection to it."""
        with daemon(self.config) as self.daemon, client(self.socket) as caller:
            yield caller

    def ctl(self, *words: str, stdin: str | None = None, before: tuple[str, ...] = ()) -> Done:
        """Types `jamaintctl WORDS` and waits for its end."""
        return subprocess.run(
            [*before, str(CTL), *words],
            env=self._environment(),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    @contextlib.contextmanager
    def typing(self, *words: str) -> Iterator["subprocess.Popen[str]"]:
        """`jamaintctl WORDS` while the block lasts, and to its own end."""
        process = subprocess.Popen(
            [str(CTL), *words], env=self._environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            yield process
        finally:
            process.kill()
            with process:
                pass

    def json(self, *words: str, stdin: str | None = None, code: int = 0) -> Any:
        """The one document that `jamaintctl --json WORDS` prints."""
        done = self.ctl("--json", *words, stdin=stdin)
        assert done.returncode == code, done
        assert done.stdout.count("\n") == 1, done
        return json.loads(done.stdout)

    def gate(self, name: str) -> Path:
        """A FIFO: whoever reads it waits until the gate is opened."""
        path = self.directory / name
        if not path.exists():
            os.mkfifo(path)
        return path

    def open_gate(self, name: str) -> None:
        """Returns when somebody has come to the gate; he goes on."""
        self.gate(name).write_text("go on\n")

    def held(self, name: str, **more: Any) -> dict[str, Any]:
        """A task that waits at the gate of its name."""
        command = ["cat", str(self.gate(f"{name}.gate"))]
        return {"type": "custom", "category": "system", "config": {"command": command}, **more}

    @contextlib.contextmanager
    def reached(self, name: str) -> Iterator[None]:
        """The command of a task that is held has begun, and stands at its gate until the block ends."""
        with self.gate(f"{name}.gate").open("w"):
            yield

    def let_go(self, name: str) -> None:
        """Opens the gate of a task that is held."""
        self.open_gate(f"{name}.gate")

    def logs(self, ages_days: tuple[float, ...]) -> Path:
        """A directory with a log of each age."""
        directory = self.directory / "logs" / "app"
        directory.mkdir(parents=True, exist_ok=True)
        for days in ages_days:
            file = directory / f"web-{days:04}.log"
            file.write_text(f"a line of {days} days ago\n" * 2000)
            os.utime(file, ns=(time.time_ns() - int(days * 86400 * 10**9),) * 2)
        return directory

    def _environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        return {**kept, "JAMAINT_SOCKET": str(self.socket)}


def _can_be_nobody() -> bool:
    if not CAN_BE_OTHERS or shutil.which("setpriv") is None:
        return False
    tried = subprocess.run([*NOBODY, str(CTL), "--version"], capture_output=True, check=False)
    return tried.returncode == 0


needs_nobody = pytest.mark.skipif(not _can_be_nobody(), reason="only root can be somebody else, and who can run this")


@contextlib.contextmanager
def scene(dsn: str | None) -> Iterator[Scene]:
    """A place, gone afterwards; without a dsn its daemon has an embedded PostgreSQL."""
    directory = tempfile.mkdtemp(prefix="ja-", dir="/tmp")  # pytest's own are closed to other users
    os.chmod(directory, 0o755)
    try:
        yield Scene(Path(directory), dsn)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def soon(seconds: float = 1.0) -> str:
    """That moment, as a schedule's `at` has it."""
    moment = datetime.now(UTC) + timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def window(opens_in_seconds: float = 1.0, minutes: int = 60, **more: Any) -> dict[str, Any]:
    """A window that opens once, then; with a negative number it is open already."""
    return {"schedule": {"at": soon(opens_in_seconds)}, "duration": minutes, "timezone": "UTC", **more}


def until(caller: Client, event: str, **fields: Any) -> dict[str, Any]:
    """The execution of the first event of that name that has such fields; `caller` has subscribed."""
    while True:
        pushed = caller.receive().event
        if pushed is None or pushed["event"] != event:
            continue
        execution: dict[str, Any] = pushed.get("execution") or {}
        if all(execution.get(key) == value for key, value in fields.items()):
            return execution
