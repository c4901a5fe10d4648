"""Access to resources removed from the configuration but still needed to undo earlier executions.

Root had allowed it, and only an undo or a purge may use it, until what was kept then has expired.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from jamaint.core.safety.sandbox import SandboxPolicy, is_in, topmost

GRACE = timedelta(days=1)
"""A way back that has expired is purged soon, if not at once."""

RetainedAccess = Mapping[str, Any]
"""What went at one time: {until, kinds, back, databases, secrets}, the last four as in the workers' file."""


class StrangeError(ValueError):
    """The workers' file is not what `config apply` writes."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What ways back need besides the configuration: directories and files of secrets, by kind of worker."""

    paths: Mapping[str, tuple[str, ...]]
    secrets: Mapping[str, tuple[str, ...]]


def with_what_left(wanted: SandboxPolicy, before: Mapping[str, Any], now: datetime) -> SandboxPolicy:
    """`wanted` with what `before`, the workers' file of until now, has more, and what left earlier, while needed.

    Raises StrangeError where that file is none of ours.
    """
    try:
        until = _kept_until(wanted, before, now)
        former = _former(wanted, before, now, max(until, now + _keeps(wanted, before)))
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
        raise StrangeError(f"{type(error).__name__}: {error}") from error
    return replace(wanted, keeps_until=until.isoformat() if until > now else None, former=former)


def needs(former: Sequence[RetainedAccess]) -> Needs:
    """All of them together."""
    return Needs(_joined([one["kinds"] for one in former]), _joined([one["secrets"] for one in former]))


def with_former(applied: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """What was applied as it is for an undo or a purge: with what left and is still needed."""
    former = [one for one in applied.get("former", ()) if _moment(one["until"]) > now]
    return {
        **applied,
        "kinds": _joined([applied.get("kinds", {}), *(one["kinds"] for one in former)]),
        "back": [*applied.get("back", ()), *(text for one in former for text in one["back"])],
        "databases": [*applied.get("databases", ()), *(text for one in former for text in one["databases"])],
        "secrets": _joined([applied.get("secrets", {}), *(one["secrets"] for one in former)]),
    }


def _kept_until(wanted: SandboxPolicy, before: Mapping[str, Any], now: datetime) -> datetime:
    """How long what was kept until now may be needed, where that is longer than what the retention says now."""
    earlier = before.get("keeps_until")
    until = now if earlier is None else _moment(earlier)
    if "keeps_seconds" in before and before["keeps_seconds"] > wanted.keeps_seconds:
        until = max(until, now + _keeps(wanted, before))
    return until


def _keeps(wanted: SandboxPolicy, before: Mapping[str, Any]) -> timedelta:
    return timedelta(seconds=before.get("keeps_seconds", wanted.keeps_seconds))


def _former(
    wanted: SandboxPolicy, before: Mapping[str, Any], now: datetime, until: datetime
) -> tuple[RetainedAccess, ...]:
    still = [dict(one) for one in before.get("former", ()) if _moment(one["until"]) > now]
    gone = {
        "kinds": _left_of(before.get("kinds", {}), wanted.paths),
        "back": sorted(set(before.get("back", ())) - set(wanted.back)),
        "databases": sorted(set(before.get("databases", ())) - set(wanted.databases)),
        "secrets": {
            kind: files for kind, files in _left_of(before.get("secrets", {}), wanted.secrets).items() if files
        },
    }
    needs(still)
    return (*still, {"until": (until + GRACE).isoformat(), **gone}) if any(gone.values()) else tuple(still)


def _left_of(before: Mapping[str, Sequence[str]], wanted: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """By kind; one that is gone as a whole is named even when there is nothing below it."""
    found = {kind: [path for path in paths if not is_in(path, wanted.get(kind, ()))] for kind, paths in before.items()}
    return {kind: paths for kind, paths in found.items() if paths or kind not in wanted}


def _joined(parts: Sequence[Mapping[str, Sequence[str]]]) -> dict[str, tuple[str, ...]]:
    kinds = dict.fromkeys(kind for part in parts for kind in part)
    return {kind: topmost(path for part in parts for path in part.get(kind, ())) for kind in kinds}


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text} has no zone")
    return found
