"""memcached's statistics, from a real server and from what is none."""

import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jamaint.caches.memcached import MemcachedError, statistics

PROGRAM = shutil.which("memcached")
START_SECONDS = 30


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    if PROGRAM is None:
        pytest.skip("memcached is not installed")
    with tempfile.TemporaryDirectory(prefix="ja-", dir="/tmp") as directory:
        Path(directory).chmod(0o777)
        path = f"{directory}/socket"
        process = subprocess.Popen([PROGRAM, "-s", path, "-m", "16", "-u", "nobody"])
        try:
            ends = time.monotonic() + START_SECONDS
            while not Path(path).exists():
                assert process.poll() is None
                assert time.monotonic() < ends
            yield path
        finally:
            process.terminate()
            process.wait()


def said(address: str, *lines: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        for line in lines:
            connection.sendall(line)
            assert connection.recv(4096)


def test_what_it_holds_and_how_often_it_was_right(address: str) -> None:
    said(address, b"set a 0 0 5\r\nvalue\r\n", b"get a\r\n", b"get nothing\r\n")
    found = statistics(address)
    assert (found["keys"], found["hits"], found["misses"], found["hit_share"]) == (1, 1, 1, 0.5)
    assert found["max_memory"] == 16 << 20
    assert 0 < found["used_memory"] < found["max_memory"]
    assert found["share"] == found["used_memory"] / found["max_memory"]


def test_nobody_is_there() -> None:
    with pytest.raises(MemcachedError, match="memcached at /nonexistent/socket cannot be queried"):
        statistics("/nonexistent/socket")


def test_somebody_else_is_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            with pytest.raises(MemcachedError, match="gave an unexpected answer"):
                statistics(f"127.0.0.1:{server.getsockname()[1]}")
        finally:
            thread.join()
