"""The calendar looks anew only at windows that have turned: a thousand of them cost what one costs."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from jamaint.core.calendar.windows import Window
from jamaint.core.recurrence import Schedule
from jamaint.daemon.scheduling import calendar
from jamaint.daemon.scheduling.calendar import Calendar
from jamaint.daemon.scheduling.run_statistics import RunStatistics

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
HALF_HOUR = timedelta(minutes=30)


def window(name: str, cron: str, **changes: Any) -> Window:
    fields: dict[str, Any] = {"allowed_tasks": ()} | changes
    return Window(f"id of {name}", name, schedule=Schedule(cron=cron), duration_minutes=60, timezone="UTC", **fields)


def windows(count: int = 48, **changes: Any) -> dict[str, Window]:
    """One after the other through the day, each of an hour, so that two are open at any time."""
    return {
        f"w{number}": window(f"w{number}", f"{30 * (number % 2)} {number // 2 % 24} * * *", **changes)
        for number in range(count)
    }


def calendar_of(defined: dict[str, Window]) -> Calendar:
    definitions: Any = SimpleNamespace(windows=defined, freezes={}, policies_in_order=())
    return Calendar(definitions, RunStatistics())


def test_it_stands_as_when_all_is_looked_at_anew() -> None:
    defined = windows() | {"other": window("other", "0 2 * * *", allowed_tasks=("backup",))}
    kept, moment = calendar_of(defined), NOON
    for _ in range(60):
        kept.turn(moment)
        fresh = calendar_of(defined)
        fresh.turn(moment)
        assert (kept.openings.keys(), kept.turns_at) == (fresh.openings.keys(), fresh.turns_at)
        assert {name: one.end for name, one in kept.openings.items()} == {
            name: one.end for name, one in fresh.openings.items()
        }
        assert kept.openings.keys() == kept.openings_at(moment).keys()
        moment = kept.turns_at or moment
    assert moment > NOON + 25 * HALF_HOUR


def test_what_has_not_turned_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    found = calendar_of(windows())
    found.turn(NOON)
    looked_at: list[str] = []
    real = calendar.opening_at

    def counting(one: Window, moment: datetime) -> Any:
        looked_at.append(one.name)
        return real(one, moment)

    monkeypatch.setattr(calendar, "opening_at", counting)
    found.turn(NOON + HALF_HOUR)
    assert sorted(looked_at) == ["w23", "w25"]  # the one that has ended, and the one that begins
    looked_at.clear()
    found.forget()
    found.turn(NOON + HALF_HOUR)
    assert len(looked_at) == 48


def test_nights_without_a_pause_have_the_same_end_for_all_and_are_joined_far_enough_ahead() -> None:
    defined = windows()
    found, moment = calendar_of(defined), NOON
    for _ in range(4):
        found.turn(moment)
        ends = {one.runs_until for one in found.openings.values()}
        assert len(ends) == 1
        assert min(ends) - moment >= timedelta(days=30)
        moment += timedelta(days=20)
        found.turns_at = None
