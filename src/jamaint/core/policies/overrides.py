"""Emergency overrides: who lifts which guards of one execution, why, and until when.

It lifts times and conditions. Never what protects data or others: the guard against mass deletion, approvals, required
backups and ways back, protected paths, dependencies, and the limits of what runs at once.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from jamaint.core.executions import Execution

LIFTS = ("window", "freeze", "fit", "condition")
"""The guards that an override lifts; `freeze` also stands for what a policy freezes."""
LASTS = timedelta(hours=1)
"""For how long after it was given it lifts them, where no policy says otherwise."""
KEY = "emergency"
"""Its place among an execution's options."""


def override(ident: str, by: str, reason: str, now: datetime, lasts: timedelta) -> Mapping[str, Any]:
    """The override as it stands in the execution that it is for."""
    return {
        "id": ident,
        "by": by,
        "reason": reason,
        "at": now.isoformat(),
        "until": (now + lasts).isoformat(),
        "lifts": list(LIFTS),
    }


def lifts(execution: Execution, guard: str, now: datetime) -> bool:
    """Whether an override lifts that guard of the execution at `now`."""
    found = execution.options.get(KEY)
    return found is not None and guard in found["lifts"] and now < datetime.fromisoformat(found["until"])


def told(execution: Execution) -> str:
    """Who lifts guards, and why, for a verdict."""
    found = execution.options[KEY]
    return f"overridden by the emergency override of {found['by']} ({found['reason']})"
