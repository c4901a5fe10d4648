"""What both ends of a worker's pipes agree on: one JSON object a line, and which of them ends an operation."""

from typing import Any

from jamaint.protocol import control

LINE_LIMIT = 16 << 20
"""Bytes of one line, newline not counted: room for the plan of some hundred thousand files."""

FINAL = frozenset({"plan", "done", "failed", "cancelled"})
"""What `is` says in the one line that ends an operation."""

HEARD = frozenset({"progress", "waiting", "log", "held", "items", "taken", "found"})
"""What it says in the lines that come before that one."""

TAKEN, RECORDED = "taken", "recorded"
"""A numbered line with a block of what is about to be taken, and the order that answers it: `number`, and `why` where
it is not written down (empty: it is). Until that has come, none of it is taken."""


STDERR, ENDED = "stderr", "ended"
"""Lines about a worker that is a unit, by its supervisor: what came on stderr, and at last its status."""

END = "end"
"""An order to such a supervisor: end the worker and all that it has started, within `grace` seconds."""


def line(message: dict[str, Any]) -> bytes:
    """Raises TypeError or ValueError for what JSON cannot say, ValueError for a line over the limit."""
    data = control.dumps(message).encode("utf-8")
    if len(data) > LINE_LIMIT:
        raise ValueError(f"a line of {len(data)} bytes, and at most {LINE_LIMIT} may go at once")
    return data + b"\n"


def parse(data: bytes) -> dict[str, Any]:
    """The inverse of `line`. Raises ValueError for anything but one JSON object."""
    value = control.loads(data.decode("utf-8"))
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value
