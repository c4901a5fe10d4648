"""Former: what the configuration named once and names no more, which the ways back of those days still need.

Root had allowed it, and only an undo or a purge may use it, until what was kept then has expired.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from jamaint.core.fences import Fences, is_in, topmost

GRACE = timedelta(days=1)
"""A way back that has expired is purged soon, if not at once."""

Former = Mapping[str, Any]
"""What went at one time: {until, kinds, commands, databases, secrets}, the last four as in the workers' file."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What ways back need besides the configuration: directories and files of secrets, by kind of worker."""

    paths: Mapping[str, tuple[str, ...]]
    secrets: Mapping[str, tuple[str, ...]]


def leaving(before: Mapping[str, Any], wanted: Fences, now: datetime) -> tuple[Former, ...]:
    """What `before`, the workers' file of until now, has and `wanted` has not; and what left earlier, while needed."""
    still = [one for one in before.get("former", ()) if _until(one) > now]
    gone = {
        "kinds": _left_of(before.get("kinds", {}), wanted.paths),
        "commands": sorted(set(before.get("commands", ())) - set(wanted.commands)),
        "databases": sorted(set(before.get("databases", ())) - set(wanted.databases)),
        "secrets": {
            kind: files for kind, files in _left_of(before.get("secrets", {}), wanted.secrets).items() if files
        },
    }
    if not any(gone.values()):
        return tuple(still)
    until = now + timedelta(seconds=before.get("keeps_seconds", 0)) + GRACE
    return (*still, {"until": until.isoformat(), **gone})


def needs(former: Sequence[Former]) -> Needs:
    """All of them together."""
    return Needs(_joined([one["kinds"] for one in former]), _joined([one["secrets"] for one in former]))


def with_former(applied: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """What was applied as it is for an undo or a purge: with what left and is still needed."""
    former = [one for one in applied.get("former", ()) if _until(one) > now]
    return {
        **applied,
        "kinds": _joined([applied.get("kinds", {}), *(one["kinds"] for one in former)]),
        "commands": [*applied.get("commands", ()), *(text for one in former for text in one["commands"])],
        "databases": [*applied.get("databases", ()), *(text for one in former for text in one["databases"])],
    }


def _left_of(before: Mapping[str, Sequence[str]], wanted: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """By kind; one that is gone as a whole is named even when there is nothing below it."""
    found = {kind: [path for path in paths if not is_in(path, wanted.get(kind, ()))] for kind, paths in before.items()}
    return {kind: paths for kind, paths in found.items() if paths or kind not in wanted}


def _joined(parts: Sequence[Mapping[str, Sequence[str]]]) -> dict[str, tuple[str, ...]]:
    kinds = dict.fromkeys(kind for part in parts for kind in part)
    return {kind: topmost(path for part in parts for path in part.get(kind, ())) for kind in kinds}


def _until(one: Former) -> datetime:
    return datetime.fromisoformat(one["until"])
