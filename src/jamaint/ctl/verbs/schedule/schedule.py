"""`jamaintctl schedule`: what comes, a task's schedule changed, and what days to come would be like."""

from __future__ import annotations

import time

from jamaint.ctl.cli.context import DONE
from jamaint.ctl.cli.object_files import send_list
from jamaint.ctl.output.tables import table
from jamaint.ctl.output.text import columns, count
from jamaint.ctl.output.times import epoch, moment, span
from jamaint.ctl.verbs.schedule.freezes import frozen_text
from jamaint.ctl.verbs.schedule.next import CHANGES, zone_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from jamaint.ctl.cli.context import Call
    from jamaint.ctl.output.text import Cell, Look

KEYS = ("cron", "calendar", "rrule", "every", "at", "window", "timezone", "since", "catch_up", "misfire_grace", "from",
        "until", "dst_gap")  # fmt: skip
SHOWN = 200
RUNS, OF_EACH = 20, 2
OFTEN = 3
"""So many openings of one window are shown of a day; more are counted."""


def show(call: Call) -> int:
    """The verb."""
    params = {"limit": call.values.get("limit", SHOWN), "often_apart": not call.json}
    params.update({key: call.values[key] for key in ("from", "to") if key in call.values})
    call.show(call.ask("schedule.get", params, patient=True), draw)
    return DONE


def draw(found: Mapping[str, Any], look: Look) -> list[str]:
    """The result of `schedule.get` as lines, a day at a time."""
    rows = _opening_rows(found["openings"], found.get("openings_cut") or ())
    rows += [(str(one["at"]), _task_row(one, look)) for one in found["items"]]
    lines: list[str] = []
    for day, of_day in _by_day(sorted(rows, key=lambda row: row[0])):
        lines += [*([""] if lines else []), look.paint("bold", day), *columns(of_day, look, "  ")]
    if not lines:
        lines = [f"nothing is due between {moment(found['from'], look.now)} and {moment(found['to'], look.now)}"]
    often = found.get("often") or []
    lines += ["", *often_lines(often, look)] if often else []
    lines += [look.paint("yellow", line) for line in clock_lines(found)]
    if found.get("next_cursor"):
        lines += ["", f"there is more: --limit {2 * len(found['items'])}, or --to {found['items'][-1]['at']}"]
    return lines


def often_lines(often: Sequence[Mapping[str, Any]], look: Look) -> list[str]:
    """A line for each task that comes many times a day."""
    rows = [(one["task"], f"about every {span(one['about_every'] / 1000)}") for one in often]
    return [look.paint("bold", "often"), *columns(rows, look, "  ")]


def clock_lines(found: Mapping[str, Any]) -> list[str]:
    """A line for each change of the clocks."""
    lines = []
    for change in found.get("clock_changes") or []:
        seconds = epoch(change["at"]) or 0
        way = "forward" if change["shift_seconds"] > 0 else "back"
        by = span(abs(change["shift_seconds"]))
        lines.append(f"clocks in {change['timezone']} go {way} by {by}, to {zone_time(seconds, change['timezone'])}")
    return lines


def put(call: Call) -> int:
    """The verb `schedule set`."""
    schedule: dict[str, Any] = {key: call.values[key] for key in KEYS if key in call.values}
    if "after" in call.values:
        after = {"task": call.values["after"], "state": call.values.get("state", "completed")}
        schedule["after"] = after
    if "jitter" in call.values:
        stable = bool(call.values.get("stable"))
        schedule["jitter"] = {"up_to": call.values["jitter"], "stable": True} if stable else call.values["jitter"]
    changed = call.ask("schedule.update", {"task": call.values["task"], "schedule": schedule or None})
    call.show(changed, _draw_changed)
    return DONE


def apply(call: Call) -> int:
    """The verb `schedule apply`."""
    changed = send_list(call, "schedule.update", "changes")
    call.show(changed, lambda found, look: [line for task in found["items"] for line in _draw_changed(task, look)])
    return DONE


def _draw_changed(task: Mapping[str, Any], look: Look) -> list[str]:
    if not task.get("schedule"):
        return [f"{task['name']} has no schedule any more: it runs on request"]
    due = task.get("next_due")
    return [
        f"{task['name']} is next due {moment(due, look.now)}" if due else f"{task['name']}: no next time is known yet"
    ]


def simulate(call: Call) -> int:
    """The verb."""
    params = {**call.params(days="days"), **call.params(seed="seed")}
    call.show(call.ask("schedule.simulate", params, patient=True), draw_simulation)
    return DONE


def draw_simulation(found: Mapping[str, Any], look: Look) -> list[str]:
    """The result of `schedule.simulate` as lines: what is wrong first."""
    head = (
        f"{count(found['runs'], 'run')} and {count(found['skipped'], 'skip')} of {count(found['due'], 'occurrence')} "
        f"until {moment(found['until'], look.now)}, at most {found['most_at_once']} at once"
    )
    lines = [head]
    if found["never"]:
        lines += ["", look.paint("red", "never run")]
        lines += columns([(one["task"], one["why"]) for one in found["never"]], look, "  ")
    if found["too_full"]:
        lines += ["", look.paint("yellow", "too full")]
        lines += columns([(one["window"], one["why"]) for one in found["too_full"]], look, "  ")
    if found["windows"]:
        lines += ["", *table(("window", "openings", "runs", "skipped", "used", "fullest"),
                             [_window_row(one) for one in found["windows"]], look, right=(1, 2, 3, 4))]  # fmt: skip
    rows = [_forecast_row(one) for one in found["tasks"][:RUNS] if one["due"]]
    if rows:
        lines += ["", *table(("task", "due", "runs", "skipped", "busy", "waits at most", "why skipped"), rows, look,
                             right=(1, 2, 3), spare=("busy", "waits at most"))]  # fmt: skip
    lines += [
        "",
        look.paint("bold", "first"),
        *columns([_run_row(one, look) for one in _first(found["items"])], look, "  "),
    ]
    return [
        *lines,
        "",
        "durations are drawn from history; conditions count as met; tasks without history: declared duration, or 1 min",
    ]


