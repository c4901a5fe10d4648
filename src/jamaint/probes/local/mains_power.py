"""mains_power: /sys/class/power_supply, as systemd's ConditionACPower reads it."""

import os
from collections.abc import Mapping
from typing import Any

from jamaint.probes.local.context import ProbeContext

DIRECTORY = "/sys/class/power_supply"


async def look(_params: Mapping[str, Any], outside: ProbeContext) -> bool:
    return await outside.apart("power supplies", on_mains, DIRECTORY)


def on_mains(directory: str) -> bool:
    """Whether a mains supply is on line; with none at all, whether no battery is being emptied. A machine without
    either, as a server, is on mains."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return True
    supplies = [_supply(os.path.join(directory, name)) for name in names]
    mains = [supply for supply in supplies if supply.get("type") in ("Mains", "USB")]
    if any(supply.get("online") == "1" for supply in mains):
        return True
    batteries = [s for s in supplies if s.get("type") == "Battery" and s.get("scope") != "Device"]
    if any(supply.get("status") == "Discharging" for supply in batteries):
        return False
    return not mains or not batteries


def _supply(path: str) -> dict[str, str]:
    found = {}
    for key in ("type", "online", "status", "scope"):
        try:
            with open(os.path.join(path, key), encoding="ascii") as file:
                found[key] = file.read().strip()
        except (OSError, UnicodeDecodeError):
            continue
    return found
