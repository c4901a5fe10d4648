"""`jamaintctl window …`: when maintenance may happen."""

from __future__ import annotations

import time

from jamaint.ctl.cli.context import DONE, REFUSED
from jamaint.ctl.cli.object_files import send
from jamaint.ctl.output.tables import table
from jamaint.ctl.output.text import columns, fields, outline, short
from jamaint.ctl.output.times import brief, epoch, moment, span, until, zoned
from jamaint.ctl.verbs.schedule.next import opening_rows, zone_time
from jamaint.ctl.verbs.schedule.tasks import schedule_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from jamaint.ctl.cli.context import Call
    from jamaint.ctl.output.text import Cell, Look

    Window = Mapping[str, Any]


def show_list(call: Call) -> int:
    """`window list`."""
    call.show(call.items("window.list", {}), draw_list)
    return DONE


def show(call: Call) -> int:
    """`window show`."""
    call.show(call.ask("window.get", {"window": call.values["window"]}), draw)
    return DONE


def create(call: Call) -> int:
    """`window create -f`."""
    call.show(send(call, "window.create", "window"), lambda window, _look: [f"window {window['name']} created"])
    return DONE


def update(call: Call) -> int:
    """`window update`."""
    found = send(call, "window.update", "window", call.values["window"])
    call.show(found, lambda window, _look: [f"window {window['name']} updated"])
    return DONE


def delete(call: Call) -> int:
    """`window delete`."""
    name = call.values["window"]
    call.show(call.ask("window.delete", {"window": name}), lambda _result, _look: [f"window {name} deleted"])
    return DONE


def skip(call: Call) -> int:
    """`window skip`."""
    params = call.params(window="window", next="next", at="at", undo="undo")
    call.show(call.ask("window.skip", params), draw_skip)
    return DONE


def execute(call: Call) -> int:
    """`window execute`."""
    found = call.ask("window.execute", call.params(window="window", at="at"))
    call.show(found, draw_execute)
    return DONE if any(item["execution_id"] for item in found["items"]) else REFUSED


def draw_execute(found: Mapping[str, Any], look: Look) -> list[str]:
    """The result of `window.execute` as lines."""
    rows: list[Sequence[Cell]] = [
        (
            str(item["task"]),
            ("green", "started") if item["execution_id"] else ("red", "refused"),
            short(item["execution_id"]) if item["execution_id"] else str(item["refused"]),
        )
        for item in found["items"]
    ]
    lines = columns(rows, look)
    if any(item["execution_id"] for item in found["items"]):
        lines.append(f"{found['window']} will not open {moment(found['opening'], look.now)}")
    return lines


def draw_skip(found: Mapping[str, Any], look: Look) -> list[str]:
    """The result of `window.skip` as lines."""
    name, zone = str(found["window"]), str(found.get("timezone") or "UTC")
    starts, words = found.get("skipped"), "will not open"
    if starts is None:
        starts, words = found.get("taken_back") or [], "skip cancelled: opens"
    lines = [f"{name} {words} {moment(start, look.now)}{_there(start, zone)}" for start in starts]
    if not starts:
        lines.append(f"{name}: nothing was skipped")
    coming = found.get("next")
    if coming is None:
        return [*lines, "it does not open again"]
    return [*lines, f"next opening {moment(coming['starts_at'], look.now)} ({until(coming['starts_at'], look.now)})"]


def draw_list(found: Mapping[str, Any], look: Look) -> list[str]:
    """The result of `window.list` as lines."""
    if not found["items"]:
        return ["no windows are defined"]
    rows = [_row(window, look) for window in found["items"]]
    opens = zoned("OPENS", look.now) if look.narrow else "OPENS NEXT"
    head = ("WINDOW", "NOW", "SCHEDULE", "ZONE", "FOR", "ALLOWS", opens)
    return table(head, rows, look, spare=("ALLOWS", "FOR", "ZONE"))


def draw(window: Window, look: Look) -> list[str]:
    """One window as lines; its openings in local time, in its own zone, and in UTC."""
    zone = str(window.get("timezone") or "UTC")
    cutoff = window.get("cutoff")
    pairs: list[tuple[str, Cell]] = [
        ("window", ("bold", str(window["name"]))),
        ("id", str(window.get("id") or "")),
        ("description", str(window.get("description") or "")),
        ("now", _now(window, look)),
        ("schedule", schedule_text(window.get("schedule"))),
        ("zone", f"{zone}, where it is {zone_time(look.now, zone)}"),
        ("lasts", span(window["duration"] * 60)),
        ("last start", f"{span(cutoff * 60)} before the end" if cutoff else ""),
        ("allows", ", ".join(window.get("allowed_tasks") or ()) or "every type"),
        ("at once", str(window.get("max_concurrent_tasks") or "")),
        ("emergency", "may be passed with --emergency" if window.get("emergency_override") else "may not be passed"),
        ("defined in", {"file": "the configuration", "api": "the database"}.get(str(window.get("origin")), "")),
    ]
    lines = fields(pairs, look)
    rows = opening_rows(window.get("current"), [window["next"]] if window.get("next") else [], zone, look)
    lines += ["", look.paint("bold", "OPENINGS"), *columns(rows, look, "  ")] if rows else []
    for key in ("exclusions", "conditions", "notifications"):
        if window.get(key):
            lines += ["", look.paint("bold", key.upper()), *outline(window[key], "  ")]
    return lines


def _row(window: Window, look: Look) -> Sequence[Cell]:
    coming = window.get("next") or {}
    opens = coming.get("starts_at")
    return (
        str(window["name"]),
        _now(window, look),
        schedule_text(window.get("schedule")),
        str(window.get("timezone") or ""),
        span(window["duration"] * 60),
        ", ".join(window.get("allowed_tasks") or ()) or "every type",
        _opens(opens, look),
    )


def _opens(opens: Any, look: Look) -> str:
    if not opens:
        return "never"
    return brief(opens, look.now) if look.narrow else f"{moment(opens, look.now)} ({until(opens, look.now)})"


def _there(start: Any, zone: str) -> str:
    """The start on the window's clock, in brackets; nothing where that reads as the local one."""
    seconds = epoch(start)
    if seconds is None:
        return f" ({zone})"
    there = zone_time(seconds, zone)
    return "" if there == time.strftime("%a %Y-%m-%d %H:%M", time.localtime(seconds)) else f" ({there} {zone})"


def _now(window: Window, look: Look) -> Cell:
    if not window.get("enabled", True):
        return "yellow", "disabled"
    current = window.get("current")
    if not current:
        return "closed"
    return "cyan", f"open until {(brief if look.narrow else moment)(current['ends_at'], look.now)}"
