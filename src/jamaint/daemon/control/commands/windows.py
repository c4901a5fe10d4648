"""Windows: look at, reckon ahead, make, change."""

from datetime import datetime, timedelta
from typing import Any

from jamaint.config import parse_window
from jamaint.core.calendar.windows import Opening, Window, next_opening, next_scheduled
from jamaint.daemon.control.commands import executions, freezes
from jamaint.daemon.control.commands.command import Call, Daemon, moment_of, refuse_file, take, writable
from jamaint.daemon.control.commands.pagination import by_name, limit_of
from jamaint.daemon.state import json_views
from jamaint.errors import CONFLICT, JamaintError, invalid

OPENINGS = 2000
"""As many as one answer tells: each has to be reckoned, and all have to fit into a line."""


async def listed(daemon: Daemon, call: Call) -> dict[str, Any]:
    """All windows, by name."""
    limit, cursor = take(call, limit=int, cursor=str)
    windows = daemon.definitions.windows
    return by_name(list(windows), lambda name: _view(daemon, windows[name]), limit, cursor)


async def get(daemon: Daemon, call: Call) -> dict[str, Any]:
    """One window."""
    (name,) = take(call, window_=str)
    return _view(daemon, daemon.definitions.window(name))


async def following(daemon: Daemon, call: Call) -> dict[str, Any]:
    """For each window, or one, its opening now and the next ones; and when the first of all changes."""
    name, limit = take(call, window=str, limit=int)
    number = limit_of(limit, 1)
    windows = list(daemon.definitions.windows.values()) if name is None else [daemon.definitions.window(name)]
    if number > 1 and number * len(windows) > OPENINGS:
        raise invalid(
            "limit", f"may be {OPENINGS // len(windows)} at most for {len(windows)} windows: name one of them"
        )
    now = daemon.now()
    items = [_following(daemon, window, number, now) for window in windows]
    changes = [time for item in items for time in _changes(item)]
    return {"now": json_views.time(now), "items": items, "next_transition": min(changes, default=None)}


async def skip(daemon: Daemon, call: Call) -> dict[str, Any]:
    """Skips the next openings of a window, or the one at `at`, or takes skips back; what is open stays open."""
    name, count, at, undo = take(call, window_=str, next=int, at=str, undo=bool)
    window = daemon.definitions.window(name)
    start = moment_of("at", at)
    if start is not None and (undo or count is not None):
        raise invalid("at", "names one opening: give neither `next` nor `undo` beside it")
    writable(daemon)
    if start is not None:
        starts = [_start_of(window, start, daemon.now())]
        await daemon.definitions.skip_openings(window.name, starts, call.user)
    elif undo:
        starts = await daemon.definitions.take_back_skips(window.name, daemon.now())
    else:
        starts = _starts_to_skip(window, limit_of(count, 1), daemon.now())
        await daemon.definitions.skip_openings(window.name, starts, call.user)
    daemon.scheduler.take_definitions()
    changed = daemon.definitions.window(window.name)
    return {
        "window": window.name,
        "timezone": window.timezone,
        ("taken_back" if undo else "skipped"): [json_views.time(start) for start in starts],
        "next": json_views.opening(next_opening(changed, daemon.now())),
    }


async def execute(daemon: Daemon, call: Call) -> dict[str, Any]:
    """Has a coming opening (the one at `at`, or the next) now: runs the tasks scheduled in it, and skips it."""
    name, at = take(call, window_=str, at=str)
    window, now = daemon.definitions.window(name), daemon.now()
    start = _starts_to_skip(window, 1, now)[0] if at is None else _start_of(window, moment_of("at", at), now)
    tasks = [one for one in daemon.definitions.effective() if one.schedule and one.schedule.window == window.name]
    if not tasks:
        raise JamaintError(CONFLICT, f"cannot execute {window.name}: no task is scheduled in it")
    writable(daemon)
    items = []
    for task in sorted(tasks, key=lambda one: (one.rank, one.name)):
        try:
            started = await executions.start(daemon, call._replace(params={"task": task.name}))
            items.append({"task": task.name, **started, "refused": None})
        except JamaintError as problem:
            items.append({"task": task.name, "execution_id": None, "refused": problem.message})
    if any(item["execution_id"] for item in items):
        by = f"{call.user}, who had its tasks run at {now:%Y-%m-%d %H:%M:%S} UTC instead"
        await daemon.definitions.skip_openings(window.name, [start], by)
        daemon.scheduler.take_definitions()
    return {"window": window.name, "opening": json_views.time(start), "items": items}


async def create(daemon: Daemon, call: Call) -> dict[str, Any]:
    """Makes a window."""
    (value,) = take(call, window_=dict)
    window = _parse(daemon, call, value)
    if window.name in daemon.definitions.windows:
        raise JamaintError(CONFLICT, f"there is a window {window.name} already: update it, or choose another name")
    return await _put(daemon, call, window)


