"""Calls that may never come back: their result, their error, or the word that they do not answer."""

import os
import time
from collections.abc import Callable

import pytest

from jamaint.host.bounded_calls import Call, NoAnswerError, within


def test_call_returns_result_and_raises_error() -> None:
    assert within(5, lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        within(5, lambda: 1 / 0)


def test_call_that_hangs_is_left_behind() -> None:
    reading, writing = os.pipe()
    began = time.monotonic()
    with pytest.raises(NoAnswerError, match="it does not answer"):
        within(0.4, lambda: os.read(reading, 1))
    assert time.monotonic() - began < 5
    os.write(writing, b"x")


def test_call_with_signs_may_take_longer() -> None:
    def work(mark: Callable[[], None]) -> str:
        for _ in range(6):
            mark()
            time.sleep(0.1)
        return "done"

    assert Call(work).result(0.3, lambda: None, look_seconds=0.05) == "done"


def test_call_stops_waiting_when_told_raises() -> None:
    reading, writing = os.pipe()

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Call(lambda _mark: os.read(reading, 1)).result(60, stop, look_seconds=0.05)
    os.write(writing, b"x")
