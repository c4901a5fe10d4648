"""Daemons of others, each with one thing to look after: its process, the client that asks it, their environment."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from measure import until
from places import FAIL2BAN, peer_program, scratch
from topic import AbsentError

START_SECONDS = 30
Running = tuple[int, list[str], Mapping[str, str]]

SUPERVISOR = """\
[unix_http_server]
file={here}/sock
[supervisord]
nodaemon=true
logfile={here}/log
pidfile={here}/pid
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{here}/sock
[program:sleeper]
command=sleep infinity
"""
JAIL = """\
[DEFAULT]
banaction = noop
action =
allowipv6 = no
[sshd]
enabled = true
backend = polling
logpath = {here}/auth.log
"""


@contextlib.contextmanager
def supervisord() -> Iterator[Running]:
    """supervisord with one program."""
    program, client = peer_program("supervisord"), peer_program("supervisorctl")
    with scratch() as here:
        config = here / "supervisord.conf"
        config.write_text(SUPERVISOR.format(here=here))
        with _running([program, "-c", str(config)], here / "sock", os.environ) as pid:
            yield pid, [client, "-c", str(config), "status"], os.environ


@contextlib.contextmanager
def fail2ban() -> Iterator[Running]:
    """fail2ban with one jail that reads a file of ours and bans nobody; unpacked from its package, not installed."""
    if not FAIL2BAN.exists():
        raise AbsentError("sh bench/peers.sh unpacks it where apt has it")
    environment = {**os.environ, "PYTHONPATH": str(FAIL2BAN / "usr/lib/python3/dist-packages")}
    with scratch() as here:
        shutil.copytree(FAIL2BAN / "etc/fail2ban", here / "etc")
        shutil.rmtree(here / "etc/jail.d")
        (here / "etc/jail.local").write_text(JAIL.format(here=here))
        (here / "auth.log").touch()
        where = ["-c", f"{here}/etc", "-s", f"{here}/sock", "-p", f"{here}/pid"]
        server = [str(FAIL2BAN / "usr/bin/fail2ban-server"), "-f", *where, "--logtarget", f"{here}/log", "start"]
        with _running(server, here / "sock", environment) as pid:
            yield pid, [str(FAIL2BAN / "usr/bin/fail2ban-client"), *where, "status"], environment


@contextlib.contextmanager
def _running(command: list[str], sock: Path, environment: Mapping[str, str]) -> Iterator[int]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    try:
        until(lambda: process.poll() is not None or sock.exists(), START_SECONDS, command[0])
        if process.poll() is not None:
            raise RuntimeError(f"{command[0]} ended with {process.returncode}")
        yield process.pid
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()
