"""Held: list what rollbacks have put back and cleanings leave alone, and release it."""

from collections.abc import Sequence
from typing import Any

from jamaint.core.held_places import places_of, standing
from jamaint.core.purges import roots_of
from jamaint.daemon.control.commands.command import Call, Daemon, ask, execution_of, take, writable
from jamaint.daemon.control.commands.pagination import limit_of, number_cursor, page
from jamaint.daemon.state import json_views
from jamaint.errors import invalid, refused
from jamaint.files.rules.ages import nanoseconds
from jamaint.store import rollback_points
from jamaint.store.rollback_points import Kept


async def listed(daemon: Daemon, call: Call) -> dict[str, Any]:
    """A page of what is held now, by place: of all, or of one execution's rollback; the newest execution first."""
    reference, limit, cursor = take(call, execution=str, limit=int, cursor=str)
    ident = None if reference is None else (await execution_of(daemon, reference)).id
    first, size = 0 if cursor is None else number_cursor(cursor), limit_of(limit)
    found = await held_now(daemon, ident)
    shown = found[first : first + size]
    return page(shown, len(found) > first + size, lambda index: str(first + index + 1))


async def release(daemon: Daemon, call: Call) -> dict[str, Any]:
    """Lets the next runs take what a rollback has put back: all of it, or what is at one of its places."""
    reference, path = take(call, execution_=str, path=str)
    writable(daemon)
    execution = await execution_of(daemon, reference)
    holding = await _holding(daemon, execution.id)
    now_ns = nanoseconds(daemon.now())
    held = [one for kept in holding for one in _items(kept, now_ns)]
    if not held:
        why = "nothing of it is held: it was not rolled back, or all is released or over"
        reasons = [{"guard": "held", "verdict": "refuse", "detail": why}]
        raise refused(f"cannot release {execution.id[:8]}: {why}", reasons)
    if path is not None and path not in [one["path"] for one in held]:
        raise invalid("path", f"is none of the places where it is held: {_named([one['path'] for one in held])}")
    pending = daemon.background(daemon.rollbacks.release, holding[0].point, path)
    await pending.wait()
    daemon.current.put(execution, "released")
    return {
        "execution_id": execution.id,
        "task_name": execution.task_name,
        "released": [one for one in held if path in (None, one["path"])],
        "held": [one for one in held if path is not None and one["path"] != path],
    }


async def held_now(daemon: Daemon, execution_id: str | None = None) -> list[dict[str, Any]]:
    """What is held now, by place, the newest execution first."""
    now_ns = nanoseconds(daemon.now())
    return [one for kept in await _holding(daemon, execution_id) for one in _items(kept, now_ns)]


async def _holding(daemon: Daemon, execution_id: str | None) -> Sequence[Kept]:
    found: Sequence[Kept] = await ask(daemon, rollback_points.holding, execution_id)
    return found


def _items(kept: Kept, now_ns: int) -> list[dict[str, Any]]:
    point = kept.point
    records = standing((point.result or {}).get("held", ()), now_ns)
    of_old = any("places" not in one for one in records)
    places = [json_views.held_place(place) for place in places_of(records)] + (_of_old(kept) if of_old else [])
    return [{"execution_id": point.execution_id, "task_name": kept.task_name, **place} for place in places]


def _of_old(kept: Kept) -> list[dict[str, Any]]:
    """Places of a rollback by an older version, of which it is not known how much came back, nor until when."""
    paths = {path for step in kept.point.steps for path in roots_of(step.undo)}
    return [{"path": path, "items": None, "unit": "file", "until": None} for path in sorted(paths)]


def _named(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return ", ".join(paths[:3]) + more
