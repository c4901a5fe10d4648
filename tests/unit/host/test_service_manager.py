"""The watchdog's period and the reload's moment."""

import os
import time

import pytest

from jamaint.host import service_manager


@pytest.mark.parametrize(
    ("variables", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "often"}, None),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "me"}, None),
    ],
)
def test_the_watchdog_is_fed_only_if_it_is_ours(
    variables: dict[str, str], seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert service_manager.watchdog_seconds() == seconds


def test_a_reload_is_dated_by_the_monotonic_clock_in_microseconds() -> None:
    before = time.monotonic()
    moment = service_manager.monotonic_usec()
    after = time.monotonic()
    assert before * 1e6 - 1 <= moment <= after * 1e6
