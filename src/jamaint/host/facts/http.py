"""http: one GET, of which the first line of the answer is read; redirections are not followed, nothing is kept."""

import re
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

import trio

from jamaint import VERSION
from jamaint.host.facts.fact import LookError, Outside

LINE_LIMIT = 4096
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: |\r|$)")


async def look(params: Mapping[str, Any], outside: Outside) -> int:
    found = await outside.with_secrets({"url": params["url"], "headers": params.get("headers") or {}})
    parts = _parts(found["url"])
    host = parts.hostname or ""
    secure = parts.scheme == "https"
    stream: trio.abc.Stream = await trio.open_tcp_stream(host, parts.port or (443 if secure else 80))
    try:
        if secure:
            stream = trio.SSLStream(stream, ssl.create_default_context(), server_hostname=host, https_compatible=True)
        await stream.send_all(
            _request(parts.netloc.rpartition("@")[2], parts.path or "/", parts.query, found["headers"])
        )
        return await _status(stream)
    except ssl.SSLError as error:
        raise LookError(f"no secure connection: {getattr(error, 'verify_message', '') or error.reason}") from None
    except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
        raise LookError(f"the connection broke: {error.__cause__ or error}") from None
    finally:
        await trio.aclose_forcefully(stream)


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


async def _status(stream: trio.abc.Stream) -> int:
    said = bytearray()
    while b"\n" not in said and len(said) < LINE_LIMIT:
        chunk = await stream.receive_some(LINE_LIMIT)
        if not chunk:
            break
        said += chunk
    found = _STATUS.match(bytes(said))
    if found is None:
        raise LookError("what answers does not speak HTTP" if said else "it hung up without an answer")
    return int(found[1])
