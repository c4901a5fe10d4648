"""Idle daemons: memory, CPU and wakeups while nothing is to be done."""

import time

from client import SAMPLE
from measure import children, cpu_seconds, idle, shared_out_mib, wakeups, woken
from peerdaemons import fail2ban, supervisord
from places import scratch
from product import daemon
from topic import Figures, Topic

SETTLE_SECONDS = 5.0
WATCHED_SECONDS = 20.0


def jamaintd() -> Figures:
    """With two tasks; its embedded PostgreSQL beside it, told apart."""
    with scratch() as directory, daemon(directory, **SAMPLE) as running:
        time.sleep(SETTLE_SECONDS)
        database = children(running.pid)
        before, cpu = wakeups(*database), sum(map(cpu_seconds, database))
        figures = idle(running.pid, WATCHED_SECONDS)
        return {
            **figures,
            "its PostgreSQL MiB": shared_out_mib(database),
            "its PostgreSQL wakeups": woken(before, wakeups(*database)),
            "its PostgreSQL CPU %": 100 * (sum(map(cpu_seconds, database)) - cpu) / WATCHED_SECONDS,
        }


def supervisor() -> Figures:
    """With one program that sleeps."""
    with supervisord() as (pid, _, _):
        time.sleep(SETTLE_SECONDS)
        return idle(pid, WATCHED_SECONDS)


def fail2ban_server() -> Figures:
    """With one jail."""
    with fail2ban() as (pid, _, _):
        time.sleep(SETTLE_SECONDS)
        return idle(pid, WATCHED_SECONDS)


TOPIC = Topic(
    f"an idle daemon, watched for {WATCHED_SECONDS:g} s",
    ("resident MiB", "CPU %", "wakeups", "its PostgreSQL MiB", "its PostgreSQL wakeups", "its PostgreSQL CPU %"),
    {"supervisord": supervisor, "jamaintd": jamaintd, "fail2ban-server": fail2ban_server},
)
