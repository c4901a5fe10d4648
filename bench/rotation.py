"""Rotating and compressing logs: ours beside logrotate and the compressors alone, each on the same files anew."""

import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from places import at_the_end, scratch
from product import Daemon, daemon
from topic import AbsentError, Figures, Topic

COUNT = int(os.environ.get("COUNT", "4"))
MEGABYTES = int(os.environ.get("MEGABYTES", "30"))
PATHS = ("/", "/login", "/api/v1/items", "/api/v1/users", "/static/app.js", "/health", "/search")
AGENTS = ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36", "curl/7.88.1", "python-requests/2.31")
ENDINGS = (".gz", ".zst", ".xz")


def logrotate() -> Figures:
    """The reference: as it comes, with gzip."""

    def act(logs: Path) -> None:
        config = logs.parent / "logrotate.conf"
        config.write_text(f"{logs}/*.log {{\n rotate 3\n compress\n create\n su root root\n}}\n")
        _call("logrotate", "-f", "-s", str(logs.parent / "logrotate.state"), str(config))

    return _measured(act)


def compressor(*command: str) -> Callable[[], Figures]:
    """A program that compresses and removes what it is given, file by file."""

    def act(logs: Path) -> None:
        for log in sorted(logs.glob("*.log")):
            _call(*command, str(log))

    return lambda: _measured(act)


def ours(algorithm: str) -> Callable[[], Figures]:
    """A task of the daemon, from the request until it is done and written down; what it takes can be put back."""

    def act(_logs: Path) -> None:
        with _daemon().caller() as caller:
            execution = caller.call("execution.start", task=algorithm)["execution_id"]
            ended = caller.call("execution.wait", execution=execution)
        if ended["status"] != "completed":
            raise RuntimeError(f"{ended['status']}: {ended['error']}")

    def run() -> Figures:
        _daemon()
        return _measured(act)

    return run


def _measured(act: Callable[[Path], None]) -> Figures:
    with _logs() as logs:
        began = time.monotonic()
        act(logs)
        seconds = time.monotonic() - began
        packed = [path for path in logs.iterdir() if path.suffix in ENDINGS]
        if len(packed) != COUNT:
            raise RuntimeError(f"{len(packed)} of {COUNT} are compressed")
        size = sum(path.stat().st_size for path in packed)
    return {"MB/s": COUNT * MEGABYTES / seconds, "s": seconds, "times smaller": COUNT * MEGABYTES * 10**6 / size}


def _call(*command: str) -> None:
    if shutil.which(command[0]) is None:
        raise AbsentError(f"apt-get install {command[0]}")
    subprocess.run(command, check=True)


@contextmanager
def _logs() -> Iterator[Path]:
    """The directory that all of them work in, with copies of the same logs."""
    logs = _base() / "logs"
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(mode=0o755)
    for log in _originals().iterdir():
        shutil.copy(log, logs)
    os.sync()
    yield logs
    shutil.rmtree(logs)


@cache
def _base() -> Path:
    return at_the_end.enter_context(scratch())


@cache
def _daemon() -> Daemon:
    tasks = {
        algorithm: {
            "executor": "logs.rotate",
            "config": {
                "log_paths": [f"{_base()}/logs/*.log"],
                "keep": 3,
                "compress": {"algorithm": algorithm, "delay": False},
            },
        }
        for algorithm in ("gzip", "zstd", "xz")
    }
    return at_the_end.enter_context(daemon(at_the_end.enter_context(scratch()), tasks=tasks))


@cache
def _originals() -> Path:
    """Lines of web servers and applications, seeded, no two files alike."""
    directory = _base() / "originals"
    directory.mkdir()
    for number in range(COUNT):
        dice = random.Random(number)
        addresses = [".".join(str(dice.randrange(1, 255)) for _ in range(4)) for _ in range(3000)]
        moment, left = 1_700_000_000.0 + number * 86400, MEGABYTES * 10**6
        with (directory / f"app{number:02}.log").open("w") as log:
            while left > 0:
                moment += dice.random() / 5
                stamp = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(moment))
                if dice.random() < 0.8:
                    line = (
                        f'{dice.choice(addresses)} - - [{stamp}] "GET {dice.choice(PATHS)}?id={dice.randrange(10**6)} '
                        f'HTTP/1.1" {dice.choice((200, 200, 200, 304, 404, 500))} {dice.randrange(200, 90000)} "-" '
                        f'"{dice.choice(AGENTS)}"\n'
                    )
                else:
                    line = (
                        f"[{stamp}] worker[{dice.randrange(100, 4000)}]: INFO request {dice.getrandbits(64):016x} "
                        f"handled in {dice.random() * 100:.3f} ms, queue={dice.randrange(40)}\n"
                    )
                left -= log.write(line[:left])
    return directory


TOPIC = Topic(
    says=f"rotating and compressing {COUNT} logs of {MEGABYTES} MB; only ours reads back, syncs and can undo",
    figures=("MB/s", "s", "times smaller"),
    peers={
        "logrotate with gzip": logrotate,
        "gzip": compressor("gzip", "-6"),
        "pigz": compressor("pigz", "-6"),
        "zstd": compressor("zstd", "-q", "-3", "-T0", "--rm"),
        "jamaint gzip": ours("gzip"),
        "jamaint zstd": ours("zstd"),
    },
)
