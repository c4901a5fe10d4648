"""`jamaintctl status` as a whole process, from its start to its end, beside other control clients."""

import contextlib
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from measure import quantile
from peerdaemons import fail2ban, supervisord
from places import scratch
from product import daemon, installed
from topic import Figures, Topic

RUNS = 20
WARM = 3
SAMPLE = {
    "windows": {"nightly": {"schedule": {"cron": "0 2 * * *"}, "duration": 120}},
    "tasks": {
        "reindex": {"type": "custom", "category": "system", "executor": "noop", "schedule": {"window": "nightly"}},
        "report": {"type": "custom", "category": "system", "executor": "noop", "schedule": {"cron": "@daily"}},
    },
}


def bare_python() -> Figures:
    """The interpreter that jamaintctl runs on, with nothing to do."""
    return _timed([str(installed() / "python"), "-I", "-c", "pass"])


def jamaintctl() -> Figures:
    """The real script, an idle daemon with two tasks."""
    with scratch() as directory, daemon(directory, **SAMPLE) as running:
        return _timed([str(installed() / "jamaintctl"), "--socket", str(running.path), "status"])


def supervisorctl() -> Figures:
    """supervisor's client, one program under its daemon."""
    return _with(supervisord())


def fail2ban_client() -> Figures:
    """fail2ban's client, one jail."""
    return _with(fail2ban())


def _with(running: contextlib.AbstractContextManager[tuple[int, list[str], Mapping[str, str]]]) -> Figures:
    with running as (_, status, environment):
        return _timed(status, environment)


def _timed(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Figures:
    lasted = list(_runs(command, environment))[WARM:]
    return {"p50 ms": quantile(lasted, 0.5), "least ms": min(lasted), "p95 ms": quantile(lasted, 0.95)}


def _runs(command: Sequence[str], environment: Mapping[str, str] | None) -> Iterator[float]:
    for _ in range(WARM + RUNS):
        began = time.perf_counter()
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, env=environment, cwd=Path("/"), check=False
        )
        yield 1000 * (time.perf_counter() - began)
        if done.returncode:
            raise RuntimeError(f"{command[0]} exited with {done.returncode}: {done.stderr[-300:]!r}")


TOPIC = Topic(
    "a control client's whole process, warm",
    ("p50 ms", "least ms", "p95 ms"),
    {
        "python3 -I -c pass": bare_python,
        "jamaintctl status": jamaintctl,
        "supervisorctl status": supervisorctl,
        "fail2ban-client status": fail2ban_client,
    },
)
