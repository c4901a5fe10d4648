"""http: one GET, of which the first line of the answer is read; redirections are not followed, nothing is kept."""

import re
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import trio

from jamaint import VERSION
from jamaint.host.facts.fact import LookError, Outside

LINE_LIMIT = 4096
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: |\r|$)")


async def look(params: Mapping[str, Any], _outside: Outside) -> int:
    parts = urlsplit(params["url"])
    host = parts.hostname or ""
    secure = parts.scheme == "https"
    stream: trio.abc.Stream = await trio.open_tcp_stream(host, parts.port or (443 if secure else 80))
    try:
        if secure:
            stream = trio.SSLStream(stream, ssl.create_default_context(), server_hostname=host, https_compatible=True)
        await stream.send_all(_request(parts.netloc.rpartition("@")[2], parts.path or "/", parts.query))
        return await _status(stream)
    except ssl.SSLError as error:
        raise LookError(f"no secure connection: {getattr(error, 'verify_message', '') or error.reason}") from None
    except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
        raise LookError(f"the connection broke: {error.__cause__ or error}") from None
    finally:
        await trio.aclose_forcefully(stream)


def _request(host: str, path: str, query: str) -> bytes:
    target = path + (f"?{query}" if query else "")
    head = f"GET {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: jamaintd/{VERSION}\r\nConnection: close\r\n\r\n"
    return head.encode("ascii")


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
