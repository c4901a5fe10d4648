"""`jamaintctl next`: when windows are open, as the reader's clock has it, as the window's zone has it, and in UTC."""

from __future__ import annotations

import datetime
import zoneinfo

from jamaint.ctl.cli.context import DONE
from jamaint.ctl.output.icalendar import calendar
from jamaint.ctl.output.text import blocks
from jamaint.ctl.output.times import epoch, moment, remaining, span, until
from jamaint.ctl.verbs.schedule.freezes import frozen_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from jamaint.ctl.cli.context import Call
    from jamaint.ctl.output.text import Cell, Look

    Opening = Mapping[str, Any]

OPENINGS = 3
CHANGES = {"moved": "moved: the clocks leap over its time", "repeated": "the first of two: the clocks go back"}


def show_next(call: Call) -> int:
    """The verb."""
    params = {**call.params(window="window"), "limit": call.values.get("limit", OPENINGS)}
    found = call.ask("window.next", params)
    if call.values.get("ics") and not call.json:
        call.screen.lines(f"{line}\r" for line in calendar(found))
    else:
        call.show(found, draw)
    return DONE


def draw(found: Mapping[str, Any], look: Look) -> list[str]:
    """The result of `window.next` as lines: each window, and below it a line for each opening."""
    if not found["items"]:
        return ["no windows are defined"]
    titles, rows = [], []
    for item in found["items"]:
        zone, current, coming = str(item.get("timezone") or "UTC"), item.get("current"), item.get("next") or []
        lasts = {_length(one) for one in (*coming, *([current] if current else []))}
        common = lasts.pop() if len(lasts) == 1 else None
        ours = opening_rows(current, coming, zone, look, common) or [("never opens again",)]
        ours += [_skipped(one, zone, look) for one in item.get("skipped") or ()]
        about = zone if common is None else f"{zone}, for {span(common)}"
        titles += [f"{look.paint('bold', str(item['window']))}  {look.paint('dim', about)}", *[""] * (len(ours) - 1)]
        rows += ours
    lines = []
    for title, row in zip(titles, blocks(rows, look, "  "), strict=True):
        lines += [title, *row] if title else row
    change = found.get("next_transition")
    return [*lines, "", f"next change {moment(change, look.now)} ({until(change, look.now)})"] if change else lines


def opening_rows(
    current: Opening | None, coming: Sequence[Opening], zone: str, look: Look, common: float | None = None
) -> list[Sequence[Cell]]:
    """A row for the opening there is and for each to come.

    A row does not repeat a moment: the window's own clock and UTC are left out where they read as the local one does.
    The length is left out where it is `common` (seconds), which the caller says.
    """
    rows = [_row(opening, zone, look, common) for opening in coming]
    if current is None:
        return rows
    _, *rest = _row(current, zone, look, common)
    return [(("cyan", f"open, {remaining(current['ends_at'], look.now)}"), *rest), *rows]


def zone_time(seconds: float, zone: str) -> str:
    """That moment on a clock in `zone`: `Tue 2026-11-24 02:00`; a question mark where this machine lacks the zone."""
    try:
        there = datetime.datetime.fromtimestamp(seconds, zoneinfo.ZoneInfo(zone))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return "?"
    return there.strftime("%a %Y-%m-%d %H:%M")


def _frozen(one: Mapping[str, Any], look: Look) -> str:
    share = "" if one["tasks_covered"] == one["tasks_in_all"] else f" ({one['tasks_covered']} of its tasks)"
    return f"{frozen_text(one, look)}{share}"


def _skipped(one: Mapping[str, Any], zone: str, look: Look) -> Sequence[Cell]:
    starts = epoch(one.get("starts_at")) or 0.0
    return (
        ("yellow", f"skipped by {one.get('by')}"),
        moment(one.get("starts_at"), look.now),
        *_other_clocks(starts, zone),
    )


def _row(opening: Opening, zone: str, look: Look, common: float | None) -> Sequence[Cell]:
    length = _length(opening)
    lasts = "" if length == common else f" for {span(length)}"
    return (
        until(opening["starts_at"], look.now),
        f"{moment(opening['starts_at'], look.now)}{lasts}",
        *_other_clocks(epoch(opening["starts_at"]) or 0.0, zone),
        ("yellow", CHANGES.get(str(opening.get("clock_change")), "")),
        ("yellow", "; ".join(_frozen(one, look) for one in opening.get("frozen") or ())),
    )


def _length(opening: Opening) -> float:
    """In seconds."""
    starts, ends = epoch(opening["starts_at"]), epoch(opening["ends_at"])
    if starts is None or ends is None:
        raise ValueError("an opening without its times")
    return ends - starts


def _other_clocks(seconds: float, zone: str) -> tuple[str, str]:
    """That moment on the window's clock and in UTC: `Mon 20:00 EST`, `01:00 UTC`; each only where it reads otherwise
    than the clocks before it, and with its day where that is another one than the local."""
    here, utc = datetime.datetime.fromtimestamp(seconds).astimezone(), datetime.UTC
    try:
        there = datetime.datetime.fromtimestamp(seconds, zoneinfo.ZoneInfo(zone))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return f"? {zone}", _clock(here.astimezone(utc), here)
    own = "" if there.utcoffset() in {here.utcoffset(), datetime.timedelta()} else _clock(there, here)
    return own, "" if not here.utcoffset() else _clock(here.astimezone(utc), here)


def _clock(other: datetime.datetime, here: datetime.datetime) -> str:
    return other.strftime("%H:%M %Z" if other.date() == here.date() else "%a %H:%M %Z")
