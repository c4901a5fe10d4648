"""logged_in_users: from utmp."""

from collections.abc import Mapping
from typing import Any

import psutil

from jamaint.probes.local.context import ProbeContext


async def look(_params: Mapping[str, Any], outside: ProbeContext) -> frozenset[str]:
    return frozenset(user.name for user in await outside.apart("who is logged in", psutil.users))
