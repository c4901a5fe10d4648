"""tcp: one connection, which is closed again at once."""

import socket
from collections.abc import Mapping
from typing import Any

import trio

from jamaint.host.facts.fact import LookError, Outside, reason


async def look(params: Mapping[str, Any], _outside: Outside) -> str:
    try:
        stream = await trio.open_tcp_stream(params["host"], params["port"])
    except socket.gaierror as error:
        raise LookError(f"the name cannot be resolved ({error.strerror})") from None
    except OSError as error:
        return reason(error)
    await trio.aclose_forcefully(stream)
    return ""
