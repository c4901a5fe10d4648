"""Executions of a task that does nothing, everything durable: how many a second, and how soon a lone one is recorded.

The limit is what asyncpg alone does with one INSERT and one UPDATE for each, every one a commit. Each peer is given the
same server, an empty database, and room for ten at a time.
"""

import json
import os
import subprocess
import threading
import time
from pathlib import Path

import database
from eye import Eye
from measure import cpu_seconds, quantile
from places import peer_program, scratch
from product import Daemon, daemon, installed
from topic import Figures, Topic

from jamaint.protocol import control

N = int(os.environ.get("N", "2000"))
LONE = 40
AT_ONCE = 10
PAUSE_SECONDS = 0.05
PEER_SECONDS = 300
COMPLETED = "SELECT count(*) FROM maintenance_executions WHERE status = 'completed'"
COMPLETED_OF = "SELECT count(*) FROM maintenance_executions WHERE task_name = $1 AND status = 'completed'"


def limit() -> Figures:
    """asyncpg alone."""
    return _script("limit", str(installed() / "python"))


def procrastinate() -> Figures:
    """Jobs deferred in one batch, its worker in the same process."""
    return _script("procrastinate", peer_program("python"))


def apscheduler4() -> Figures:
    """Jobs added ten at a time, its scheduler in the same process."""
    return _script("apscheduler4", peer_program("python"))


def jamaintd() -> Figures:
    """As many tasks as executions, each asked for over one connection, all requests sent without waiting."""
    work = {f"noop-{number}": _task() for number in range(N + LONE)}
    settings = {"max_concurrent_tasks": AT_ONCE}
    with (
        scratch() as directory,
        database.fresh() as dsn,
        daemon(directory, dsn, scheduler=settings, tasks=work) as running,
        Eye(dsn) as eye,
    ):
        lone = _lone(running, eye)
        cpu = cpu_seconds(running.pid)
        seconds = _all(running, eye)
        return {
            "a second": N / seconds,
            "lone p50 ms": quantile(lone, 0.5),
            "lone p90 ms": quantile(lone, 0.9),
            "CPU ms each": 1000 * (cpu_seconds(running.pid) - cpu) / N,
        }


def _task() -> dict[str, str]:
    return {"type": "custom", "category": "system", "executor": "noop"}


def _lone(running: Daemon, eye: Eye) -> list[float]:
    lasted = []
    with running.caller() as caller:
        for number in range(N, N + LONE):
            time.sleep(PAUSE_SECONDS)
            name = f"noop-{number}"
            began = time.perf_counter()
            caller.call("execution.start", task=name)
            eye.wait(COMPLETED_OF, 1, name)
            lasted.append(1000 * (time.perf_counter() - began))
    return lasted


def _all(running: Daemon, eye: Eye) -> float:
    requests = b"".join(control.request(number, "execution.start", {"task": f"noop-{number}"}) for number in range(N))
    with running.caller() as caller:
        sender = threading.Thread(target=caller.socket.sendall, args=(requests,))
        began = time.perf_counter()
        sender.start()
        for _ in range(N):
            caller.receive()
        eye.wait(COMPLETED, N + LONE)
        lasted = time.perf_counter() - began
        sender.join()
    return lasted


def _script(name: str, python: str) -> Figures:
    path = Path(__file__).parent / "peers" / f"{name}_peer.py"
    with database.fresh() as dsn:
        done = subprocess.run(
            [python, path, dsn, str(N), str(AT_ONCE), str(LONE)],
            capture_output=True,
            text=True,
            timeout=PEER_SECONDS,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(f"{name}: {done.stderr[-1000:]}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


TOPIC = Topic(
    f"{N} executions of a task that does nothing, durable; and {LONE} lone ones",
    ("a second", "lone p50 ms", "lone p90 ms", "CPU ms each"),
    {
        "limit (asyncpg alone)": limit,
        "jamaintd": jamaintd,
        "procrastinate": procrastinate,
        "APScheduler 4": apscheduler4,
    },
)