async def update(daemon: Daemon, call: Call) -> dict[str, Any]:
    """Changes the given keys of a window that was made through the socket."""
    name, changes = take(call, window_=str, changes_=dict)
    window = daemon.definitions.window(name)
    refuse_file("window", window.name, window.origin, daemon.definitions.config.path)
    changed = _parse(daemon, call, {**window.definition, **changes})
    if changed.name != window.name:
        raise invalid("name", "cannot be changed: create a new window and delete this one")
    return await _put(daemon, call, changed)


async def delete(daemon: Daemon, call: Call) -> dict[str, Any]:
    """Deletes a window that was made through the socket and that no task names."""
    (name,) = take(call, window_=str)
    window = daemon.definitions.window(name)
    refuse_file("window", window.name, window.origin, daemon.definitions.config.path)
    users = [
        task.name for task in daemon.definitions.tasks.values() if task.schedule and task.schedule.window == window.name
    ]
    if users:
        raise JamaintError(CONFLICT, f"cannot delete window {window.name}: {', '.join(users)} runs in it")
    writable(daemon)
    await daemon.definitions.delete_window(window.name)
    daemon.scheduler.take_definitions()
    return {"deleted": window.name}


def _parse(daemon: Daemon, call: Call, value: dict[str, Any]) -> Window:
    grants = None if call.peer.uid == 0 else daemon.definitions.config.grants
    return parse_window(value, origin="api", grants=grants, known=daemon.definitions.known())


async def _put(daemon: Daemon, call: Call, window: Window) -> dict[str, Any]:
    writable(daemon)
    await daemon.definitions.put_window(window, call.user, by_root=call.peer.uid == 0)
    daemon.scheduler.take_definitions()
    return _view(daemon, window)


def _view(daemon: Daemon, window: Window) -> dict[str, Any]:
    current = daemon.scheduler.openings.get(window.name)
    running = daemon.scheduler.running_in(window.name)
    return json_views.window(window, current, next_opening(window, daemon.now()), running)


def _start_of(window: Window, start: datetime | None, now: datetime) -> datetime:
    """Return the start of the opening to come that begins at `start`. Raises JamaintError."""
    opening = None if start is None else next_scheduled(window, start - timedelta(microseconds=1))
    if start is None or opening is None or opening.start != start:
        comes = (
            "it does not open again"
            if opening is None
            else f"the next one after it is at {json_views.time(opening.start)}"
        )
        raise invalid("at", f"window {window.name} has no opening that begins then: {comes}")
    if start <= now:
        raise JamaintError(CONFLICT, f"the opening of {window.name} at {json_views.time(start)} has begun already")
    if start in window.skipped:
        raise JamaintError(CONFLICT, f"the opening of {window.name} at {json_views.time(start)} is skipped already")
    return start


def _starts_to_skip(window: Window, count: int, now: datetime) -> list[datetime]:
    """The next openings that are to happen so far. Raises JamaintError(CONFLICT) where there are none."""
    found: list[datetime] = []
    opening = next_scheduled(window, now)
    while opening is not None and len(found) < count:
        if opening.start not in window.skipped:
            found.append(opening.start)
        opening = next_scheduled(window, opening.start)
    if not found:
        raise JamaintError(CONFLICT, f"cannot skip {window.name}: it does not open again")
    return found


def _with_freezes(daemon: Daemon, window: Window, opening: Opening | None, at: datetime) -> dict[str, Any] | None:
    """An opening with the freezes that hold at `at` for a task scheduled in its window, or for all that it may have."""
    shown = json_views.opening(opening, daemon.scheduler.running_in(window.name))
    return None if shown is None else shown | {"frozen": freezes.in_window(daemon, window.name, at)}


def _following(daemon: Daemon, window: Window, number: int, now: datetime) -> dict[str, Any]:
    found: list[Opening] = []
    opening = next_opening(window, now)
    while opening is not None and len(found) < number:
        found.append(opening)
        opening = next_opening(window, opening.start)
    current = daemon.scheduler.openings.get(window.name)
    item = {
        "window": window.name,
        "timezone": window.timezone,
        "current": _with_freezes(daemon, window, current, now),
        "next": [_with_freezes(daemon, window, one, one.start) for one in found],
        "skipped": [
            {"starts_at": json_views.time(start), "by": by}
            for start, by in sorted(window.skipped.items())
            if start > now
        ],
    }
    return {**item, "next_transition": min(_changes(item), default=None)}


def _changes(item: dict[str, Any]) -> list[str]:
    ends = [] if item["current"] is None else [item["current"]["ends_at"]]
    return ends + [one["starts_at"] for one in item["next"][:1]]
