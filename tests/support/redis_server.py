"""A real Redis (or Valkey) server for a test, on a socket of its own, gone afterwards."""

import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator

import pytest
import redis

PROGRAM = shutil.which("redis-server") or shutil.which("valkey-server")
needs_redis = pytest.mark.skipif(PROGRAM is None, reason="neither redis-server nor valkey-server is installed")
START_SECONDS = 30


@contextlib.contextmanager
def serving(*settings: str) -> Iterator[str]:
    """The address of a server with these settings (`--maxmemory 10mb`)."""
    assert PROGRAM is not None
    with tempfile.TemporaryDirectory(prefix="ja-", dir="/tmp") as directory:
        path = f"{directory}/redis.sock"
        fixed = ["--port", "0", "--unixsocket", path, "--save", "", "--dir", directory, "--logfile", f"{directory}/log"]
        process = subprocess.Popen([PROGRAM, *fixed, *settings])
        try:
            _until_it_answers(path, process)
            yield f"unix://{path}"
        finally:
            process.terminate()
            process.wait()


def _until_it_answers(path: str, process: "subprocess.Popen[bytes]") -> None:
    ends = time.monotonic() + START_SECONDS
    while time.monotonic() < ends and process.poll() is None:
        try:
            with redis.Redis(unix_socket_path=path) as client:
                client.ping()
            return
        except redis.AuthenticationError:
            return
        except redis.ConnectionError:
            continue
    raise RuntimeError("the server for the tests did not start")
