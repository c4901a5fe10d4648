"""memcached: its statistics, by its text protocol. Nothing is removed: it evicts by itself, and tells no idle times."""

import socket
from typing import Any

SECONDS = 10.0
ANSWER_BYTES = 1 << 20


class MemcachedError(Exception):
    """No statistics could be had; the message is for a person."""


def statistics(address: str) -> dict[str, Any]:
    """The figures of the server at HOST:PORT or at the path of a socket; sizes in bytes. Raises MemcachedError."""
    try:
        with _connected(address) as connection:
            connection.sendall(b"stats\r\n")
            lines = _answer(connection).decode("ascii", "replace").splitlines()
    except (OSError, ValueError) as error:
        raise MemcachedError(f"memcached at {address} cannot be queried: {error}") from None
    found = dict(line.split(" ", 2)[1:] for line in lines if line.startswith("STAT ") and line.count(" ") >= 2)
    if "limit_maxbytes" not in found:
        raise MemcachedError(f"memcached at {address} gave an unexpected answer: {lines[:1]}")
    hits, misses = int(found.get("get_hits", 0)), int(found.get("get_misses", 0))
    used, maximum = int(found.get("bytes", 0)), int(found["limit_maxbytes"])
    return {
        "version": found.get("version", ""),
        "keys": int(found.get("curr_items", 0)),
        "used_memory": used,
        "max_memory": maximum,
        "share": used / maximum if maximum else None,
        "hits": hits,
        "misses": misses,
        "hit_share": round(hits / (hits + misses), 4) if hits + misses else None,
        "evicted_keys": int(found.get("evictions", 0)),
        "expired_unfetched": int(found.get("expired_unfetched", 0)),
    }


def _connected(address: str) -> socket.socket:
    if address.startswith("/"):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(SECONDS)
        try:
            connection.connect(address)
        except OSError:
            connection.close()
            raise
        return connection
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout=SECONDS)


def _answer(connection: socket.socket) -> bytes:
    data = bytearray()
    while not data.endswith(b"END\r\n"):
        chunk = connection.recv(65536)
        if not chunk or len(data) > ANSWER_BYTES:
            break
        data += chunk
    return bytes(data)
