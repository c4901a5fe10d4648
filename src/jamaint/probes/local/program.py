"""Running a program for a look: without a shell, in a session of its own, which is ended with it whatever happens."""

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import trio

from jamaint.host.accounts import Account, check_reachable, environment_of, own_account
from jamaint.host.processes.output import printable

KEPT_BYTES = 8192
LINE_LIMIT = 200
DRAIN_SECONDS = 0.2


async def run(argv: Sequence[str], account: Account | None = None) -> tuple[int, str]:
    """Its exit code (below zero: a signal) and the end of what it wrote. Raises OSError when it cannot be started.

    Cancelled, or ended itself: what is left of its session is killed.
    """
    worn = account or own_account()
    check_reachable(worn)
    extra: dict[str, Any] = {}
    if not worn.is_own:
        extra = {"user": worn.uid, "group": worn.gid, "extra_groups": list(worn.groups)}
    process = await trio.lowlevel.open_process(
        list(argv),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        cwd="/",
        env=environment_of(worn),
        **extra,
    )
    said = bytearray()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_read, process, said)
            code = await process.wait()
            nursery.cancel_scope.deadline = trio.current_time() + DRAIN_SECONDS  # a grandchild may hold the pipe
    finally:
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        with trio.CancelScope(shield=True):  # killed, so that it ends; not waited for, it would stay as a zombie
            await process.wait()
            if process.stdout is not None:
                await process.stdout.aclose()
    return code, bytes(said).decode("utf-8", "replace")


def last_line(text: str) -> str:
    """The last line that is not empty, printable and cut short."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return printable(lines[-1])[:LINE_LIMIT] if lines else ""


async def _read(process: trio.Process, said: bytearray) -> None:
    assert process.stdout is not None  # asked for above
    async for chunk in process.stdout:
        said += chunk
        del said[:-KEPT_BYTES]
