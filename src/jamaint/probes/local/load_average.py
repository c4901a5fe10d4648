"""load_average: from the kernel."""

import os
from collections.abc import Mapping
from typing import Any

import trio

from jamaint.core.conditions.load_average import Load
from jamaint.probes.local.context import ProbeContext


async def look(_params: Mapping[str, Any], _outside: ProbeContext) -> Load:
    await trio.lowlevel.checkpoint()
    one, five, fifteen = os.getloadavg()
    return Load({1: one, 5: five, 15: fifteen}, os.cpu_count() or 1)
