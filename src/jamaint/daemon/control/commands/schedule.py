"""The schedule: what comes, a task's schedule changed, and a simulation of days to come. Reckoned beside the loop."""

import heapq
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import trio

from jamaint.config.locations import place_of
from jamaint.core.calendar.availability import frozen
from jamaint.core.calendar.restrictions import Holds
from jamaint.core.calendar.windows import Opening, Window, next_opening, opening_at
from jamaint.core.estimates import quantile
from jamaint.core.recurrence import change_at
from jamaint.core.recurrence.schedule import Schedule
from jamaint.core.recurrence.wall_time import clock_changes
from jamaint.core.scheduling.simulation import Scenario, simulate, unconditional
from jamaint.core.scheduling.timetable import Timetable
from jamaint.core.tasks import Task
from jamaint.daemon.control.commands import freezes, tasks
from jamaint.daemon.control.commands.command import Call, Daemon, moment_of, refuse_file, take
from jamaint.daemon.control.commands.pagination import limit_of
from jamaint.daemon.control.forecast_view import forecast as as_json
from jamaint.daemon.state import json_views
from jamaint.errors import invalid, unavailable

DAY = timedelta(days=1)
LONGEST_DAYS = 400
OPENINGS = 500
"""As many as one answer tells, the first of each window's."""
LOOKED_AT, OFTEN_A_DAY = 24, 4
"""By its first occurrences it is told what comes more often than so many times a day."""
CHANGES = 500
"""Schedules that one call may change."""
TOLD = 500
"""Tasks and runs that a simulation tells one by one."""
PATIENCE_SECONDS = 20.0
"""What a viewer may cost: after so long his question is refused."""
ROWS_AT_ONCE = 200
"""Rows that are looked through between two looks whether somebody still waits: a few milliseconds."""
BREATH_SECONDS = 0.001
"""How long a simulation lets go of the interpreter now and then, so that the daemon answers others."""


class _Asked(NamedTuple):
    """What is reckoned with, as it is defined now: another thread looks at it."""

    tasks: Sequence[Task]
    windows: Mapping[str, Window]
    timetable: Timetable
    known: Mapping[str, datetime | None]
    """When those are due that count from an end."""
    start: datetime
    end: datetime


class _Row(NamedTuple):
    at: datetime
    scheduled_for: datetime
    task: Task


async def get(daemon: Daemon, call: Call) -> dict[str, Any]:
    """What is due between two moments, the first first, with the openings of windows and the changes of clocks.

    With `often_apart`, what comes more than a few times a day is told in one line each, and not among the items.
    """
    since, until, limit, cursor, often = take(
        call, **{"from": str, "to": str, "limit": int, "cursor": str, "often_apart": bool}
    )
    start = moment_of("from", since) or daemon.now()
    end = moment_of("to", until) or start + DAY
    if not start < end <= start + LONGEST_DAYS * DAY:
        raise invalid("to", f"must lie after `from`, and at most {LONGEST_DAYS} days after it")
    size = limit_of(limit)
    asked = _asked(daemon, start, end)
    durations = dict(daemon.scheduler.experience.durations)
    after = _cursor(cursor)
    rows, frequent, (openings, cut), changes = await _beside(_look, asked, size, after, bool(often))
    restrictions = freezes.all_restrictions(daemon)
    holds = Holds(restrictions)
    items = [_item(row, durations) | {"frozen": freezes.frozen(row.task, holds.at(row.at))} for row in rows[:size]]
    return {
        "from": json_views.time(start),
        "to": json_views.time(end),
        "items": items,
        "next_cursor": _cursor_of(items[-1]) if len(rows) > size else None,
        "often": frequent,
        "freezes": [
            {"name": one.name, "policy": one.policy, "from": json_views.time(begins), "to": json_views.time(ends)}
            for one in restrictions
            for begins, ends in frozen(one.freeze, start, end)
        ],
        "openings": [_opening(asked, opening, durations) for opening in openings],
        "openings_cut": cut,
        "clock_changes": changes,
    }


async def update(daemon: Daemon, call: Call) -> dict[str, Any]:
    """Changes the schedule of a task that was made through the socket; null: only on request.

    With `changes`, a list of `{task, schedule}`, those of several tasks: all of them, or none.
    """
    name, schedule, changes = take(call, task=str, schedule=dict, changes=list)
    if changes is not None:
        if name is not None or schedule is not None:
            raise invalid("changes", "is instead of `task` and `schedule`: give one or the other")
        return {"items": await _update_all(daemon, call, changes), "next_cursor": None}
    if name is None:
        raise invalid("task", "is needed, or `changes`")
    await _refuse_file(daemon, name)
    changed = call._replace(params={"task": name, "changes": {"schedule": schedule}})
    return await tasks.update(daemon, changed)


