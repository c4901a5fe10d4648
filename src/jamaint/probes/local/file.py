"""file: one stat, which a network mount may keep waiting for ever."""

import os
import time
from collections.abc import Mapping
from typing import Any

from jamaint.core.conditions.file import File
from jamaint.probes.local.context import ProbeContext


async def look(params: Mapping[str, Any], outside: ProbeContext) -> File:
    return await outside.apart(f"file {params['path']}", _stat, params["path"])


def _stat(path: str) -> File:
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return File(None)
    return File(time.time() - found.st_mtime)
