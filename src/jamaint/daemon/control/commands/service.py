"""The daemon itself: configuration, drain, reload, version."""

import platform
from typing import Any

from jamaint import VERSION
from jamaint.config import shown_config
from jamaint.daemon.control.commands.command import Call, Daemon, ask, take
from jamaint.errors import JamaintError

PROTOCOL = 1


async def check(daemon: Daemon, call: Call) -> dict[str, Any]:
    """Reads the configuration's files again and tells what is wrong; applies nothing."""
    take(call)
    return await daemon.check()


async def show(daemon: Daemon, call: Call) -> dict[str, Any]:
    """The configuration in force."""
    take(call)
    config = daemon.definitions.config
    return {"path": config.path, "config": shown_config(config)}


async def drain(daemon: Daemon, call: Call) -> dict[str, Any]:
    """Start nothing new; what runs goes on. With `off`, start tasks again."""
    (off,) = take(call, off=bool)
    running = daemon.scheduler.end_drain() if off else daemon.scheduler.drain()
    return {"state": daemon.scheduler.state, "running": running}


async def reload(daemon: Daemon, call: Call) -> dict[str, Any]:
    """Applies the configuration's files; a bad one leaves the old in force and is told whole."""
    take(call)
    return await daemon.reload()


async def version(daemon: Daemon, call: Call) -> dict[str, Any]:
    """What runs."""
    take(call)
    try:
        postgresql = await ask(daemon, _server_version)
    except JamaintError:
        postgresql = None
    return {
        "version": VERSION,
        "protocol": PROTOCOL,
        "python": platform.python_version(),
        "postgresql": postgresql,
    }


async def _server_version(connection: Any) -> str:
    found: str = await connection.fetchval("SHOW server_version")
    return found