async def _update_all(daemon: Daemon, call: Call, changes: Sequence[Any]) -> list[dict[str, Any]]:
    if not 1 <= len(changes) <= CHANGES:
        raise invalid("changes", f"must have from 1 to {CHANGES} entries, and has {len(changes)}")
    named: dict[str, Any] = {}
    for index, change in enumerate(changes):
        path = f"changes.{index}"
        if (
            not isinstance(change, dict)
            or set(change) - {"task", "schedule"}
            or not isinstance(change.get("task"), str)
        ):
            raise invalid(path, "must be an object with `task`, a name or id, and `schedule`, an object or null")
        task = daemon.definitions.task(change["task"])
        if task.name in named:
            raise invalid(path, f"{task.name} stands in the list twice: one schedule counts")
        await _refuse_file(daemon, task.name)
        named[task.name] = change.get("schedule")
    return await tasks.put_schedules(daemon, call, named)


async def _refuse_file(daemon: Daemon, name: str) -> None:
    task = daemon.definitions.task(name)
    if task.origin == "file":
        config = daemon.definitions.config
        place = await trio.to_thread.run_sync(place_of, config, "tasks", task.name) or config.path
        refuse_file("task", task.name, task.origin, place)


async def run(daemon: Daemon, call: Call) -> dict[str, Any]:
    """Simulates days to come with this very scheduler, from nothing waiting and nothing running."""
    days, seed = take(call, days=int, seed=int)
    days = 30 if days is None else days
    if not 1 <= days <= LONGEST_DAYS:
        raise invalid("days", f"must be from 1 to {LONGEST_DAYS}")
    start = daemon.now()
    asked = _asked(daemon, start, start + days * DAY)
    durations = dict(daemon.scheduler.experience.durations)
    look = daemon.scheduler.surroundings()
    asked = asked._replace(tasks=unconditional(asked.tasks))
    scenario = Scenario(asked.tasks, asked.timetable, look, start, asked.end, durations, seed=seed or 1, most=TOLD)
    forecast = await _beside(_simulate, asked, scenario)
    return as_json(forecast, start, TOLD) | {"days": days, "seed": scenario.seed}


def _asked(daemon: Daemon, start: datetime, end: datetime) -> _Asked:
    definitions = daemon.definitions
    found = definitions.effective()
    windows = dict(definitions.windows)
    return _Asked(
        found,
        windows,
        daemon.scheduler.empty_timetable(windows),
        {task.name: daemon.scheduler.next_due(task.name) for task in found if _waits(task)},
        start,
        end,
    )


async def _beside(work: Callable[..., Any], *args: Any) -> Any:
    """In a thread of its own, one at a time; whoever has hung up does not keep it going."""
    given_up = threading.Event()
    try:
        call = partial(work, *args, checkpoint=partial(_breathe, given_up, time.monotonic() + PATIENCE_SECONDS))
        return await trio.to_thread.run_sync(call, abandon_on_cancel=True, limiter=_ONE)
    finally:
        given_up.set()


_ONE = trio.CapacityLimiter(1)


def _breathe(given_up: threading.Event, deadline: float) -> None:
    """Lets the daemon's own thread go on; ends what nobody waits for, or what takes too long."""
    if given_up.wait(BREATH_SECONDS):
        raise unavailable("nobody waits for it any more", 1)
    if time.monotonic() > deadline:
        raise unavailable(f"this takes longer than {PATIENCE_SECONDS:.0f} s: ask for fewer days", 1)


def _look(
    asked: _Asked, size: int, after: tuple[datetime, str] | None, often: bool, checkpoint: Callable[[], None]
) -> tuple[list[_Row], list[dict[str, Any]], tuple[list[Opening], list[str]], list[dict[str, Any]]]:
    streams, frequent = [], []
    for number, task in enumerate(asked.tasks):
        if number % 20 == 0:
            checkpoint()
        if often:
            first = list(islice(_comes(asked, task), LOOKED_AT))
            if (told := _often(first)) is not None:
                frequent.append(told)
                continue
        streams.append(_comes(asked, task, None if after is None else after[0]))
    merged = _checked(heapq.merge(*streams, key=lambda row: (row.at, row.task.name)), checkpoint)
    rows = (row for row in merged if after is None or (row.at, row.task.name) > after)
    return list(islice(rows, size + 1)), frequent, _openings(asked, checkpoint), _clock_changes(asked)


