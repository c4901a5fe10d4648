"""A mount whose server has stopped: what asks it is kept waiting until the server goes on."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

BEGIN_SECONDS = 20.0


@contextmanager
def dead_mount(source: Path, place: Path) -> Iterator[Path]:
    """Mount `source` at `place` by FUSE, with its server stopped for the block; skips the test where that cannot be."""
    if os.geteuid() != 0 or shutil.which("bindfs") is None or not os.path.exists("/dev/fuse"):
        pytest.skip("needs root, bindfs and /dev/fuse")
    server = subprocess.Popen(["bindfs", "-f", "-o", "attr_timeout=0,entry_timeout=0", str(source), str(place)])
    try:
        deadline = time.monotonic() + BEGIN_SECONDS
        while not os.path.ismount(place):
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.skip("bindfs cannot mount here")
            time.sleep(0.01)
        server.send_signal(signal.SIGSTOP)
        yield place
    finally:
        server.send_signal(signal.SIGCONT)
        subprocess.run(["umount", "--lazy", str(place)], check=False, capture_output=True)
        server.terminate()
        server.wait(BEGIN_SECONDS)
