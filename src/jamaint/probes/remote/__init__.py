"""The list: the facts that a worker looks at, because the daemon has neither the network nor the right to run anything.

Each look blocks, in a thread of the worker, and takes its time at most; what daemon's own looks are is in probes/local.
"""

from collections.abc import Callable, Mapping
from typing import Any

from jamaint.probes.remote import http, postgresql, tcp

LOOKS: Mapping[str, Callable[[Mapping[str, Any], float], Any]] = {
    "http": http.look,
    "tcp": tcp.look,
    "postgresql": postgresql.look,
}
"""From the params of a condition, with its secrets in place, and seconds, to the fact as plain JSON. Raises LookError,
OSError (TimeoutError when the time is up). A command is not among them: executors.internal.condition_probes runs
it as any other."""
