"""Openings as an iCalendar file (RFC 5545), for people's own calendars."""

from __future__ import annotations

from jamaint.ctl.output.times import epoch, to_wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

FOLD = 73
"""Octets of a line; what follows begins with a space."""


def calendar(found: Mapping[str, Any]) -> list[str]:
    """The result of `window.next` as lines. Times are in UTC: each calendar shows them in its own zone."""
    stamp = _utc(str(found["now"]))
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//jamaint//jamaintctl//EN", "CALSCALE:GREGORIAN"]
    for item in found["items"]:
        openings = [item["current"], *item["next"]] if item.get("current") else item["next"]
        for opening in openings:
            lines += _event(opening, stamp)
    return [folded for line in [*lines, "END:VCALENDAR"] for folded in _folded(line)]


def _event(opening: Mapping[str, Any], stamp: str) -> Iterator[str]:
    name, starts = str(opening["window_name"]), _utc(opening["starts_at"])
    yield "BEGIN:VEVENT"
    yield f"UID:{_text(name)}-{starts}@jamaint"
    yield f"DTSTAMP:{stamp}"
    yield f"DTSTART:{starts}"
    yield f"DTEND:{_utc(opening['ends_at'])}"
    yield f"SUMMARY:{_text(f'maintenance window {name}')}"
    latest = opening.get("starts_until")
    until = f"nothing starts after {latest}; its zone is {opening.get('timezone')}"
    yield f"DESCRIPTION:{_text(until)}"
    yield "TRANSP:TRANSPARENT"
    yield "END:VEVENT"


def _utc(value: Any) -> str:
    seconds = epoch(value)
    if seconds is None:
        raise ValueError("an opening without its times")
    return to_wire(seconds)[:19].replace("-", "").replace(":", "") + "Z"


def _text(text: str) -> str:
    for char in "\\;,":
        text = text.replace(char, "\\" + char)
    return text.replace("\n", "\\n")


def _folded(line: str) -> Iterable[str]:
    """In lines of at most 75 octets with their CRLF, cut between characters."""
    part, size = "", 0
    for char in line:
        width = len(char.encode())
        if size + width > FOLD:
            yield part
            part, size = " ", 1
        part, size = part + char, size + width
    yield part
