"""Work that outlives the connection that asked for it, and whoever still waits for its outcome."""

from collections.abc import Awaitable, Callable
from typing import Any

import trio

from jamaint.errors import unavailable


class Pending:
    """The outcome of work that goes on; several may wait for it, or nobody."""

    def __init__(self) -> None:
        self._ended = trio.Event()
        self._result: Any = None
        self._error: Exception | None = None

    async def wait(self) -> Any:
        """The result, or the exception it ended with."""
        await self._ended.wait()
        if self._error is not None:
            raise self._error
        return self._result

    def end(self, result: Any = None, error: Exception | None = None) -> None:
        """Tells the outcome to all who wait."""
        self._result, self._error = result, error
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
        pending.end(await work(*args))
    except Exception as error:
        pending.end(error=error)
    except BaseException:
        pending.end(error=unavailable("the daemon was stopped before this had ended", 5))
        raise
