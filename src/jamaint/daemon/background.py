"""Work that outlives the connection that asked for it, and whoever still waits for its outcome."""

from collections.abc import Awaitable, Callable
from typing import Any

import outcome
import trio


class Pending:
    """The outcome of work that goes on; several may wait for it, or nobody."""

    def __init__(self) -> None:
        self._ended = trio.Event()
        self._outcome: outcome.Maybe[Any] | None = None

    async def wait(self) -> Any:
        """The result, or the exception it ended with."""
        await self._ended.wait()
        assert self._outcome is not None  # set before the event
        return self._outcome.unwrap()

    def end(self, found: "outcome.Maybe[Any]") -> None:
        """Tells the outcome to all who wait."""
        self._outcome = found
        self._ended.set()


class Background:
    """Starts work in a nursery of the daemon's."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery

    def start(self, work: Callable[..., Awaitable[Any]], *args: Any) -> Pending:
        """Starts `work(*args)`."""
        pending = Pending()
        self._nursery.start_soon(_run, pending, work, args)
        return pending


async def _run(pending: Pending, work: Callable[..., Awaitable[Any]], args: tuple[Any, ...]) -> None:
    try:
        pending.end(outcome.Value(await work(*args)))
    except trio.Cancelled:
        pending.end(outcome.Error(RuntimeError("the daemon was stopped before it ended")))
        raise
    except Exception as error:
        pending.end(outcome.Error(error))
