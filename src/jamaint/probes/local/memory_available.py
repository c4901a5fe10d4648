"""memory_available: as the kernel reckons it."""

from collections.abc import Mapping
from typing import Any

import psutil
import trio

from jamaint.core.conditions.memory_available import Memory
from jamaint.probes.local.context import ProbeContext


async def look(_params: Mapping[str, Any], _outside: ProbeContext) -> Memory:
    await trio.lowlevel.checkpoint()
    found = psutil.virtual_memory()
    return Memory(int(found.available), int(found.total))
