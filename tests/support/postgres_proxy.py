"""A proxy before a PostgreSQL that cuts a connection when a write is committed and before its answer: for tests.

It reads the protocol as far as it must: which statement a client executes (Parse, Bind, Execute), and when the server
has committed it (ReadyForQuery, idle). https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

import contextlib
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlsplit

import postgres_server

_WRITES = re.compile(r"\s*(?:--[^\n]*\n\s*)*(?:WITH\b.*?\b)?(INSERT|UPDATE|DELETE)\b", re.DOTALL)


class Proxy:
    """Listens at `dsn`. Armed with a number, it loses the answer of that write from now on (the first is 1)."""

    def __init__(self, target: str, directory: str) -> None:
        parts, query = urlsplit(target), parse_qs(urlsplit(target).query)
        self._server = os.path.join(query["host"][0], f".s.PGSQL.{query.get('port', ['5432'])[0]}")
        self.dsn = f"{parts.scheme}://{parts.netloc.rpartition('@')[0]}@{parts.path}?host={directory}&port=5432"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(os.path.join(directory, ".s.PGSQL.5432"))
        os.chmod(os.path.join(directory, ".s.PGSQL.5432"), 0o777)
        self._listener.listen()
        self._sessions: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._left = 0
        self._about = ""
        self.writes: list[str] = []
        """The statements that wrote something, since it was armed or asked to forget."""
        self.lost: str | None = None
        """The one whose answer was lost."""

    def arm(self, number: int, about: str = "") -> None:
        """Lose the answer of write number `number` from now on, of those whose text has `about` in it; 0: of none."""
        with self._lock:
            self._left, self._about, self.writes, self.lost = number, about, [], None

    def serve(self) -> None:
        """Accept connections until the listener is closed."""
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._server)
                session = threading.Thread(target=_Session(self, client, server).run)
                session.start()
                self._sessions.append(session)

    def close(self) -> None:
        """Take no more connections, and return when those that there are have ended: the daemon has ended before."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for session in self._sessions:
            session.join()

    def cuts(self, sql: str) -> bool:
        """Note a committed write; True if its answer is to be lost."""
        with self._lock:
            self.writes.append(sql)
            if self._left == 0 or self._about not in sql:
                return False
            self._left -= 1
            if self._left == 0:
                self.lost = sql
            return self._left == 0


class _Session:
    """One connection: two threads, each of which passes on what one side says."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._statements: dict[bytes, str] = {}
        self._bound = ""
        self._written: list[str] = []

    def run(self) -> None:
        """Pass on both ways until either side hangs up."""
        backward = threading.Thread(target=self._until_closed, args=(self._from_server,))
        backward.start()
        self._until_closed(self._from_client)
        backward.join()
        self._client.close()
        self._server.close()

    def _until_closed(self, pass_on: Callable[[], None]) -> None:
        with contextlib.suppress(OSError, EOFError):
            pass_on()
        for side in (self._client, self._server):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)

    def _from_client(self) -> None:
        size = _exactly(self._client, 4)
        self._server.sendall(size + _exactly(self._client, int.from_bytes(size, "big") - 4))  # the startup message
        while True:
            kind, body, raw = _message(self._client)
            if kind == b"P":
                name, sql, _ = body.split(b"\0", 2)
                self._statements[name] = sql.decode()
            elif kind == b"B":
                self._bound = self._statements.get(body.split(b"\0", 2)[1], "")
            elif kind == b"E" and _WRITES.match(self._bound):
                self._written.append(self._bound)
            self._server.sendall(raw)

    def _from_server(self) -> None:
        while True:
            kind, body, raw = _message(self._server)
            if kind == b"Z" and body == b"I" and self._written:
                written, self._written = self._written, []
                cuts = [self._proxy.cuts(sql) for sql in dict.fromkeys(written)]  # each of them is noted
                if any(cuts):
                    raise EOFError
            self._client.sendall(raw)


@contextlib.contextmanager
def proxying(target: str) -> Iterator[Proxy]:
    """A proxy before the server of `target` while the block lasts."""
    with postgres_server.short_directory() as directory:
        proxy = Proxy(target, directory)
        thread = threading.Thread(target=proxy.serve)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.close()
            thread.join()


def _message(side: socket.socket) -> tuple[bytes, bytes, bytes]:
    head = _exactly(side, 5)
    body = _exactly(side, int.from_bytes(head[1:], "big") - 4)
    return head[:1], body, head + body


def _exactly(side: socket.socket, size: int) -> bytes:
    found = bytearray()
    while len(found) < size:
        chunk = side.recv(size - len(found))
        if not chunk:
            raise EOFError
        found += chunk
    return bytes(found)
