"""Names are asked for once in a while, and never waited for long."""

import os
import threading

from trio.testing import MockClock

from jamaint.host.peer_credentials import name_of
from jamaint.host.user_names import FRESH_SECONDS, Names


async def test_it_is_the_name_that_the_machine_gives() -> None:
    assert await Names().of(os.geteuid()) == name_of(os.geteuid())


async def test_it_is_asked_for_again_only_after_a_while(mock_clock: MockClock) -> None:
    asked: list[int] = []

    def answer(uid: int) -> str:
        asked.append(uid)
        return f"user{len(asked)}"

    names = Names(answer)
    assert [await names.of(7), await names.of(7)] == ["user1", "user1"]
    mock_clock.jump(FRESH_SECONDS)
    assert await names.of(7) == "user2"


async def test_one_that_hangs_is_left_behind(autojump_clock: MockClock) -> None:
    hanging = threading.Event()
    try:
        names = Names(lambda uid: f"never said {hanging.wait()}")
        assert await names.of(4711) == "uid 4711"
    finally:
        hanging.set()
