"""cache.warmup with a real web server: every page once, no more at a time than asked, and no longer than allowed."""

import gzip
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from jamaint.core.plans import MassDeletion
from jamaint.executors.cache_warmup.executor import CacheWarmup
from jamaint.executors.shared.executor import StepError, StopRequestedError, Work

XML = '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{}</urlset>'
INDEX = '<sitemapindex xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{}</sitemapindex>'


class Site:
    """What the server has, what it was asked for, and how many requests it had at the same time."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[int, bytes, dict[str, str]]] = {}
        self.asked: list[str] = []
        self.at_once = self.most_at_once = 0
        self.gate: threading.Barrier | None = None
        self.address = ""
        self._lock = threading.Lock()

    def answer(self, path: str) -> tuple[int, bytes, dict[str, str]]:
        with self._lock:
            self.asked.append(path)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.gate is not None and path.startswith("/page"):
                self.gate.wait(60)
            return self.pages.get(path, (404, b"", {}))
        finally:
            with self._lock:
                self.at_once -= 1


@pytest.fixture
def site() -> Iterator[Site]:
    found = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body, headers = found.answer(self.path)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    found.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Listener:
    def __init__(self) -> None:
        self.said: list[str] = []
        self.stops: Callable[[], bool] = lambda: False

    def progress(self, done: int, total: int | None, unit: str) -> None:
        assert total is not None
        assert done <= total

    def log(self, level: str, message: str) -> None:
        self.said.append(message)

    def checkpoint(self) -> None:
        if self.stops():
            raise StopRequestedError


@pytest.fixture
def host() -> Listener:
    return Listener()


@pytest.fixture
def warmup(host: Listener) -> Callable[..., CacheWarmup]:
    def make(**config: Any) -> CacheWarmup:
        usual = {"urls": [], "sitemap": None, "concurrency": 4, "rate": None, "time_budget_seconds": None}
        work = Work(
            execution="an-execution",
            task_name="warm",
            config={**usual, "timeout_seconds": 60.0, **config},
            keeps_way_back=True,
            mass_deletion=MassDeletion(),
            timeout_seconds=None,
            now=datetime(2026, 11, 25, 2, tzinfo=UTC),
            low_space=0.0,
        )
        return CacheWarmup(work, host)

    return make


def locs(*urls: str, tag: str = "url") -> str:
    return "".join(f"<{tag}><loc> {url} </loc></{tag}>" for url in urls)


def run(executor: CacheWarmup) -> dict[str, Any]:
    (step,) = executor.plan().steps
    return executor.run(step)


def test_every_page_once_and_no_more_at_a_time_than_asked(site, warmup) -> None:
    for number in range(20):
        site.pages[f"/page{number}"] = (200, b"x" * 1000, {})
    urls = [f"{site.address}/page{number}" for number in range(20)]
    details = run(warmup(urls=[*urls, urls[0]], concurrency=3))
    assert sorted(site.asked) == sorted(f"/page{number}" for number in range(20))
    assert (details["files"], details["bytes"], details["left_out"]) == (20, 20_000, 0)
    assert site.most_at_once <= 3


def test_as_many_at_a_time_as_asked(site, warmup) -> None:
    """All four are asked for before any is answered, or the gate would never open."""
    site.gate = threading.Barrier(4)
    urls = [f"{site.address}/page{number}" for number in range(4)]
    site.pages = {f"/page{number}": (200, b"", {}) for number in range(4)}
    assert run(warmup(urls=urls, concurrency=4))["files"] == 4


def test_pages_of_a_sitemap_and_of_those_that_it_names(site, warmup) -> None:
    there = site.address
    site.pages["/sitemap.xml"] = (
        200,
        INDEX.format(locs(f"{there}/a.xml", f"{there}/b.xml.gz", tag="sitemap")).encode(),
        {},
    )
    elsewhere = "http://elsewhere.example/page"
    site.pages["/a.xml"] = (200, XML.format(locs(f"{there}/page1", elsewhere, "file:///etc/passwd")).encode(), {})
    site.pages["/b.xml.gz"] = (200, gzip.compress(XML.format(locs(f"{there}/page2")).encode()), {})
    site.pages["/page1"] = site.pages["/page2"] = (200, b"", {})
    executor = warmup(sitemap=f"{there}/sitemap.xml")
    assert executor.plan().steps[0].items == 2
    assert run(executor)["files"] == 2


def test_the_plan_asks_for_no_page(site, warmup) -> None:
    site.pages["/page1"] = (200, b"", {})
    (step,) = warmup(urls=[f"{site.address}/page1"]).plan().steps
    assert (step.items, step.undo, site.asked) == (1, None, [])


def test_what_is_missing_or_fails_is_told(site, warmup, host) -> None:
    site.pages = {"/page1": (200, b"", {}), "/page2": (503, b"", {})}
    details = run(warmup(urls=[f"{site.address}/page{number}" for number in range(1, 4)]))
    assert (details["files"], details["failed"], details["missing"]) == (1, 1, 1)
    assert f"{site.address}/page2: 503" in host.said


def test_it_fails_when_no_page_could_be_had(warmup) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(StepError, match=r"none of 1 pages could be fetched: .*refused"):
        run(warmup(urls=[f"http://127.0.0.1:{port}/"]))


def test_a_redirect_is_followed_on_the_same_host_only(site, warmup) -> None:
    site.pages = {
        "/page1": (302, b"", {"Location": "/page2"}),
        "/page2": (200, b"there", {}),
        "/page3": (302, b"", {"Location": "http://169.254.169.254/secrets"}),
    }
    details = run(warmup(urls=[f"{site.address}/page1", f"{site.address}/page3"]))
    assert (details["files"], details["failed"], details["bytes"]) == (2, 0, 5)


def test_when_the_time_is_up_the_rest_is_left_out_and_told(site, warmup, host) -> None:
    details = run(warmup(urls=[f"{site.address}/page{number}" for number in range(5)], time_budget_seconds=1e-9))
    assert details["left_out"] == 5
    assert "time limit reached: 5 pages were not requested" in host.said


def test_it_stops_when_it_is_told_to(site, warmup, host) -> None:
    site.pages = {f"/page{number}": (200, b"", {}) for number in range(50)}
    executor = warmup(urls=[f"{site.address}/page{number}" for number in range(50)], concurrency=1)
    (step,) = executor.plan().steps
    host.stops = lambda: len(site.asked) >= 3
    with pytest.raises(StopRequestedError) as stopped:
        executor.run(step)
    details = stopped.value.args[0]
    assert details["files"] + details["left_out"] == 50
    assert 3 <= details["files"] < 50


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"<urlset>", "cannot be read"),
        (b'<!DOCTYPE x [<!ENTITY a "aaaa">]><urlset>&a;</urlset>', "declares a document type"),
        (b"\x1f\x8b broken", "cannot be read"),
    ],
)
def test_a_sitemap_that_cannot_be_read_is_refused(site, warmup, body: bytes, why: str) -> None:
    site.pages["/sitemap.xml"] = (200, body, {})
    with pytest.raises(StepError, match=why):
        warmup(sitemap=f"{site.address}/sitemap.xml").plan()


def test_a_sitemap_that_is_not_there(site, warmup) -> None:
    with pytest.raises(StepError, match=r"sitemap.xml answers with 404"):
        warmup(sitemap=f"{site.address}/sitemap.xml").plan()
