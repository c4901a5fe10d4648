"""`jamaintctl audit`: list changes and refusals: who, what, when."""

from __future__ import annotations

from jamaint.ctl.cli.context import DONE, PAGE
from jamaint.ctl.output.tables import table
from jamaint.ctl.output.text import scalar, short
from jamaint.ctl.output.times import second, stamp, zoned

UUID_LENGTH, UUID_DASHES = 36, 4

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from jamaint.ctl.cli.context import Call
    from jamaint.ctl.output.text import Cell, Look


def audit(call: Call) -> int:
    """The verb."""
    call.show(call.items("audit.list", call.params(since="since"), call.values.get("limit", PAGE)), draw)
    return DONE


def draw(found: Mapping[str, Any], look: Look) -> list[str]:
    """The result of `audit.list` as lines."""
    if not found["items"]:
        return ["no entries for that time"]
    head = (zoned("WHEN", look.now) if look.narrow else "WHEN", "WHO", "ROLE", "CALL", "OBJECT", "OUTCOME", "DETAIL")
    lines = table(head, [_row(entry, look) for entry in found["items"]], look, spare=("ROLE",), below=True)
    return [*lines, "… there are more: --limit N"] if found.get("next_cursor") else lines


def _object(name: str) -> str:
    """A name, or the beginning of an execution's id: as much of it as one types."""
    return short(name) if len(name) == UUID_LENGTH and name.count("-") == UUID_DASHES else name


def _row(entry: Mapping[str, Any], look: Look) -> Sequence[Cell]:
    outcome = str(entry.get("outcome") or "")
    detail = entry.get("detail")
    if isinstance(detail, dict):
        detail = detail.get("message") or ", ".join(f"{key} {scalar(value)}" for key, value in detail.items())
    return (
        second(entry.get("at"), look.now) if look.narrow else stamp(entry.get("at")),
        f"{entry.get('user') or entry.get('uid')} (pid {entry.get('pid')})",
        str(entry.get("role") or "none"),
        str(entry.get("method")),
        _object(str(entry.get("object") or "")),
        ("green" if outcome in {"ok", "done", "allowed"} else "red", outcome),
        str(detail or ""),
    )
