"""Servers that tell whoever asks the password that he has just said: what no message of ours may repeat."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator

TLS_ASKED = 80877103
Serve = Callable[[socket.socket], None]


@contextlib.contextmanager
def listening(serve: Serve) -> Iterator[int]:
    """The port of a server that serves each connection in a thread of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_accept, args=(listener, serve), daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)


def postgres(held: threading.Event | None = None, come: threading.Event | None = None) -> Serve:
    """Asks for the password in clear and refuses it with its own words; with `held`, not before that is set."""

    def serve(connection: socket.socket) -> None:
        _startup(connection)
        connection.sendall(b"R" + struct.pack("!II", 8, 3))
        _, said = _message(connection)
        if come is not None:
            come.set()
        if held is not None:
            held.wait(60)
        text = f'password "{said.rstrip(bytes(1)).decode()}" is wrong'
        fields = b"".join(code + value.encode() + b"\0" for code, value in _error(text)) + b"\0"
        connection.sendall(b"E" + struct.pack("!I", len(fields) + 4) + fields)

    return serve


def redis(connection: socket.socket) -> None:
    """Refuses every command with its own words."""
    while said := connection.recv(65536):
        words = b" ".join(word for word in said.split(b"\r\n") if word[:1] not in (b"*", b"$"))
        connection.sendall(b"-WRONGPASS what is " + words + b"\r\n")


def http(connection: socket.socket) -> None:
    """Answers with what it was asked."""
    asked = connection.recv(65536)
    connection.sendall(b" ".join(asked.splitlines()) + b"\r\n")


def _error(text: str) -> list[tuple[bytes, str]]:
    return [(b"S", "FATAL"), (b"V", "FATAL"), (b"C", "28P01"), (b"M", text), (b"D", text), (b"H", text)]


def _startup(connection: socket.socket) -> None:
    while True:
        (length,) = struct.unpack("!I", _exactly(connection, 4))
        body = _exactly(connection, length - 4)
        if struct.unpack("!I", body[:4])[0] != TLS_ASKED:
            return
        connection.sendall(b"N")


def _message(connection: socket.socket) -> tuple[bytes, bytes]:
    kind = _exactly(connection, 1)
    (length,) = struct.unpack("!I", _exactly(connection, 4))
    return kind, _exactly(connection, length - 4)


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        chunk = connection.recv(count - len(data))
        if not chunk:
            raise ConnectionError("hung up")
        data += chunk
    return data


def _accept(listener: socket.socket, serve: Serve) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_serve, args=(connection, serve), daemon=True).start()


def _serve(connection: socket.socket, serve: Serve) -> None:
    with connection, contextlib.suppress(OSError):
        serve(connection)
