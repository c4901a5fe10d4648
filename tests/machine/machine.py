"""A Debian that has booted: systemd as process 1 in a container of its own, looked at from outside."""

import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from root import Release, SkippedError

BOOT_SECONDS = 60.0
COMMAND_SECONDS = 60.0
POLL_SECONDS = 0.2
NAME = "jamaint-acceptance"

Done = subprocess.CompletedProcess[str]


class FailedError(Exception):
    """What was seen instead of what should have been."""


class Machine:
    """Boots, runs commands inside, and goes down. `name` is whose command it is: root's where nothing is said."""

    def __init__(self, root: Path, release: Release) -> None:
        self.root = root
        self.release = release
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._leader = 0

    def boot(self) -> None:
        """Returns when systemd has started all that it is to start. Raises SkippedError where nothing can boot."""
        if shutil.which("systemd-nspawn") is None:
            raise SkippedError("systemd-nspawn is not installed")
        console = self.root.parent / "console.log"
        with console.open("ab") as log:
            self._nspawn = subprocess.Popen(
                [
                    "setpriv", "--pdeathsig=KILL", "systemd-nspawn", "--quiet", "--boot",
                    f"--directory={self.root}", f"--machine={NAME}", "--register=no",
                    "--keep-unit", "--private-network", "--link-journal=no", "--console=pipe",
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        deadline = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < deadline:
            if self._nspawn.poll() is not None:
                said = console.read_text(errors="replace").strip().splitlines()[-1:]
                raise SkippedError(f"systemd-nspawn cannot boot a machine here: {''.join(said) or 'it ended at once'}")
            self._leader = self._leader or _child_of(self._nspawn.pid)
            if self._leader and self.run("systemctl", "is-system-running", seconds=10).stdout.strip() in _BOOTED:
                return
            time.sleep(POLL_SECONDS)
        raise FailedError(f"it had not booted after {BOOT_SECONDS:g} s: {self.run('systemctl', 'list-jobs').stdout}")

    def power_off(self) -> None:
        """Shuts it down as one does; what does not end is ended."""
        if self._nspawn is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.run("systemctl", "poweroff", "--no-block", seconds=10)
        try:
            self._nspawn.wait(BOOT_SECONDS)
        except subprocess.TimeoutExpired:
            self._nspawn.kill()
            self._nspawn.wait()
        self._nspawn, self._leader = None, 0

    def run(
        self, *command: str, name: str = "root", seconds: float = COMMAND_SECONDS, stdin: str | None = None
    ) -> Done:
        """A command inside, with a clean environment and the rights of that user, to its end."""
        return subprocess.run(
            [*self._entering(name), *command],
            input=stdin, capture_output=True, text=True, errors="replace", check=False, timeout=seconds,
        )  # fmt: skip

    def start(self, *command: str, name: str = "root") -> "subprocess.Popen[str]":
        """A command inside that goes on."""
        return subprocess.Popen(
            [*self._entering(name), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def must(
        self, *command: str, name: str = "root", seconds: float = COMMAND_SECONDS, stdin: str | None = None
    ) -> str:
        """What a command says that has to succeed. Raises FailedError."""
        done = self.run(*command, name=name, seconds=seconds, stdin=stdin)
        if done.returncode:
            raise FailedError(
                f"{' '.join(command)}: exit {done.returncode}: {done.stderr.strip() or done.stdout.strip()}"
            )
        return done.stdout

    def ctl(self, *words: str, name: str = "root") -> Any:
        """The document that `jamaintctl --json` gives. Raises FailedError."""
        return json.loads(self.must("jamaintctl", "--json", *words, name=name))

    def show(self, unit: str, *names: str) -> dict[str, str]:
        """Properties of a unit."""
        said = self.must("systemctl", "show", unit, *(f"--property={name}" for name in names))
        return dict(line.split("=", 1) for line in said.splitlines() if "=" in line)

    def journal(self, *words: str) -> list[dict[str, Any]]:
        """Messages of the daemon."""
        said = self.must("journalctl", "-u", "jamaintd", "-o", "json", "--no-pager", "-q", *words)
        return [json.loads(line) for line in said.splitlines()]

    def write(self, path: str, text: str) -> None:
        """A file of root's, in one go."""
        self.must("sh", "-c", 'cat > "$1.new" && chmod 0644 "$1.new" && mv "$1.new" "$1"', "sh", path, stdin=text)

    @staticmethod
    def until(what: str, look: Callable[[], Any], seconds: float = 30.0) -> Any:
        """What `look` finds, as soon as it finds something. Raises FailedError."""
        deadline = time.monotonic() + seconds
        while True:
            found = look()
            if found:
                return found
            if time.monotonic() > deadline:
                raise FailedError(f"{what}: not within {seconds:g} s")
            time.sleep(POLL_SECONDS)

    def _entering(self, name: str) -> list[str]:
        clean = ["env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8"]
        other = [] if name == "root" else ["setpriv", f"--reuid={name}", f"--regid={name}", "--init-groups"]
        return ["nsenter", "--target", str(self._leader), "--all", "--root", "--wd", *clean, *other]


_BOOTED = {"running", "degraded"}


@contextlib.contextmanager
def powered(machine: Machine) -> Iterator[Machine]:
    """Whatever happens, it is off in the end."""
    try:
        yield machine
    finally:
        machine.power_off()


def _child_of(pid: int) -> int:
    said = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(said[0]) if said else 0