def _checked(rows: Iterable[_Row], checkpoint: Callable[[], None]) -> Iterator[_Row]:
    """Pass rows on, and look now and then whether somebody still waits for them, also where none is wanted."""
    for number, row in enumerate(rows, 1):
        if number % ROWS_AT_ONCE == 0:
            checkpoint()
        yield row


def _often(first: Sequence[_Row]) -> dict[str, Any] | None:
    """What there is to say of a task that comes more than a few times a day, by its first occurrences."""
    if len(first) < LOOKED_AT:
        return None
    distance = (first[-1].at - first[0].at) / (len(first) - 1)
    if distance * OFTEN_A_DAY >= DAY:
        return None
    every = round(distance.total_seconds() * 1000)
    return {"task": first[0].task.name, "first": json_views.time(first[0].at), "about_every": every}


def _simulate(asked: _Asked, scenario: Scenario, checkpoint: Callable[[], None]) -> Any:
    for number, task in enumerate(asked.tasks):
        asked.timetable.put(task, asked.start)
        if number % 100 == 0:
            checkpoint()
    return simulate(scenario, checkpoint)


def _comes(asked: _Asked, task: Task, since: datetime | None = None) -> Iterator[_Row]:
    """Yield when a task comes; what is certainly before `since` is not reckoned."""
    if _waits(task):
        due = asked.known.get(task.name)
        return iter([_Row(due, due, task)] if due is not None and asked.start < due <= asked.end else [])
    return (_Row(at, due, task) for at, due in asked.timetable.occurrences(task, asked.start, asked.end, since))


def _waits(task: Task) -> bool:
    return task.schedule is not None and task.schedule.waits_for_an_end


def _openings(asked: _Asked, checkpoint: Callable[[], None]) -> tuple[list[Opening], list[str]]:
    """The openings, of each window its share of OPENINGS at most; the windows that have more."""
    found: list[Opening] = []
    cut = []
    share = max(OPENINGS // max(len(asked.windows), 1), 1)
    for window in asked.windows.values():
        now = opening_at(window, asked.start)
        ours = [] if now is None else [now]
        opening = next_opening(window, asked.start)
        while opening is not None and opening.start <= asked.end and len(ours) < share:
            if len(ours) % 20 == 0:
                checkpoint()
            ours.append(opening)
            opening = next_opening(window, opening.start)
        if opening is not None and opening.start <= asked.end:
            cut.append(window.name)
        found += ours
    return sorted(found, key=lambda opening: (opening.start, opening.window.name)), cut


def _clock_changes(asked: _Asked) -> list[dict[str, Any]]:
    schedules = [task.schedule for task in asked.tasks if task.schedule is not None]
    zones = {schedule.timezone for schedule in schedules if _on_a_wall(schedule)}
    zones |= {window.timezone for window in asked.windows.values()}
    return [
        {"timezone": zone, "at": json_views.time(at), "shift_seconds": round(shift.total_seconds())}
        for zone in sorted(zones)
        for at, shift in clock_changes(asked.start, asked.end, ZoneInfo(zone))
    ]


def _on_a_wall(schedule: Schedule) -> bool:
    return any(kind is not None for kind in (schedule.cron, schedule.calendar, schedule.rrule))


def _item(row: _Row, durations: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    task = row.task
    return {
        "at": json_views.time(row.at),
        "scheduled_for": json_views.time(row.scheduled_for),
        "task": task.name,
        "type": task.type,
        "priority": task.priority,
        "window": None if task.schedule is None else task.schedule.window,
        "clock_change": None if task.schedule is None else change_at(task.schedule, row.scheduled_for),
        "expected": _expected(durations.get(task.name, ())),
    }


def _opening(asked: _Asked, opening: Opening, durations: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    name = opening.window.name
    inside = [task for task in asked.tasks if task.enabled and task.schedule and task.schedule.window == name]
    shown = json_views.opening(opening) or {}
    return {
        **shown,
        "tasks": [
            {"task": task.name, "priority": task.priority, "expected": _expected(durations.get(task.name, ()))}
            for task in sorted(inside, key=lambda task: (task.rank, task.name))[:50]
        ],
        "tasks_in_all": len(inside),
    }


def _expected(durations: Sequence[int]) -> dict[str, int] | None:
    """In milliseconds."""
    if not durations:
        return None
    return {"p50": quantile(durations, 0.5), "p90": quantile(durations, 0.9), "runs": len(durations)}


def _cursor(cursor: str | None) -> tuple[datetime, str] | None:
    if cursor is None:
        return None
    at, _, name = cursor.partition("|")
    found = moment_of("cursor", at)
    return None if found is None else (found, name)


def _cursor_of(item: Mapping[str, Any]) -> str:
    return f"{item['at']}|{item['task']}"
