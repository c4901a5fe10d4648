"""The runner while the database is away: a plan is refused at once, and does not wait for it without a word."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
import trio.testing

from jamaint.daemon.execution.runner import Runner
from jamaint.errors import UNAVAILABLE, JamaintError


class Away:
    """A recorder whose database never comes back."""

    away = "connection refused"

    async def run(self, *_: Any) -> Any:
        await trio.sleep_forever()


async def test_nothing_is_planned_while_it_is_not_known_what_undos_have_put_back(
    autojump_clock: trio.testing.MockClock,
) -> None:
    whatever = cast("Any", SimpleNamespace())
    runner = Runner(
        recorder=cast("Any", Away()),
        current=whatever,
        now=whatever,
        config=whatever,
        seals=whatever,
        plans=whatever,
        log=whatever,
    )
    with trio.fail_after(60), pytest.raises(JamaintError, match="the database is away, nothing can be planned") as told:
        await runner.plan("e-1", cast("Any", SimpleNamespace(executor="logs.cleanup")))
    assert told.value.code == UNAVAILABLE
