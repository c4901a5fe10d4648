"""Guards -> text: what lets a task start, what makes it wait, what refuses it. Pure."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from jamaint.ctl.output.text import Cell

MARKS: Mapping[str, Cell] = {"pass": ("green", "ok"), "wait": ("yellow", "waits"), "refuse": ("red", "refuses")}


def guard_rows(guards: Sequence[Mapping[str, Any]]) -> list[Sequence[Cell]]:
    """A mark, the guard's name and what it says, for each."""
    return [(_mark(str(guard.get("verdict"))), str(guard["guard"]), _detail(guard)) for guard in guards]


def _detail(guard: Mapping[str, Any]) -> str:
    """What cannot be known of a time to come is said to be so now."""
    detail = str(guard.get("detail") or "")
    return f"now: {detail}" if guard.get("of") == "now" and detail else detail


def _mark(verdict: str) -> Cell:
    return MARKS.get(verdict, verdict)
