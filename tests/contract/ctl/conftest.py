"""A small daemon on a real Unix socket that says what a test scripts, and the client as a real process."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jamaint.errors import METHOD_NOT_FOUND, JamaintError
from jamaint.protocol import control

SOURCES = Path(__file__).parents[3] / "src"
SECONDS = 20

Answer = Any
"""A result, a Problem to refuse with, bytes to send as they are, or a function of the params that gives one of them."""


class FakeDaemon:
    """Answers by method from `answers`; what was asked stands in `asked`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answers: dict[str, Answer] = {}
        self.events: list[Any] = []
        """Pushed once the reply to `event.subscribe` is out; a function among them is called."""
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        self._connections: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def push(self, event: dict[str, Any]) -> None:
        """One more event to every connection."""
        for connection in self._connections:
            connection.sendall(control.event(event))

    def params(self, method: str) -> dict[str, Any]:
        """Those of the newest call of that method."""
        return next(params for name, params in reversed(self.asked) if name == method)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(SECONDS)
            assert not thread.is_alive()
        for connection in self._connections:
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        lines = control.Lines()
        with contextlib.suppress(OSError):
            while chunk := connection.recv(65536):
                for line in lines.feed(chunk):
                    self._answer(connection, control.parse_request(line))

    def _answer(self, connection: socket.socket, request: control.Request) -> None:
        self.asked.append((request.method, request.params))
        answer = self.answers.get(request.method, JamaintError(METHOD_NOT_FOUND, f"no such method: {request.method}"))
        if callable(answer):
            answer = answer(request.params)
        if isinstance(answer, bytes):
            connection.sendall(answer)
            if not answer:
                connection.shutdown(socket.SHUT_RDWR)
        elif isinstance(answer, JamaintError):
            connection.sendall(control.refusal(request.id, answer))
        else:
            connection.sendall(control.reply(request.id, answer))
        if request.method == "event.subscribe":
            for event in self.events:
                if callable(event):
                    event()
                else:
                    connection.sendall(control.event(event))


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    """One that answers nothing yet."""
    fake = FakeDaemon(tmp_path / "jamaintd.sock")
    yield fake
    fake.close()


Ctl = Callable[..., "subprocess.CompletedProcess[str]"]


def environment(**more: str) -> dict[str, str]:
    """The client's, with a clock in Jakarta so that local time and UTC differ."""
    clean = {key: value for key, value in os.environ.items() if key not in {"NO_COLOR", "JAMAINT_SOCKET", "TERM"}}
    return {**clean, "PYTHONPATH": str(SOURCES), "TZ": "Asia/Jakarta", "TERM": "xterm", **more}


@pytest.fixture
def ctl(daemon: FakeDaemon) -> Ctl:
    """Runs `jamaintctl WORDS` against the fake daemon to its end."""

    def run(*words: str, stdin: str | None = None, **more: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "jamaint.ctl", *words],
            env=environment(**{"JAMAINT_SOCKET": str(daemon.path), **more}),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    return run


@pytest.fixture
def ctl_process(daemon: FakeDaemon) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Starts `jamaintctl WORDS`; what has not ended with the test is ended."""
    started: list[subprocess.Popen[str]] = []

    def start(
        *words: str, out: int = subprocess.PIPE, err: int = subprocess.PIPE, **more: str
    ) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "jamaint.ctl", *words]
        env = environment(**{"JAMAINT_SOCKET": str(daemon.path), **more})
        process = subprocess.Popen(command, env=env, stdout=out, stderr=err, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        with process:  # closes its pipes and waits for it
            pass
