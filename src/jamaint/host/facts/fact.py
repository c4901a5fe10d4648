"""What a look at a fact has at hand, and how one that the kernel may keep waiting is kept from holding up others."""

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import trio

from jamaint.core.secrets import references
from jamaint.host.postgres import Postgres
from jamaint.host.secrets import NoSecret, resolved

T = TypeVar("T")
Params = Any

THREADS = 16
"""Looks that hang in the kernel at a time, as at a network mount whose server is gone; more than these are unknown."""


class LookError(Exception):
    """A fact that cannot be learnt; its text says why."""


def reason(error: OSError) -> str:
    """In the system's words; of a connection that was tried at several addresses, of the first."""
    cause = error.__cause__
    first = cause.exceptions[0] if isinstance(cause, BaseExceptionGroup) else error
    number = getattr(first, "errno", None)
    found = os.strerror(number) if number and not isinstance(first, socket.gaierror) else str(first)
    return found[:1].lower() + found[1:] or type(error).__name__


@dataclass(slots=True)
class Outside:
    """What looks need beside their parameters. `database` reaches other servers; None where none may be asked."""

    database: Postgres | None = None
    limiter: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(THREADS))
    hanging: set[str] = field(default_factory=set)

    async def with_secrets(self, value: Any) -> Any:
        """`value` with the secrets that it refers to. Raises LookError for one that cannot be had."""
        try:
            if next(references(value), None) is None:
                return resolved(value)
            return await trio.to_thread.run_sync(resolved, value, abandon_on_cancel=True, limiter=self.limiter)
        except NoSecret as problem:
            raise LookError(str(problem)) from None

    async def apart(self, what: str, work: Callable[..., T], *args: Any) -> T:
        """`work(*args)` in a thread, which is left behind when the look's time is up. Raises LookError as long as an
        earlier one of the same `what` hangs there still: so no number of looks takes more than one thread each."""
        if what in self.hanging:
            raise LookError("an earlier look at it has not come back")
        self.hanging.add(what)

        def run() -> T:
            try:
                return work(*args)
            finally:
                self.hanging.discard(what)

        return await trio.to_thread.run_sync(run, abandon_on_cancel=True, limiter=self.limiter)
