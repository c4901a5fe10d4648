"""http: one GET, of which the first line of the answer is read; redirections are not followed, nothing is kept."""

import re
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from jamaint import VERSION
from jamaint.probes.deadline import Deadline, LookError, connect

LINE_LIMIT = 4096
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: |\r|$)")


def look(params: Mapping[str, Any], seconds: float) -> int:
    """The status."""
    deadline, parts = Deadline(seconds), _parts(params["url"])
    host, secure = parts.hostname or "", parts.scheme == "https"
    place = parts.netloc.rpartition("@")[2]
    request = _request(place, parts.path or "/", parts.query, params.get("headers") or {})
    connection = connect(host, parts.port or (443 if secure else 80), deadline)
    try:
        if secure:
            connection.settimeout(deadline.left())
            connection = ssl.create_default_context().wrap_socket(connection, server_hostname=host)
        connection.settimeout(deadline.left())
        connection.sendall(request)
        said = bytearray()
        while b"\n" not in said and len(said) < LINE_LIMIT:
            connection.settimeout(deadline.left())
            chunk = connection.recv(LINE_LIMIT)
            if not chunk:
                break
            said += chunk
    except ssl.SSLError as error:
        raise LookError(f"no secure connection: {getattr(error, 'verify_message', '') or error.reason}") from None
    finally:
        connection.close()
    return _status(bytes(said))


def _parts(url: str) -> SplitResult:
    """Of an address that was looked up, which nobody has checked; no message repeats it."""
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        fits = False
    if not fits or not url.isascii() or not url.isprintable() or " " in url:
        raise LookError("the secret is no address such as http://localhost:8080/health")
    return parts


def _request(host: str, path: str, query: str, headers: Mapping[str, str]) -> bytes:
    target = path + (f"?{query}" if query else "")
    given = {"Host": host, "User-Agent": f"jamaintd/{VERSION}", "Connection": "close", **headers}
    for name, value in given.items():
        if not value.isascii() or not value.isprintable():  # a line break would begin another header
            raise LookError(f"header {name} would not be text in ASCII of one line")
    head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"GET {target} HTTP/1.1\r\n{head}\r\n".encode("ascii")


def _status(said: bytes) -> int:
    found = _STATUS.match(said)
    if found is None:
        raise LookError("what answers does not speak HTTP" if said else "it hung up without an answer")
    return int(found[1])
