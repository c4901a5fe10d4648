"""Pages of a schedule: together they are the whole, and a late one costs what it shows, not all before it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jamaint.config import Grants, Known, parse_task, parse_window
from jamaint.core.scheduling.timetable import Timetable
from jamaint.core.tasks import Task
from jamaint.daemon.control.commands.schedule import _Asked, _look, _openings, _Row
from jamaint.errors import JamaintError, unavailable

START = datetime(2026, 11, 24, 12, 0, 7, tzinfo=UTC)
SCHEDULES: list[dict[str, Any]] = [
    {"every": "7m"},
    {"every": "1h", "jitter": "20m"},
    {"cron": "*/13 * * * *", "timezone": "Europe/Berlin"},
    {"rrule": "FREQ=HOURLY;INTERVAL=3", "from": "2026-11-01T00:00", "timezone": "UTC"},
]


def task(number: int, schedule: dict[str, Any]) -> Task:
    given = {"name": f"t{number}", "type": "custom", "category": "system", "executor": "noop", "schedule": schedule}
    return parse_task(given, origin="api", grants=Grants(), known=Known())


def asked(days: float, *schedules: dict[str, Any]) -> _Asked:
    tasks = [task(number, schedule) for number, schedule in enumerate(schedules)]
    return _Asked(tasks, {}, Timetable({}, 3600.0), {}, START, START + timedelta(days=days))


def rows(one: _Asked, size: int, after: tuple[datetime, str] | None, checkpoint: Any = lambda: None) -> list[_Row]:
    return _look(one, size, after, False, checkpoint)[0]


@pytest.mark.parametrize("size", [1, 7, 50])
def test_schedule_pages_are_together_the_whole(size: int) -> None:
    one = asked(1, *SCHEDULES)
    whole, found, after = rows(one, 100_000, None), list[_Row](), None
    while True:
        page = rows(one, size, after)
        found += page[:size]
        if len(page) <= size:
            break
        after = (found[-1].at, found[-1].task.name)
    assert [(row.at, row.task.name) for row in found] == [(row.at, row.task.name) for row in whole]
    assert len(whole) > 200


def test_schedule_late_page_costs_what_it_shows() -> None:
    looks: list[int] = []
    one = asked(399, {"every": "1s"})
    found = rows(one, 1, (START + timedelta(days=398), "zzz"), lambda: looks.append(1))
    assert found[0].at > START + timedelta(days=398)
    assert len(looks) < 10


def test_schedule_looks_whether_somebody_waits_where_no_row_is_wanted() -> None:
    calls = iter(range(50))

    def checkpoint() -> None:
        if next(calls) == 40:
            raise unavailable("nobody waits for it any more", 1)

    with pytest.raises(JamaintError, match="nobody waits"):
        rows(asked(399, {"every": "1s"}), 10**9, None, checkpoint)


def test_schedule_names_the_window_of_which_not_all_openings_are_told() -> None:
    often = {"name": "often", "schedule": {"cron": "*/5 * * * *"}, "duration": 4, "timezone": "UTC"}
    daily = {"name": "daily", "schedule": {"cron": "0 2 * * *"}, "duration": 60, "timezone": "UTC"}
    windows = {
        str(one["name"]): parse_window(one, origin="api", grants=Grants(), known=Known()) for one in (often, daily)
    }
    found, cut = _openings(asked(3)._replace(windows=windows), lambda: None)
    assert cut == ["often"]
    assert {name: sum(one.window.name == name for one in found) for name in windows} == {"often": 250, "daily": 3}
