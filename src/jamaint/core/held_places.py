"""Held places: what a rollback has put back is old still, so it is left alone for another age, or until it is released.

A worker tells with an undo what it has put back (`HoldRecord`). That lies with the rollback point, is handed to each
worker that plans, and is what `held.list` shows. A place is one root, table or server; it is held until its own moment,
whoever looks. Records of versions before this one name no places: they hold for another age of whatever rule looks.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NotRequired, TypedDict

SECOND_NS = 10**9
USUAL_SECONDS = 86_400.0
"""For so long is held what has no age of its own."""
KEPT_ELSEWHERE = frozenset({"row"})
"""Units of which a worker has written down, where they are, that they are held."""


class HeldPlace(TypedDict):
    """A root, table or server with what was put back there: `items` of `unit` (file, log, row, key)."""

    path: str
    items: int
    unit: str
    until_ns: int


class HoldRecord(TypedDict):
    """One step's undo: the moments between which it put things back, and inodes that are known by their number.

    `execution` is the one that was undone; workers are told, the store knows it by the row. `kept` names what a worker
    has kept of it, where that tells which items came back.
    """

    from_ns: int
    until_ns: int
    inodes: list[int]
    places: NotRequired[list[HeldPlace]]
    execution: NotRequired[str]
    kept: NotRequired[str]


def until(ended_ns: int, seconds: float | None) -> int:
    """Return the moment until which something is held that an undo put back; `seconds` is its rule's age."""
    return ended_ns + int((USUAL_SECONDS if seconds is None else seconds) * SECOND_NS)


def standing(records: Iterable[HoldRecord], now_ns: int) -> list[HoldRecord]:
    """Return what still holds: the records with the places whose time is not over."""
    return _only(records, lambda place: place["until_ns"] > now_ns)


def at(records: Iterable[HoldRecord], path: str, now_ns: int) -> list[HoldRecord]:
    """Return what still holds at a path: where a place is that path, lies below it or above it."""
    return _only(records, lambda place: place["until_ns"] > now_ns and overlap(place["path"], path))


def overlap(one: str, other: str) -> bool:
    """Return True if two paths are one, or one lies below the other."""
    first, second = one.rstrip("/") + "/", other.rstrip("/") + "/"
    return first.startswith(second) or second.startswith(first)


def released(records: Iterable[HoldRecord], path: str | None) -> list[HoldRecord]:
    """Return the records without the places at `path`; without all for None."""
    return [] if path is None else _only(records, lambda place: place["path"] != path)


def _only(records: Iterable[HoldRecord], test: Callable[[HeldPlace], bool]) -> list[HoldRecord]:
    """The records with the places that pass; those that lose all their places are left out."""
    found: list[HoldRecord] = []
    for one in records:
        if "places" not in one:
            found.append(one)
        elif places := [place for place in one["places"] if test(place)]:
            found.append({**one, "places": places})
    return found


def merged(places: Iterable[HeldPlace]) -> list[HeldPlace]:
    """Return one entry for each path and unit: the items together, held until the last of them is let go."""
    found: dict[tuple[str, str], HeldPlace] = {}
    for place in places:
        key = place["path"], place["unit"]
        known = found.get(key)
        found[key] = (
            {**place}
            if known is None
            else {
                **known,
                "items": known["items"] + place["items"],
                "until_ns": max(known["until_ns"], place["until_ns"]),
            }
        )
    return list(found.values())


def places_of(records: Iterable[HoldRecord]) -> list[HeldPlace]:
    """Return the places of records, merged."""
    return merged(place for one in records for place in one.get("places", ()))


def with_hold(roots: Sequence[Mapping[str, Any]], seconds: float | None) -> list[dict[str, Any]]:
    """Return the roots of a way back, each with how long is held what comes back there."""
    return [{**root, "hold": seconds} for root in roots]
