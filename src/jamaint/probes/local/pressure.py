"""pressure: /proc/pressure, which a kernel without PSI has not."""

from collections.abc import Mapping
from typing import Any

import trio

from jamaint.probes.local.context import LookError, ProbeContext

DIRECTORY = "/proc/pressure"


async def look(params: Mapping[str, Any], _outside: ProbeContext) -> float:
    await trio.lowlevel.checkpoint()
    return stalled_share(_read(params["resource"]), params["stall"], params["seconds"])


def stalled_share(text: str, stall: str, seconds: int) -> float:
    """0..1 from a file of /proc/pressure: `stall` is some or full, `seconds` 10, 60 or 300."""
    for line in text.splitlines():
        kind, *pairs = line.split()
        if kind == stall:
            return float(dict(pair.split("=") for pair in pairs)[f"avg{seconds}"]) / 100
    raise LookError(f"this kernel does not measure `{stall}`")


def _read(resource: str) -> str:
    try:
        with open(f"{DIRECTORY}/{resource}", encoding="ascii") as file:
            return file.read()
    except OSError as error:
        raise LookError(f"this kernel does not measure it ({error.strerror})") from None
