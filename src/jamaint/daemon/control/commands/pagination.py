"""Pages of lists: how many items one has, from where it goes on, and what fits into one line."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from jamaint.daemon.control.commands.command import moment_of
from jamaint.errors import JamaintError, invalid
from jamaint.protocol.control import INTEGER_LIMIT, LINE_LIMIT, dumps

LIMIT = 100
LARGEST_LIMIT = 1000
ROOM = LINE_LIMIT - 4096
"""Bytes for the items of a page: what stands around them in the line needs little."""

NOT_OURS = "was not given by this daemon"


def limit_of(value: int | None, usual: int = LIMIT) -> int:
    """How many items a page has. Raises JamaintError(INVALID_PARAMS)."""
    if value is None:
        return usual
    if not 1 <= value <= LARGEST_LIMIT:
        raise invalid("limit", f"must be from 1 to {LARGEST_LIMIT}")
    return value


def page(items: Sequence[Mapping[str, Any]], more: bool, cursor_of: Callable[[int], str]) -> dict[str, Any]:
    """As many items as fit into one line, at least one; `more` says whether others follow all of these, and
    `cursor_of` makes the cursor after the item of that index."""
    count, size = 0, 0
    for item in items:
        size += len(dumps(item).encode()) + 1
        if count and size > ROOM:
            break
        count += 1
    more = more or count < len(items)
    return {"items": list(items[:count]), "next_cursor": cursor_of(count - 1) if more and count else None}


def by_name(
    names: Sequence[str], view: Callable[[str], Mapping[str, Any]], limit: int | None, cursor: str | None
) -> dict[str, Any]:
    """A page of what is in memory, sorted by name; the cursor is the last name."""
    rest = [name for name in sorted(names) if cursor is None or name > cursor]
    shown = rest[: limit_of(limit)]
    return page([view(name) for name in shown], len(rest) > len(shown), lambda index: shown[index])


def number_cursor(cursor: str) -> int:
    """A cursor that is a whole number. Raises JamaintError(INVALID_PARAMS)."""
    if not cursor.isascii() or not cursor.isdigit() or not 0 <= int(cursor[:20]) < INTEGER_LIMIT or len(cursor) > 20:
        raise invalid("cursor", NOT_OURS)
    return int(cursor)


def moment_cursor(cursor: str) -> tuple[datetime, str]:
    """A cursor that is a moment and an id. Raises JamaintError(INVALID_PARAMS)."""
    text, _, ident = cursor.partition("|")
    try:
        moment = moment_of("cursor", text)
        UUID(ident)
    except (JamaintError, ValueError):
        moment = None
    if moment is None:
        raise invalid("cursor", NOT_OURS)
    return moment, ident
