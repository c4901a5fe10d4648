"""`jamaintctl next`: when windows are open, as the reader's clock has it, as the window's zone has it, and in UTC."""

from __future__ import annotations

import datetime
import zoneinfo

from jamaint.ctl.cli.context import DONE
from jamaint.ctl.output.icalendar import calendar
from jamaint.ctl.output.text import columns
from jamaint.ctl.output.times import epoch, moment, remaining, span, until, utc
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
    """The result of `window.next` as lines."""
    if not found["items"]:
        return ["there are no windows"]
    rows: list[Sequence[Cell]] = []
    for item in found["items"]:
        zone = str(item.get("timezone") or "UTC")
        ours = opening_rows(item.get("current"), item.get("next") or [], zone, look) or [("", "never opens again")]
        ours += [_skipped(one, zone, look) for one in item.get("skipped") or ()]
        rows += [(("bold", str(item["window"]) if at == 0 else ""), *row) for at, row in enumerate(ours)]
    lines = columns(rows, look)
    change = found.get("next_transition")
    return [*lines, "", f"next change {moment(change, look.now)} ({until(change, look.now)})"] if change else lines


def opening_rows(current: Opening | None, coming: Sequence[Opening], zone: str, look: Look) -> list[Sequence[Cell]]:
    """A row for the opening there is and for each to come."""
    rows = [_row(opening, zone, look) for opening in coming]
    if current is None:
        return rows
    _, *rest = _row(current, zone, look)
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
    there = f"{zone_time(starts, zone)} {zone}"
    return (
        ("yellow", f"skipped by {one.get('by')}"),
        moment(one.get("starts_at"), look.now),
        there,
        utc(one["starts_at"]),
    )


def _row(opening: Opening, zone: str, look: Look) -> Sequence[Cell]:
    starts, ends = epoch(opening["starts_at"]), epoch(opening["ends_at"])
    if starts is None or ends is None:
        raise ValueError("an opening without its times")
    return (
        until(opening["starts_at"], look.now),
        f"{moment(opening['starts_at'], look.now)} for {span(ends - starts)}",
        f"{zone_time(starts, zone)} {zone}",
        utc(opening["starts_at"]),
        ("yellow", CHANGES.get(str(opening.get("clock_change")), "")),
        ("yellow", "; ".join(_frozen(one, look) for one in opening.get("frozen") or ())),
    )
