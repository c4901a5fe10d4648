"""Freezes: which there are, which hold, and which tasks they keep from starting."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from jamaint.core.calendar.freezes import FreezeState, state_at
from jamaint.core.calendar.restrictions import Hold, Restriction, hold_of, holds_at, restrictions
from jamaint.core.scopes import EVERYTHING
from jamaint.core.tasks import Task
from jamaint.daemon.control.commands.command import Call, Daemon, take
from jamaint.daemon.state import json_views

NAMED = 50
"""As many tasks as one freeze names."""


async def listed(daemon: Daemon, call: Call) -> dict[str, Any]:
    """All freezes, of the configuration and of policies; those that hold first."""
    take(call)
    items = [_view(daemon, one) for one in all_restrictions(daemon)]
    return {"items": sorted(items, key=lambda item: (not item["holds"], item["name"])), "next_cursor": None}


def holding(daemon: Daemon) -> list[dict[str, Any]]:
    """The freezes that hold now, for `status`."""
    return [_view(daemon, hold.restriction) for hold in holds_now(daemon)]


def holds_now(daemon: Daemon) -> tuple[Hold, ...]:
    """The freezes that hold at this moment."""
    states = ((one, _state_of(daemon, one)) for one in all_restrictions(daemon))
    return tuple(Hold(one, state.changes_at) for one, state in states if state.holds)


def _state_of(daemon: Daemon, restriction: Restriction) -> FreezeState:
    """How a freeze stands now, as the calendar has it: that looks only when something turns, and a status often."""
    calendar, freeze = daemon.scheduler.calendar, restriction.freeze
    known = calendar.freezes if restriction.policy is None else calendar.frozen.values()
    found = next((state for state in known if state.freeze is freeze), None)
    return state_at(freeze, daemon.now()) if found is None else found


def all_restrictions(daemon: Daemon) -> tuple[Restriction, ...]:
    """Every freeze that is defined and enabled."""
    definitions = daemon.definitions
    return restrictions(definitions.freezes.values(), definitions.policies_in_order)


def in_window(daemon: Daemon, window: str, moment: datetime) -> list[dict[str, Any]]:
    """The freezes that hold at `moment`, with how many of the tasks scheduled in `window` each keeps from starting."""
    tasks = [task for task in daemon.definitions.tasks.values() if task.enabled and _window_of(task) == window]
    found = []
    for hold in holds_at(all_restrictions(daemon), moment):
        scope = hold.restriction.scope
        covered = sum(scope.covers(task, window) for task in tasks)
        if covered or (not tasks and scope == EVERYTHING):
            one = {
                "freeze": hold.restriction.name,
                "effect": hold.restriction.effect,
                "until": json_views.time(hold.until),
            }
            found.append({**one, "tasks_covered": covered, "tasks_in_all": len(tasks)})
    return found


def frozen(task: Task, holds: Iterable[Hold]) -> dict[str, Any] | None:
    """What keeps a task from starting while `holds` hold, or None."""
    hold = hold_of(task, _window_of(task), holds)
    if hold is None:
        return None
    return {"freeze": hold.restriction.name, "effect": hold.restriction.effect, "until": json_views.time(hold.until)}


def _view(daemon: Daemon, restriction: Restriction) -> dict[str, Any]:
    state = _state_of(daemon, restriction)
    tasks = [task for task in daemon.definitions.tasks.values() if task.enabled]
    covered = sorted(task.name for task in tasks if restriction.scope.covers(task, _window_of(task)))
    return {
        "name": restriction.name,
        "policy": restriction.policy,
        "description": restriction.description,
        "effect": restriction.effect,
        "conditional": restriction.conditional,
        "holds": state.holds,
        "changes_at": json_views.time(state.changes_at),
        "tasks": covered[:NAMED],
        "tasks_covered": len(covered),
        "tasks_in_all": len(tasks),
    }


def _window_of(task: Task) -> str | None:
    return None if task.schedule is None else task.schedule.window
