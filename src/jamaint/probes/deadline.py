"""What all looks have in common: that one could not learn its fact, and why, in a person's words."""

import os
import socket
import time


class LookError(Exception):
    """A fact that cannot be learnt; its text says why."""


class Deadline:
    """What is left of a look's time."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds. Raises TimeoutError when there are none."""
        seconds = self._at - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        return seconds


def connect(host: str, port: int, deadline: Deadline) -> socket.socket:
    """The first of the host's addresses that takes a connection. Raises OSError; LookError for a name that is none."""
    try:
        return socket.create_connection((host, port), timeout=deadline.left())
    except socket.gaierror as error:
        raise LookError(f"the name cannot be resolved ({error.strerror})") from None


def reason(error: OSError) -> str:
    """In the system's words; of a connection that was tried at several addresses, of the first."""
    cause = error.__cause__
    first = cause.exceptions[0] if isinstance(cause, BaseExceptionGroup) else error
    number = getattr(first, "errno", None)
    found = os.strerror(number) if number and not isinstance(first, socket.gaierror) else str(first)
    return found[:1].lower() + found[1:] or type(error).__name__
