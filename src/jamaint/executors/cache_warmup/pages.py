"""Pages of a web site, asked for over HTTP: the body is read and thrown away, a sitemap is read for its addresses."""

import gzip
import http.client
import io
import ssl
import time
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit
from xml.etree import ElementTree

CHUNK = 64 << 10
PAGE_BYTES = 64 << 20
"""More of a page is not read: it is in the cache by then, or never will be."""
SITEMAP_BYTES = 64 << 20
"""What sitemaps.org allows, unpacked, and some more."""
SITEMAPS = 1_000
REDIRECTS = 3
AGENT = "jamaint cache.warmup"


class Page(NamedTuple):
    """One answer: `status` is None where there was none, and `why` then says why."""

    url: str
    status: int | None
    milliseconds: float
    size: int
    why: str = ""


class SitemapError(Exception):
    """A sitemap that cannot be read; the message is for a person."""


def fetch(url: str, timeout_seconds: float, checkpoint: Callable[[], None]) -> Page:
    """Asks for a page and reads it through. Redirects are followed on the same host only: nobody is led away."""
    began = time.monotonic()
    status: int | None = None
    size, why = 0, ""
    try:
        for _ in range(REDIRECTS + 1):
            status, body, location = _get(url, timeout_seconds)
            with body:
                for chunk in _chunks(body, PAGE_BYTES):
                    size += len(chunk)
                    checkpoint()
            following = urljoin(url, location) if location else ""
            if not following or urlsplit(following).netloc != urlsplit(url).netloc:
                break
            url = following
    except (OSError, http.client.HTTPException, ValueError) as error:
        status, why = None, str(error) or type(error).__name__
    return Page(url, status, (time.monotonic() - began) * 1000, size, why)


def addresses(sitemap: str, timeout_seconds: float, checkpoint: Callable[[], None]) -> Iterator[str]:
    """The addresses in a sitemap and in those that it names, gzipped or not; only those of its own host.

    Raises SitemapError when one cannot be read.
    """
    host = urlsplit(sitemap).netloc
    waiting, seen = [sitemap], {sitemap}
    while waiting:
        checkpoint()
        for kind, found in _entries(waiting.pop(), timeout_seconds):
            if urlsplit(found).netloc != host or urlsplit(found).scheme not in ("http", "https"):
                continue
            if kind == "url":
                yield found
            elif found not in seen and len(seen) < SITEMAPS:
                seen.add(found)
                waiting.append(found)


def _entries(url: str, timeout_seconds: float) -> Iterator[tuple[str, str]]:
    try:
        status, body, _ = _get(url, timeout_seconds)
        with body:
            data = b"".join(_chunks(body, SITEMAP_BYTES))
        if status != http.client.OK:
            raise SitemapError(f"sitemap {url} answers with {status}")
        if data[:2] == b"\x1f\x8b":
            with gzip.open(io.BytesIO(data)) as unpacked:
                data = unpacked.read(SITEMAP_BYTES)
        if b"<!DOCTYPE" in data:
            raise SitemapError(f"sitemap {url} declares a document type, which no sitemap needs and attacks do")
        root = ElementTree.fromstring(data)  # noqa: S314 - without a document type there are no entities to expand
    except (OSError, EOFError, zlib.error, http.client.HTTPException, ValueError, ElementTree.ParseError) as error:
        raise SitemapError(f"sitemap {url} cannot be read: {error}") from None
    kind = "sitemap" if root.tag.rpartition("}")[2] == "sitemapindex" else "url"
    for entry in root:
        for part in entry:
            if part.tag.rpartition("}")[2] == "loc" and part.text:
                yield kind, part.text.strip()


class _Body:
    """The body of an answer; closing it closes the connection."""

    def __init__(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> None:
        self._connection, self._response = connection, response

    def read(self, size: int) -> bytes:
        return self._response.read(size)

    def __enter__(self) -> "_Body":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def _get(url: str, timeout_seconds: float) -> tuple[int, _Body, str | None]:
    parts = urlsplit(url)
    if parts.scheme == "https":
        context = ssl.create_default_context()
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            parts.netloc, timeout=timeout_seconds, context=context
        )
    else:
        connection = http.client.HTTPConnection(parts.netloc, timeout=timeout_seconds)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", target, headers={"User-Agent": AGENT, "Accept-Encoding": "gzip"})
        response = connection.getresponse()
    except BaseException:
        connection.close()
        raise
    redirected = 300 <= response.status < 400
    return response.status, _Body(connection, response), response.getheader("Location") if redirected else None


def _chunks(body: _Body, limit: int) -> Iterator[bytes]:
    left = limit
    while left > 0 and (chunk := body.read(min(CHUNK, left))):
        left -= len(chunk)
        yield chunk
