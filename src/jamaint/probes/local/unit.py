"""unit: asked of systemctl."""

from collections.abc import Mapping
from typing import Any

from jamaint.core.conditions.unit import Unit
from jamaint.probes.local.context import LookError, ProbeContext
from jamaint.probes.local.program import last_line, run

QUESTION = ("systemctl", "show", "--property=LoadState,ActiveState,SubState", "--")


async def look(params: Mapping[str, Any], _outside: ProbeContext) -> Unit:
    code, text = await run([*QUESTION, params["name"]])
    if code != 0:
        raise LookError(f"systemd does not tell: {last_line(text) or f'systemctl exited with {code}'}")
    return parse(text)


def parse(text: str) -> Unit:
    """What `systemctl show` says."""
    found = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return Unit(found["LoadState"], found["ActiveState"], found["SubState"])
