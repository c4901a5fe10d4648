"""Kills this very process at its Nth call to the store or the host, before the call or after it: for tests only."""

import functools
import itertools
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import resource_exhaustion
from jamaint.daemon.execution import rollbacks, runner, undo
from jamaint.store import postgres
from jamaint.worker_client import session


def draw(knife: str) -> None:
    """`knife` is `N:before` or `N:after`; from now on the Nth call is the last. Or a shortage: see shortages.begin."""
    if not knife[0].isdigit():
        resource_exhaustion.begin(knife)
        return
    number, when = knife.split(":")
    calls = itertools.count(1)

    def strike(call: int, moment: str) -> None:
        if call == int(number) and moment == when:
            os.kill(os.getpid(), signal.SIGKILL)

    def wounded(call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(call)
        async def with_knife(*args: Any, **kw: Any) -> Any:
            mine = next(calls)
            strike(mine, "before")
            result = await call(*args, **kw)
            strike(mine, "after")
            return result

        return with_knife

    def wounded_context(call: Callable[..., Any]) -> Callable[..., Any]:
        @asynccontextmanager
        async def with_knife(*args: Any, **kw: Any) -> Any:
            mine = next(calls)
            strike(mine, "before")
            async with call(*args, **kw) as value:
                strike(mine, "after")
                yield value

        return with_knife

    postgres.Postgres.run = wounded(postgres.Postgres.run)
    postgres.Session.run = wounded(postgres.Session.run)
    session.Worker.ask = wounded(session.Worker.ask)
    for module in (runner, undo):
        module.open_worker = wounded_context(session.open_worker)
    end_all = rollbacks.end_all

    def end_all_with_knife(*args: Any) -> int:
        mine = next(calls)
        strike(mine, "before")
        ended = end_all(*args)
        strike(mine, "after")
        return ended

    rollbacks.end_all = end_all_with_knife
