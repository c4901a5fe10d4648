"""Guards -> text: what lets a task start, what makes it wait, what refuses it. Pure."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from jamaint.ctl.render import Cell

MARKS: Mapping[str, Cell] = {"pass": ("green", "ok"), "wait": ("yellow", "waits"), "refuse": ("red", "refuses")}


def guard_rows(guards: Sequence[Mapping[str, Any]]) -> list[Sequence[Cell]]:
    """A mark, the guard's name and what it says, for each."""
    return [(_mark(str(guard.get("verdict"))), str(guard["guard"]), str(guard.get("detail") or "")) for guard in guards]


def _mark(verdict: str) -> Cell:
    return MARKS.get(verdict, verdict)
