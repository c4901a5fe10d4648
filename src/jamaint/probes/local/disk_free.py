"""disk_free: statvfs, which a network mount may keep waiting for ever."""

import os
from collections.abc import Mapping
from typing import Any

from jamaint.core.conditions.disk_free import DiskFree
from jamaint.probes.local.context import ProbeContext


async def look(params: Mapping[str, Any], outside: ProbeContext) -> DiskFree:
    found = await outside.apart(f"disk {params['path']}", os.statvfs, params["path"])
    return DiskFree(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)
