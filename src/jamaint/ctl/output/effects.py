"""One execution -> whether it did anything, from the figures of its steps. Pure."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    Value = Mapping[str, Any]

COUNTED = (
    "files", "rows", "items", "directories", "rebuilt", "dropped", "built_again", "noted", "analysed", "vacuumed",
    "told_again",
)  # fmt: skip
"""Figures that a step has only if it counts its work. A command has none, so nothing is known of what it did."""
FIGURES = (*COUNTED, "freed_space", "freed_on_purge")
"""Figures of a step that count what it did: numbers, or lists of what was done."""
LOOKS = frozenset({"analysis", "database_analysis", "memcached"})
"""Steps that change nothing, whatever their figures are."""


def nothing_done(execution: Value) -> str:
    """Return why a completed execution did nothing; "" if it did something, or if its steps do not tell."""
    if execution.get("status") != "completed":
        return ""
    steps = [step for step in execution.get("steps") or () if step.get("name") not in LOOKS]
    found = [details for step in steps for details in [step.get("details") or {}]]
    if not found or not all(_counts_nothing(details) for details in found):
        return ""
    left = [part for details in found for part in parts(details)]
    skipped = sum(int(part.get("skipped_count") or 0) for part in left)
    if not skipped:
        return "nothing was due"
    reasons = {str(item.get("why")) for part in left for item in part.get("skipped") or ()}
    why = f": {reasons.pop()}" if len(reasons) == 1 else ""
    return f"{skipped:,} left alone{why}"


def is_blocked(execution: Value) -> bool:
    """Return True if the execution did nothing although it met something that it would have worked on."""
    return bool(nothing_done(execution)) and any(
        part.get("skipped_count") for step in execution.get("steps") or () for part in parts(step.get("details") or {})
    )


def parts(details: Value) -> Iterator[Value]:
    """Yield a step's details; of an operation of a system cleanup those of its own steps, too."""
    yield details
    inner = details.get("steps")
    yield from inner.values() if isinstance(inner, dict) else ()


def _counts_nothing(details: Value) -> bool:
    return any(key in details for key in COUNTED) and not any(details.get(key) for key in FIGURES)
