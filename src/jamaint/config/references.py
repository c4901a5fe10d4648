"""References between objects: whether named windows and tasks exist, and that no task waits for itself."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from jamaint.config.task_window_models import task_followed, tasks_waited_for, window_asked_for
from jamaint.core.calendar.windows import Window
from jamaint.core.estimates import expected
from jamaint.core.scheduling.never_starts import longest_if_needed, never_comes, never_fits, never_opens, not_allowed
from jamaint.core.tasks import Task
from jamaint.schema.errors import Flaw, did_you_mean
from jamaint.schema.units import shown

Given = Mapping[str, Any]

SCOPED = ("freezes", "policies")
"""Sections whose objects have a scope."""


def wrong_names(
    name: str, given: Given, tasks: Mapping[str, Given] | None, windows: Mapping[str, Given] | None
) -> Iterator[Flaw]:
    """What task `name` names and is not there. `tasks` and `windows` are all there are, as they were given, or None
    if that is not known."""
    window = window_asked_for(given)
    if window is not None and windows is not None and window not in windows:
        yield Flaw(("schedule", "window"), f"there is no window {shown(window)}: {did_you_mean(window, windows)}")
    followed = task_followed(given)
    if followed is not None and followed == name:
        yield Flaw(("schedule", "after"), f"{shown(name)} cannot come after itself: name another task")
    elif followed is not None and tasks is not None and followed not in tasks:
        known = did_you_mean(followed, tasks.keys() - {name})
        yield Flaw(("schedule", "after"), f"there is no task {shown(followed)}: {known}")
    for index, task in tasks_waited_for(given):
        path = ("dependencies", index, "task")
        if task == name:
            yield Flaw(path, f"{shown(name)} cannot wait for itself: remove the dependency")
        elif tasks is None:
            continue
        elif task not in tasks:
            yield Flaw(path, f"there is no task {shown(task)}: {did_you_mean(task, tasks.keys() - {name})}")
        elif tasks[task].get("enabled") is False and given.get("enabled") is not False:
            yield Flaw(
                path, f"{task} is disabled, so {shown(name)} would never start: enable it, or disable {shown(name)} too"
            )


def wrong_rings(tasks: Mapping[str, Given], starts: Iterable[str]) -> Iterator[tuple[str, Flaw]]:
    """Each ring of tasks that wait for one another, met from `starts`, once: its first task, and the flaw of that."""
    done: set[str] = set()
    for start in starts:
        for ring in _rings(start, tasks, done):
            index = next(index for index, task in tasks_waited_for(tasks[ring[0]]) if task == ring[1])
            way = " -> ".join(shown(name) for name in ring)
            problem = f"these tasks wait for one another, so none would start: {way}"
            yield ring[0], Flaw(("dependencies", index, "task"), problem)


def wrong_circles(tasks: Mapping[str, Given], starts: Iterable[str]) -> Iterator[tuple[str, Flaw]]:
    """Each circle of tasks that come `after` one another, met from `starts`, once: they would run for ever."""
    done: set[str] = set()
    for start in starts:
        way: list[str] = []
        here: str | None = start
        while here is not None and here in tasks and here not in done and here not in way:
            way.append(here)
            here = task_followed(tasks[here])
        if (
            here is not None and here in way and len(way) > way.index(here) + 1
        ):  # what comes after itself is told of already
            names = " -> ".join(shown(name) for name in [*way[way.index(here) :], here])
            yield here, Flaw(("schedule", "after"), f"each comes after the other, so they would run for ever: {names}")
        done.update(way)


def _rings(start: str, tasks: Mapping[str, Given], done: set[str]) -> Iterator[list[str]]:
    """Walks from `start` without recursion, which a chain of thousands of tasks would exhaust."""
    if start in done:
        return
    way = {start: tasks_waited_for(tasks[start])}
    while way:
        here = next(reversed(way))
        _, task = next(way[here], (0, None))
        if task is None:
            done.add(here)
            del way[here]
        elif task in way and task != here:
            names = list(way)
            yield [*names[names.index(task) :], task]
        elif task in tasks and task not in done and task not in way:
            way[task] = tasks_waited_for(tasks[task])


def unknown_channels(given: Given, channels: Iterable[str]) -> Iterator[Flaw]:
    """Yield the channels that an object's `notifications` name and that `notifications.channels` does not have."""
    told = given.get("notifications")
    named = told.get("channels") if isinstance(told, Mapping) else None
    for index, name in enumerate(named if isinstance(named, list) else ()):
        if isinstance(name, str) and name not in channels:
            known = did_you_mean(name, channels)
            yield Flaw(("notifications", "channels", index), f"there is no channel {shown(name)}: {known}")


def idle_tasks(tasks: Mapping[str, Task], windows: Mapping[str, Window], now: datetime) -> Iterator[tuple[str, Flaw]]:
    """Yield the tasks that their window will never let start, with the reason."""
    for name, task in tasks.items():
        window = windows.get(task.schedule.window) if task.schedule and task.schedule.window else None
        if task.enabled and (problem := never_comes(task, now)) is not None:
            yield name, Flaw(("schedule",), problem)
        if window is None:
            continue
        if not window.enabled:
            yield name, Flaw(("schedule", "window"), f"window {window.name} is disabled, so {name} will not come due")
        elif (problem := not_allowed(task, window) or never_opens(task, window, now)) is not None:
            yield name, Flaw(("schedule", "window"), problem)
        else:
            declared = expected(task, ())
            longest = longest_if_needed(window, windows.values(), declared, now)
            if (problem := never_fits(task, window, declared, longest)) is not None:
                yield name, Flaw(("expected_duration",), problem)


def strangers_in_scope(given: Given, tasks: Iterable[str], windows: Iterable[str]) -> Iterator[Flaw]:
    """Tasks and windows in the scope of a freeze or policy that no file defines: one made through the socket may be
    meant, and a name that is not right as well."""
    scope = given.get("scope")
    for key, there in (("tasks", set(tasks)), ("windows", set(windows))):
        names = scope.get(key) if isinstance(scope, Mapping) else None
        for index, name in enumerate(names if isinstance(names, list) else ()):
            if isinstance(name, str) and name not in there:
                problem = f"no file has a {key[:-1]} {shown(name)}: {did_you_mean(name, there)}"
                yield Flaw(("scope", key, index), problem)
