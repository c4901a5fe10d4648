"""A real jamaintd in a process of its own, and a client that speaks its protocol: for tests of the whole."""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jamaint.errors import JamaintError
from jamaint.protocol import control

SECONDS = 60.0


class Client:
    """One connection; calls in order."""

    def __init__(self, path: Path, connect: Callable[[Path], socket.socket] | None = None) -> None:
        self._socket = connect(path) if connect else connected(path)
        self._socket.settimeout(SECONDS)
        self._lines = control.Lines()
        self._replies: list[control.Reply] = []
        self._number = 0

    def call(self, method: str, **params: Any) -> Any:
        """The result of one call. Raises JamaintError."""
        self.begin(method, **params)
        while True:
            reply = self.receive()
            if reply.event is None:
                if reply.error is not None:
                    raise reply.error
                return reply.result

    def begin(self, method: str, **params: Any) -> None:
        """Sends a call whose answer is received later."""
        self._number += 1
        self._socket.sendall(control.request(self._number, method, params))

    def receive(self) -> control.Reply:
        """The next line, reply or event."""
        while not self._replies:
            chunk = self._socket.recv(65536)
            if not chunk:
                raise EOFError("the daemon hung up")
            self._replies += [control.parse_reply(line) for line in self._lines.feed(chunk)]
        return self._replies.pop(0)

    def send_raw(self, data: bytes) -> None:
        """Any bytes."""
        self._socket.sendall(data)

    def end_sending(self) -> None:
        """Half closes: what has been asked can still be answered."""
        self._socket.shutdown(socket.SHUT_WR)

    def receive_all(self) -> list[bytes]:
        """Every line until the daemon hangs up."""
        data = bytearray()
        while chunk := self._socket.recv(65536):
            data += chunk
        return bytes(data).splitlines()

    def close(self) -> None:
        """Hangs up."""
        self._socket.close()

    def run(self, task: str, **params: Any) -> dict[str, Any]:
        """Starts a task and returns the execution as it ended."""
        execution = self.call("execution.start", task=task, **params)["execution_id"]
        ended: dict[str, Any] = self.call("execution.wait", execution=execution)
        return ended


class Daemon:
    """jamaintd in the foreground; `ready` when it has said so over NOTIFY_SOCKET. It may get a listening socket."""

    def __init__(
        self,
        config: Path,
        *,
        knife: str | None = None,
        passed: socket.socket | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.config = config
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind("")  # an abstract address of the kernel's choice
        self._notify.settimeout(SECONDS)
        address = self._notify.getsockname()
        self.errors = config.with_suffix(".log").open("ab")
        boot = [sys.executable, "-I", "-c", _BOOT, str(Path(__file__).parents[2]), knife or ""]
        if passed is not None:
            boot[:0] = [sys.executable, "-I", "-c", _PASS, str(passed.fileno())]
        self.process = subprocess.Popen(
            [*boot, "--config", str(config)],
            stderr=self.errors,
            env={**_environment(), **(environment or {}), "NOTIFY_SOCKET": "@" + address[1:].decode()},
            pass_fds=() if passed is None else (passed.fileno(),),
        )

    def wait_ready(self) -> bool:
        """True when it serves; False when it ended before that."""
        ended = os.pidfd_open(self.process.pid)
        try:
            while True:
                if _readable(self._notify, ended) is not self._notify:
                    return False
                if b"READY=1" in self._notify.recv(65536).split(b"\n"):
                    return True
        finally:
            os.close(ended)

    def wait_told(self, *words: str) -> str:
        """What it tells systemd next that has one of these words in it."""
        while True:
            told = self._notify.recv(65536).decode()
            if any(word in told for word in words):
                return told

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.wait()

    def wait(self) -> int:
        """Waits for its end."""
        try:
            return self.process.wait(SECONDS)
        finally:
            self._notify.close()
            self.errors.close()


@contextlib.contextmanager
def daemon(config: Path, environment: Mapping[str, str] | None = None) -> Iterator[Daemon]:
    """A daemon that serves; stopped at the end, and its log shown if it did not start."""
    running = Daemon(config, environment=environment)
    try:
        if not running.wait_ready():
            raise AssertionError(config.with_suffix(".log").read_text())
        yield running
    finally:
        if running.process.poll() is None:
            running.stop()
        else:
            running.wait()


@contextlib.contextmanager
def client(path: Path) -> Iterator[Client]:
    """A connection that is closed at the end."""
    found = Client(path)
    try:
        yield found
    finally:
        found.close()


def refusal(call: Client, method: str, **params: Any) -> JamaintError:
    """The problem that a call is refused with."""
    try:
        result = call.call(method, **params)
    except JamaintError as problem:
        return problem
    raise AssertionError(f"{method} was not refused: {result}")


# The very code under test, whether it is installed or not; a knife is a test's module that wounds it first.
_BOOT = """
import sys
root, knife = sys.argv[1:3]
sys.path[:0] = [root + "/src", root + "/tests/support"]
if knife:
    import fault_injection
    fault_injection.draw(knife)
from jamaint.daemon.main import main
sys.exit(main(sys.argv[3:]))
"""


# As systemd starts a program for which it has opened a socket.
_PASS = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""


def connected(path: Path) -> socket.socket:
    """A connection to a daemon; nothing of one stays open where it is gone already."""
    with contextlib.ExitStack() as unless_connected:
        found = unless_connected.enter_context(socket.socket(socket.AF_UNIX))
        found.connect(str(path))
        unless_connected.pop_all()
    return found


def _environment() -> dict[str, str]:
    kept = ("PATH", "HOME", "LANG", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")
    return {name: os.environ[name] for name in kept if name in os.environ}


def _readable(first: socket.socket, second: int) -> Any:
    poll = select.poll()
    poll.register(first, select.POLLIN)
    poll.register(second, select.POLLIN)
    found = poll.poll(SECONDS * 1000)
    if not found:
        raise TimeoutError("jamaintd said nothing")
    return first if any(descriptor == first.fileno() for descriptor, _ in found) else second
