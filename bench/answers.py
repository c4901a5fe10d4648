"""How soon `status` is answered while a cleanup of many files runs, and while that is rolled back."""

import contextlib
import os
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from threading import Event, Thread
from typing import Any

from measure import quantile
from places import at_the_end, scratch
from product import Daemon, daemon
from topic import Figures, Topic

FILES = int(os.environ.get("FILES", "200000"))
DIRECTORIES = 100
OLD_SECONDS = 90 * 86400
EVERY_SECONDS = 0.02
IDLE_SECONDS = 10.0


def idle() -> Figures:
    """Nothing runs."""
    with _daemon() as running, _asking(running) as lasted:
        time.sleep(IDLE_SECONDS)
    return _figures(lasted)


def cleanup() -> Figures:
    """All files go to the trash; afterwards they are put back, so that the next round finds them again."""
    with _daemon() as running, running.caller() as caller:
        with _asking(running) as lasted:
            began = time.monotonic()
            execution = caller.call("execution.start", task="logs")["execution_id"]
            ended = caller.call("execution.wait", execution=execution)
            seconds = time.monotonic() - began
        _check(ended)
        with _asking(running) as while_back:
            result = caller.call("execution.rollback", execution=execution, wait=True)
        if result["kept"] or result["problems"]:
            raise RuntimeError(f"not all came back: {result['problems'][:3]}")
    return {
        **_figures(lasted),
        "cleanup s": seconds,
        "rollback: p99 ms": quantile(while_back, 0.99),
        "rollback: worst ms": max(while_back),
    }


@cache
def _tree() -> Path:
    """The old logs, made once."""
    root = at_the_end.enter_context(scratch()) / "logs"
    old = time.time_ns() - OLD_SECONDS * 10**9
    for number in range(DIRECTORIES):
        directory = root / f"{number:03}"
        directory.mkdir(parents=True)
        for name in range(FILES // DIRECTORIES):
            path = f"{directory}/app-{name:05}.log"
            with open(path, "wb") as file:
                file.write(b"a line of long ago\n")
            os.utime(path, ns=(old, old))
    os.sync()
    return root


@contextlib.contextmanager
def _daemon() -> Iterator[Daemon]:
    work: dict[str, Any] = {
        "type": "cleanup",
        "category": "logs",
        "config": {"log_paths": [f"{_tree()}/**/*.log"], "retention_days": 30},
        "mass_deletion": {"share": "100%", "items": FILES},
    }
    with scratch() as directory, daemon(directory, tasks={"logs": work}) as running:
        yield running


@contextlib.contextmanager
def _asking(running: Daemon) -> Iterator[list[float]]:
    """Calls `status` at a steady rate meanwhile, on one connection; milliseconds from when a call was due."""
    lasted: list[float] = []
    enough = Event()

    def ask() -> None:
        with running.caller() as caller:
            due = time.perf_counter()
            while not enough.is_set():
                caller.call("status")
                now = time.perf_counter()
                lasted.append(1000 * (now - due))
                due += EVERY_SECONDS
                if now < due:
                    time.sleep(due - now)
                    due = time.perf_counter()  # how late we are woken is not the daemon's doing

    asker = Thread(target=ask)
    asker.start()
    try:
        yield lasted
    finally:
        enough.set()
        asker.join()


def _check(ended: dict[str, Any]) -> None:
    if ended["status"] != "completed" or ended["metrics"].get("processed_items") != FILES // DIRECTORIES * DIRECTORIES:
        raise RuntimeError(f"the cleanup {ended['status']}: {ended['error']}, {ended['metrics']}")


def _figures(lasted: list[float]) -> Figures:
    return {
        "p50 ms": quantile(lasted, 0.5),
        "p99 ms": quantile(lasted, 0.99),
        "worst ms": max(lasted),
        "calls": len(lasted),
    }


TOPIC = Topic(
    f"`status` answered, a call every {1000 * EVERY_SECONDS:g} ms, during a cleanup of {FILES} files",
    ("p99 ms", "p50 ms", "worst ms", "calls", "cleanup s", "rollback: p99 ms", "rollback: worst ms"),
    {"idle": idle, "cleanup": cleanup},
)
