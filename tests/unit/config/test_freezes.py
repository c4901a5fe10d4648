"""Freezes and exclusions as they are read: whole days in their zone, and names that nobody has."""

from datetime import UTC, datetime
from typing import Any

from jamaint.core.calendar.periods import Periods
from jamaint.core.scopes import Scope


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_last_day_is_meant_whole_in_its_zone(loading: Any) -> None:
    text = "freezes: { f: { from: 2026-12-20, to: 2027-01-03, timezone: Asia/Jakarta, scope: { types: [update] } } }"
    freeze = loading(text).freezes["f"]
    assert freeze.periods == (Periods(((at("2026-12-19T17:00"), at("2027-01-03T17:00")),)),)
    assert freeze.scope == Scope(types=("update",))
    assert not freeze.closed_by_default


def test_a_moment_at_its_end_is_that_moment(loading: Any) -> None:
    freeze = loading("freezes: { f: { from: 2026-12-20T08:00, to: 2026-12-20T09:30:00+01:00 } }").freezes["f"]
    assert freeze.periods == (Periods(((at("2026-12-20T08:00"), at("2026-12-20T08:30")),)),)


def test_exclusions_are_read_in_the_zone_of_their_window(loading: Any) -> None:
    text = """\
windows:
  w:
    schedule: { cron: "0 2 * * *" }
    duration: 120
    timezone: Asia/Jakarta
    exclusions: [{ from: 2026-12-24, to: 2026-12-24 }, { schedule: { cron: "0 3 * * *" }, duration: 1h }]
"""
    once, nightly = loading(text).windows["w"].exclusions
    assert once.spans == ((at("2026-12-23T17:00"), at("2026-12-24T17:00")),)
    assert (nightly.schedule.timezone, nightly.duration_minutes) == ("Asia/Jakarta", 60)


def test_a_scope_that_names_what_no_file_has_is_doubted(loading: Any) -> None:
    text = """\
tasks: { nap: { executor: noop } }
freezes: { f: { from: 2026-12-20, to: 2027-01-03, scope: { tasks: [nap, nab], windows: [w] } } }
"""
    warnings = [warning.partition("freezes.f.")[2] for warning in loading(text).warnings]
    assert warnings == [
        "scope.tasks[1]: no file has a task nab: did you mean nap?",
        "scope.windows[0]: no file has a window w: there are none",
    ]
