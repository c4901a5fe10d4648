"""What systemd does for workers that are units: it takes each connection, and starts a worker with it as its stdin."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jamaint.worker_client import child_process

KINDS = ("files", "databases", "commands", "commands-nobody", "files-nobody", "packages")

# argv: the directory, jamaint's own, kinds. The code of a worker is what the test has put into a file just then.
SYSTEMD = """
import selectors, socket, subprocess, sys
directory, home, *kinds = sys.argv[1:]
sockets = selectors.DefaultSelector()
for kind in kinds:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{directory}/{kind}.sock")
    listener.listen(64)
    sockets.register(listener, selectors.EVENT_READ)
print("ready", flush=True)
started = []
sockets.register(sys.stdin, selectors.EVENT_READ)
while True:
    for key, _ in sockets.select():
        if key.fileobj is sys.stdin:
            for one in started: one.wait()
            sys.exit()
        channel, _ = key.fileobj.accept()
        code = open(f"{directory}/boot").read()
        started.append(subprocess.Popen(
            [sys.executable, "-I", "-c", code, home, "jamaint-worker"],
            stdin=channel, stdout=channel, env={"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"}, start_new_session=True,
        ))
        channel.close()
"""

UNIT = """
import sys; sys.path.insert(0, sys.argv[1]); import jamaint; del sys.path[0]
from jamaint.worker import main as worker
supervise = worker.supervise
worker.supervise = lambda channel, _: supervise(channel, lambda: exec({code!r}, {{"__name__": "boot"}}))
worker.serve_unit()
"""


class Boot:
    """A file with the code that the next worker runs, kept up with what a test has put in its place."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self) -> None:
        new = self._path.with_suffix(".new")  # another worker may be about to read the one that is there
        new.write_text(UNIT.format(code=child_process._BOOT))
        new.replace(self._path)


@contextmanager
def units() -> Iterator[str]:
    """The directory with the sockets; in the end all workers have ended."""
    from jamaint.worker_client import systemd_unit

    with tempfile.TemporaryDirectory() as directory:
        boot = Boot(Path(directory, "boot"))
        systemd = subprocess.Popen(
            [sys.executable, "-I", "-c", SYSTEMD, directory, child_process._HOME, *KINDS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert systemd.stdout is not None
        assert systemd.stdin is not None
        assert systemd.stdout.readline() == "ready\n"
        connect = systemd_unit.connect

        async def connect_with_boot(*arguments: object) -> object:
            boot.write()
            return await connect(*arguments)  # type: ignore[arg-type]

        systemd_unit.connect = connect_with_boot  # type: ignore[assignment]
        try:
            yield directory
        finally:
            systemd_unit.connect = connect
            systemd.stdin.close()
            assert systemd.wait(30) == 0
            systemd.stdout.close()