def _first(items: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The first of them, at most two of each task."""
    seen: dict[str, int] = {}
    kept = []
    for one in items:
        seen[one["task"]] = seen.get(one["task"], 0) + 1
        if seen[one["task"]] <= OF_EACH:
            kept.append(one)
    return kept[:RUNS]


def _window_row(one: Mapping[str, Any]) -> Sequence[Cell]:
    fullest = f"{_share(one['fullest'])} on {str(one['fullest_at'])[:10]}" if one.get("fullest_at") else ""
    skipped = ("red", str(one["skipped"])) if one["skipped"] else "0"
    return one["window"], str(one["openings"]), str(one["runs"]), skipped, _share(one["used"]), fullest


def _forecast_row(one: Mapping[str, Any]) -> Sequence[Cell]:
    skipped = ("red", str(one["skipped"])) if one["skipped"] else "0"
    waits = span(one["longest_wait"] / 1000) if one["longest_wait"] else ""
    why = ", ".join(f"{guard} {number}" for guard, number in one["against"].items())
    return one["task"], str(one["due"]), str(one["runs"]), skipped, span(one["busy"] / 1000), waits, why


def _run_row(one: Mapping[str, Any], look: Look) -> Sequence[Cell]:
    if one["ends_at"] is None:
        return moment(one["scheduled_for"], look.now), one["task"], ("yellow", "skipped"), str(one["why"] or "")
    lasts = (epoch(one["ends_at"]) or 0) - (epoch(one["starts_at"]) or 0)
    where = f"in {one['window']}" if one["window"] else ""
    return moment(one["starts_at"], look.now), one["task"], f"for {span(lasts)}", where


def _share(fraction: float) -> str:
    return f"{fraction * 100:.0f}%"


def _by_day(rows: Sequence[tuple[str, Sequence[Cell]]]) -> list[tuple[str, list[Sequence[Cell]]]]:
    days: dict[str, list[Sequence[Cell]]] = {}
    for at, row in rows:
        there = time.localtime(epoch(at) or 0)
        days.setdefault(time.strftime("%a %Y-%m-%d (%Z)", there), []).append((time.strftime("%H:%M", there), *row))
    return list(days.items())


def _opening_rows(openings: Sequence[Mapping[str, Any]], cut: Sequence[str]) -> list[tuple[str, Sequence[Cell]]]:
    """When each opening begins, and its row; of a window that opens often only the first of a day, and their number.

    Of the windows in `cut` the daemon has not told all: on their last day there may be more.
    """
    of_day: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for one in openings:
        day = time.strftime("%Y-%m-%d", time.localtime(epoch(one["starts_at"]) or 0))
        of_day.setdefault((str(one["window_name"]), day), []).append(one)
    rows: list[tuple[str, Sequence[Cell]]] = []
    last_days = dict(of_day.keys())
    for (name, day), of_window in of_day.items():
        rows += [(str(one["starts_at"]), _opening_row(one)) for one in of_window[:OFTEN]]
        if len(of_window) > OFTEN:
            more = count(len(of_window) - OFTEN, "more opening")
            if name in cut and last_days[name] == day:
                rows.append((str(of_window[OFTEN]["starts_at"]), (("cyan", f"window {name}"), f"{more} or more", "")))
                continue
            last = time.strftime("%H:%M", time.localtime(epoch(of_window[-1]["starts_at"]) or 0))
            rows.append((str(of_window[OFTEN]["starts_at"]), (("cyan", f"window {name}"), more, f"the last at {last}")))
    return rows


def _opening_row(one: Mapping[str, Any]) -> Sequence[Cell]:
    length = (epoch(one["ends_at"]) or 0) - (epoch(one["starts_at"]) or 0)
    tasks = one["tasks_in_all"]
    inside = f"{count(tasks, 'task')} in it" if tasks else "nothing in it"
    return ("cyan", f"window {one['window_name']}"), f"open for {span(length)}", inside, change_cell(one)


def _task_row(one: Mapping[str, Any], look: Look) -> Sequence[Cell]:
    where = f"in {one['window']}" if one.get("window") else ""
    frozen = ("yellow", frozen_text(one.get("frozen"), look))
    return str(one["task"]), expected(one.get("expected")), where, change_cell(one), frozen


def change_cell(one: Mapping[str, Any]) -> Cell:
    """What a change of the clocks does to an occurrence or opening, if anything."""
    return "yellow", CHANGES.get(str(one.get("clock_change")), "")


def expected(value: Any) -> str:
    """How long it takes: `4 min, at most 6 min`."""
    if not value:
        return ""
    usual, long = span(value["p50"] / 1000), span(value["p90"] / 1000)
    return usual if usual == long else f"{usual}, up to {long}"
