"""Reloads take turns: of two at once, the configuration that was read later is the one in force."""

from typing import Any

import trio
import trio.testing

from jamaint.daemon.app import App


async def test_reload_waits_for_the_one_before(autojump_clock: trio.testing.MockClock) -> None:
    app: Any = App.__new__(App)
    app._reloading = trio.Lock()
    seen: list[str] = []
    slow = iter([2.0, 1.0])

    async def reload() -> dict[str, Any]:
        seen.append("reads")
        await trio.sleep(next(slow))
        seen.append("takes")
        return {}

    app._reload = reload
    async with trio.open_nursery() as nursery:
        nursery.start_soon(app.reload)
        nursery.start_soon(app.reload)
    assert seen == ["reads", "takes", "reads", "takes"]
