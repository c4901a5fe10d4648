"""The product as a user has it: a wheel in a virtual environment of its own, a daemon of that, and calls to it."""

import contextlib
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from measure import until
from places import CHECKOUT, INSTALLED, scratch

from jamaint.errors import JamaintError
from jamaint.protocol import control

START_SECONDS = 60
STOP_SECONDS = 90
ANSWER_SECONDS = 300


@cache
def installed() -> Path:
    """The directory of its programs: built from this checkout, with the versions that the checkout's own tests have."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    with scratch() as directory:
        subprocess.run(
            [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", directory, CHECKOUT], check=True
        )
        wheel = next(directory.glob("*.whl"))
        frozen = subprocess.run([*pip, "freeze", "--exclude-editable"], check=True, capture_output=True, text=True)
        versions = directory / "versions.txt"
        versions.write_text("".join(line for line in frozen.stdout.splitlines(True) if " @ " not in line))
        if not (INSTALLED / "bin" / "jamaintctl").exists():
            shutil.rmtree(INSTALLED, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", INSTALLED], check=True)
        pip[0] = str(INSTALLED / "bin" / "python")
        subprocess.run([*pip, "install", "--constraint", versions, f"{wheel}[embedded,fast]"], check=True)
        subprocess.run([*pip, "install", "--no-deps", "--force-reinstall", wheel], check=True)
    return INSTALLED / "bin"


class Caller:
    """One connection to a daemon."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(ANSWER_SECONDS)
        self.socket.connect(str(path))
        self._lines = control.Lines()
        self._replies: list[control.Reply] = []

    def call(self, method: str, **params: Any) -> Any:
        """The result of one call. Raises JamaintError."""
        self.socket.sendall(control.request(1, method, params))
        return self.receive()

    def receive(self) -> Any:
        """The next result. Raises JamaintError."""
        while not self._replies:
            chunk = self.socket.recv(1 << 18)
            if not chunk:
                raise EOFError("the daemon hung up")
            self._replies += [control.parse_reply(line) for line in self._lines.feed(chunk)]
        reply = self._replies.pop(0)
        if reply.error is not None:
            raise reply.error
        return reply.result


class Daemon:
    """A daemon that serves: its process's number, its socket."""

    def __init__(self, pid: int, path: Path) -> None:
        self.pid = pid
        self.path = path

    @contextlib.contextmanager
    def caller(self) -> Iterator[Caller]:
        """A connection, closed afterwards."""
        caller = Caller(self.path)
        try:
            yield caller
        finally:
            caller.socket.close()


@contextlib.contextmanager
def daemon(directory: Path, dsn: str | None = None, **sections: Mapping[str, Any]) -> Iterator[Daemon]:
    """A daemon with these sections of configuration, its files in `directory`; without `dsn` with its own database."""
    path = directory / "sock"
    config = {"state_dir": str(directory / "state"), "socket": {"path": str(path)}, **sections}
    if dsn is not None:
        config["database"] = {"dsn": dsn}
    (directory / "jamaintd.yaml").write_text(json.dumps(config))  # which is YAML, and never has an alias
    with (directory / "log").open("ab") as log:
        process = subprocess.Popen(
            [installed() / "jamaintd", "--config", directory / "jamaintd.yaml"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        )
    try:
        until(lambda: process.poll() is not None or _serves(path), START_SECONDS, "jamaintd")
        if process.poll() is not None:
            raise RuntimeError("jamaintd ended")
        yield Daemon(process.pid, path)
    except Exception as error:
        error.add_note(f"jamaintd {process.poll()}:\n{(directory / 'log').read_text()[-2000:]}")
        raise
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        finally:
            process.kill()
            process.wait()


def _serves(path: Path) -> bool:
    """Whether it answers, and not that its database is being started."""
    try:
        caller = Caller(path)
    except OSError:
        return False
    try:
        caller.call("execution.list", limit=1)
    except JamaintError:
        return False
    finally:
        caller.socket.close()
    return True
