"""The list: how each fact is looked at. A look changes nothing, and has its time.

What needs the network or runs a program (lookers.FACTS) is looked at by a worker; the rest is local, and everybody may
see it.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import trio

from jamaint.core.conditions import Unknown
from jamaint.core.conditions.condition import span
from jamaint.core.tasks import Condition
from jamaint.probes.local import (
    disk_free,
    file,
    load_average,
    logged_in_users,
    mains_power,
    memory_available,
    pressure,
    processor,
    unit,
)
from jamaint.probes.local.context import LookError, ProbeContext, reason
from jamaint.probes.worker_pool import FACTS

__all__ = ["LOOKS", "LookError", "ProbeContext", "look"]

LOOKS: Mapping[str, Callable[[Mapping[str, Any], ProbeContext], Awaitable[Any]]] = {
    "load_average": load_average.look,
    "processor": processor.look,
    "memory_available": memory_available.look,
    "disk_free": disk_free.look,
    "pressure": pressure.look,
    "unit": unit.look,
    "file": file.look,
    "logged_in_users": logged_in_users.look,
    "mains_power": mains_power.look,
}

USUAL_SECONDS = 2.0
"""The time of a look that has no timeout of its own."""


async def look(condition: Condition, outside: ProbeContext) -> Any:
    """The fact that `condition` asks for, as core.conditions judges it, or Unknown. Takes its timeout at most."""
    if condition.kind in FACTS:
        return Unknown("nobody looks here") if outside.lookers is None else await outside.lookers.look(condition)
    seconds = condition.params.get("timeout_seconds", USUAL_SECONDS)
    try:
        with trio.fail_after(seconds):
            return await LOOKS[condition.kind](condition.params, outside)
    except trio.TooSlowError:
        return Unknown(f"no answer within {span(seconds)}")
    except OSError as error:
        return Unknown(reason(error))
    except LookError as error:
        return Unknown(str(error))
    except (ValueError, LookupError) as error:
        return Unknown(f"what was found makes no sense ({error})")
