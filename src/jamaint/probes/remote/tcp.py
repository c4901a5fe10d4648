"""tcp: one connection, which is closed again at once."""

from collections.abc import Mapping
from typing import Any

from jamaint.probes.deadline import Deadline, connect, reason


def look(params: Mapping[str, Any], seconds: float) -> str:
    """Empty for a connection that was taken, else why it was not."""
    try:
        connect(params["host"], params["port"], Deadline(seconds)).close()
    except TimeoutError:
        raise
    except OSError as error:
        return reason(error)
    return ""
