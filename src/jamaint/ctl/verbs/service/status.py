"""`jamaintctl status`: the whole state of the daemon on one screen."""

from __future__ import annotations

from jamaint.ctl.output.execution_text import (
    amount,
    duration,
    error_text,
    freed,
    left,
    paused_text,
    step_name,
    waiting_for,
    waiting_text,
    waits_text,
)
from jamaint.ctl.output.text import bar, blocks, columns, count, percent, short, size, status_cell
from jamaint.ctl.output.times import ago, moment, remaining, span, until
from jamaint.ctl.verbs.schedule.freezes import told

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from jamaint.ctl.cli.context import Call
    from jamaint.ctl.output.text import Cell, Look

    Value = Mapping[str, Any]

BAR_WIDTH = 12
ENDINGS = ("completed", "failed", "cancelled", "rolled_back")
SHOWN = 7
"""So many of each list: with all of them full it is still a screen."""


def status(call: Call) -> int:
    """The verb."""
    call.show(call.ask("status", {}), draw)
    return 0


def draw(found: Value, look: Look) -> list[str]:
    """The result of `status` as lines."""
    lines = columns(_head(found, look), look)
    queued = found.get("queued") or 0  # of a long queue the daemon sends the head
    for title, rows, total, right in (
        ("RUNNING", [_running(item, look) for item in found["active_tasks"]], 0, (3,)),
        ("QUEUED", [_queued(item) for item in found["queued_tasks"]], queued, ()),
        ("WINDOWS", _windows(found, look), 0, ()),
        ("FREEZES", [(str(one["name"]), ("yellow", told(one, look))) for one in found.get("freezes") or ()], 0, ()),
        ("RECENT", [_recent(item, look) for item in found["recent_executions"]], 0, (3, 4, 5)),
        ("ALERTS", [_alert(item, look) for item in found["alerts"]], 0, ()),
    ):
        if rows:
            shown = _that_fit(blocks(rows[:SHOWN], look, "  ", right))
            lines += ["", look.paint("bold", title), *(line for block in shown for line in block)]
            if max(len(rows), total) > len(shown):
                lines.append(f"  … and {max(len(rows), total) - len(shown):,} more")
    return lines


def _that_fit(rows: Sequence[list[str]]) -> Sequence[list[str]]:
    """The first of the rows, in `SHOWN` lines; one in any case. On a narrow screen a row may take several."""
    at, used = 1, len(rows[0])
    while at < len(rows) and used + len(rows[at]) <= SHOWN:
        used += len(rows[at])
        at += 1
    return rows[:at]


def _head(found: Value, look: Look) -> list[Sequence[Cell]]:
    daemon = found["daemon"]
    rows: list[Sequence[Cell]] = [
        (("bold", "jamaint"), status_cell(found["overall"])),
        (("dim", "daemon"), f"{daemon['version']}, pid {daemon['pid']}, started {ago(daemon['started_at'], look.now)}"),
        (("dim", "scheduler"), _scheduler(found["scheduler"], look)),
    ]
    if daemon["database"]["state"] != "ok":
        rows.append((("dim", "database"), ("red", f"{daemon['database']['state']}: {daemon['database']['detail']}")))
    if daemon["config"].get("problem"):
        rows.append((("dim", "config"), ("red", f"{daemon['config']['path']}: {daemon['config']['problem']}")))
    return [*rows, (("dim", "last 24 h"), _last_day(found["metrics"]["last_24h"]))]


def _last_day(totals: Value) -> str:
    """What has ended, and what it freed; there are no totals while the database is away."""
    if not totals:
        return "unknown"
    counts = [(totals.get(status), status.replace("_", " ")) for status in ENDINGS]
    ended = [f"{number:,} {status}" for number, status in counts if number] or ["no executions"]
    return ", ".join([*ended, freed(totals.get("freed_space") or 0)])


def _scheduler(scheduler: Value, look: Look) -> Cell:
    text = str(scheduler["state"])
    due = scheduler.get("next_due")
    if due and scheduler["state"] == "active":
        text += f", next due {moment(due, look.now)} ({until(due, look.now)})"
    text += f"; {count(scheduler['tasks'], 'task')}, {count(scheduler['windows'], 'window')}"
    text += f", at most {scheduler['max_concurrent_tasks']} at once"
    return ("", text) if scheduler["state"] == "active" else ("yellow", text)


def _running(execution: Value, look: Look) -> Sequence[Cell]:
    progress = execution.get("progress") or {}
    fraction = progress.get("fraction")
    held = paused_text(execution, look) or waiting_text(execution)
    return (
        short(execution["id"]),
        str(execution["task_name"]),
        ("cyan", "" if fraction is None else bar(fraction, BAR_WIDTH, look.unicode)),
        percent(fraction),
        step_name(execution),
        amount(progress),
        ("yellow", held) if held else _goes_on(execution, look),
    )


def _goes_on(execution: Value, look: Look) -> str:
    text = left(execution, look) or f"started {ago(execution['started_at'], look.now)}"
    return f"{text}, throttled ({execution['throttle']:g})" if execution.get("throttle") else text


def _queued(execution: Value) -> Sequence[Cell]:
    return short(execution["id"]), str(execution["task_name"]), ("yellow", waits_text(execution))


def _windows(found: Value, look: Look) -> list[Sequence[Cell]]:
    rows = [_open(opening, look) for opening in found["current_windows"]]
    coming = found.get("next_window")
    if coming:
        lasts = span(coming["duration_minutes"] * 60)
        opens = f"opens {moment(coming['starts_at'], look.now)} ({until(coming['starts_at'], look.now)}) for {lasts}"
        rows.append((str(coming["window_name"]), ("dim", "next"), opens))
    return rows


def _open(opening: Value, look: Look) -> Sequence[Cell]:
    text = f"until {moment(opening['ends_at'], look.now)} ({remaining(opening['ends_at'], look.now)})"
    if opening.get("starts_until") != opening["ends_at"]:
        text += f", starts until {moment(opening.get('starts_until'), look.now)}"
    text += f", {opening['running']} of {opening['max_concurrent_tasks']} running"
    return str(opening["window_name"]), ("cyan", "open"), text


def _recent(execution: Value, look: Look) -> Sequence[Cell]:
    metrics = execution.get("metrics") or {}
    space, later = metrics.get("freed_space"), metrics.get("freed_on_purge")
    return (
        short(execution["id"]),
        str(execution["task_name"]),
        status_cell(execution["status"]),
        ago(execution.get("completed_at") or execution.get("scheduled_for"), look.now),
        duration(execution.get("duration")),
        "" if space is None else freed(space),
        _outcome(execution, later),
    )


def _outcome(execution: Value, later: Any) -> Cell:
    """What went wrong, why it was given up, or what is still to come."""
    if execution.get("error"):
        return "red", error_text(execution)
    if execution["status"] == "cancelled":
        return "yellow", waiting_for(execution)
    return f"and {size(later)} on purge" if later else ""


def _alert(alert: Any, look: Look) -> Sequence[Cell]:
    if not isinstance(alert, dict):
        return (("red", str(alert)),)
    text = alert.get("message") or alert.get("name") or alert.get("id")
    when = ago(alert["at"], look.now) if alert.get("at") else ""
    return ("red", str(alert.get("severity") or "alert")), f"{text}, {when}" if when else str(text)
