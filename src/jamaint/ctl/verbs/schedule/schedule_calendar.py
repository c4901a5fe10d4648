"""`jamaintctl schedule calendar`: a month in the terminal, each opening as a bar with what runs in it."""

from __future__ import annotations

import time

from jamaint.ctl.cli.context import DONE
from jamaint.ctl.output.text import columns, cut
from jamaint.ctl.output.times import epoch, span, to_wire
from jamaint.ctl.verbs.schedule.next import CHANGES
from jamaint.ctl.verbs.schedule.schedule import clock_lines, often_lines
from jamaint.errors import INVALID_PARAMS, JamaintError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from jamaint.ctl.cli.context import Call
    from jamaint.ctl.output.text import Cell, Look

DAY = 86400
BAR, NARROW_BAR = 32, 12
PAST = 1000
SHOWN = 3
"""So many openings of one window are drawn of a day; more are counted."""
NAMES = 60


def show(call: Call) -> int:
    """The verb."""
    start, end = _month(call.values.get("month"), call.look.now)
    params = {"from": to_wire(start), "to": to_wire(end), "limit": 1000, "often_apart": True}
    found = call.ask("schedule.get", params, patient=True)
    ran: dict[str, Any] = {"items": []}
    if start < call.look.now and not call.json:
        ran = call.items("execution.list", {"since": to_wire(start)}, PAST)
    call.show(found, lambda value, look: draw(value, look, start, end, ran))
    return DONE


def draw(
    found: Mapping[str, Any], look: Look, start: float, end: float, ran: Mapping[str, Any] | None = None
) -> list[str]:
    """A month: a row a day, weeks apart. What is to come is as `schedule.get` says (`found`), what has been as the
    executions `ran` (of `execution.list`) say: today's tasks and windows need not have been there then.
    """
    head = time.strftime("%B %Y (%Z)", time.localtime(start))
    legend = _legend(look)
    rows: list[Sequence[Cell]] = []
    lines = [look.paint("bold", head), look.paint("dim", legend), ""]
    for day in _days(start, end):
        if time.localtime(day).tm_wday == 0 and rows:
            rows.append(("",))
        rows += _day_rows(found, day, look, (ran or {}).get("items") or ())
    lines += columns(rows, look)
    more = [look.paint("yellow", line) for line in clock_lines(found)]
    more += often_lines(found["often"], look) if found.get("often") and end > look.now else []
    if (ran or {}).get("next_cursor"):
        more.append(f"only the last {PAST:,} executions are counted: jamaintctl execution list --since has all")
    if found.get("next_cursor"):
        more.append("there is more than a month's screen can show: jamaintctl schedule show --from … --to …")
    return [*lines, *([""] if more else []), *more]


def _legend(look: Look) -> str:
    usual, long, free = _marks(look)
    bars = f"a bar is the whole of an opening: {usual} what usually takes so long, {long} what it can take, {free} free"
    return f"past days: what ran; {bars}"


def _marks(look: Look) -> tuple[str, str, str]:
    return ("█", "▒", "·") if look.unicode else ("#", "+", ".")


def _day_rows(
    found: Mapping[str, Any], day: float, look: Look, ran: Sequence[Mapping[str, Any]]
) -> list[Sequence[Cell]]:
    following = _midnight_after(day)
    there = time.localtime(day)
    name: Cell = ("bold" if there.tm_wday < 5 else "dim", time.strftime("%a %d", there))
    if following - day != DAY:
        name = ("yellow", time.strftime("%a %d", there) + f" ({span(following - day)})")
    rows = _past_rows([one for one in ran if day <= (epoch(one.get("started_at")) or 0) < following])
    by_window: dict[str, list[Mapping[str, Any]]] = {}
    for opening in found["openings"]:
        if day <= (epoch(opening["starts_at"]) or 0) < following and (epoch(opening["ends_at"]) or 0) > look.now:
            by_window.setdefault(str(opening["window_name"]), []).append(opening)
    for openings in by_window.values():
        rows += [_opening_row(one, epoch(one["starts_at"]) or 0, look) for one in openings[:SHOWN]]
        if len(openings) > SHOWN:
            rows.append((("dim", f"{len(openings) - SHOWN} more"), "", f"openings of {openings[0]['window_name']}"))
    alone = [one for one in found["items"] if not one["window"] and max(day, look.now) <= (epoch(one["at"]) or 0)]
    alone = [one for one in alone if (epoch(one["at"]) or 0) < following]
    if alone:
        rows.append(("", "", _alone(alone)))
    rows += [
        (("cyan", "freeze"), "", str(freeze["name"]))
        for freeze in found.get("freezes") or []
        if (epoch(freeze["from"]) or 0) < following and (epoch(freeze["to"]) or 0) > max(day, look.now)
    ]
    return [((name if at == 0 else ""), *row) for at, row in enumerate(rows or [("", "", "")])]


def _past_rows(ran: Sequence[Mapping[str, Any]]) -> list[Sequence[Cell]]:
    """What ran: `3 ran, 1 failed` beside the names."""
    if not ran:
        return []
    wrong = sum(one["status"] in {"failed", "rolled_back"} for one in ran)
    figures: Cell = ("red", f"{len(ran)} ran, {wrong} failed") if wrong else f"{len(ran)} ran"
    return [(figures, "", _counted(ran, "task_name"))]


def _opening_row(opening: Mapping[str, Any], starts: float, look: Look) -> Sequence[Cell]:
    ends = epoch(opening["ends_at"]) or starts
    clock = f"{time.strftime('%H:%M', time.localtime(starts))}-{time.strftime('%H:%M', time.localtime(ends))}"
    moved = CHANGES.get(str(opening.get("clock_change")), "").partition(":")[0]
    names = ", ".join(str(one["task"]) for one in opening["tasks"])
    text = f"{opening['window_name']}{f' ({moved})' if moved else ''}: {names or 'nothing in it'}"
    return clock, bar(opening, ends - starts, look), cut(text, NAMES)


def bar(opening: Mapping[str, Any], length: float, look: Look) -> str:
    """The work of an opening beside its length: as if its tasks shared its room evenly."""
    usual, long, free = _marks(look)
    cells = NARROW_BAR if look.narrow else BAR
    room = max(length * 1000 * int(opening.get("max_concurrent_tasks") or 1), 1)
    middle = sum(one["expected"]["p50"] for one in opening["tasks"] if one["expected"])
    most = sum(one["expected"]["p90"] for one in opening["tasks"] if one["expected"])
    first = min(-(-middle * cells // room), cells)
    second = min(-(-most * cells // room), cells) - first
    full = " over" if most > room else ""
    return usual * int(first) + long * int(second) + free * int(cells - first - second) + full


def _alone(items: Sequence[Mapping[str, Any]]) -> str:
    return cut("no window: " + _counted(items, "task"), NAMES)


def _counted(items: Sequence[Mapping[str, Any]], key: str) -> str:
    counted: dict[str, int] = {}
    for one in items:
        counted[str(one[key])] = counted.get(str(one[key]), 0) + 1
    return ", ".join(name if number == 1 else f"{name} ({number} times)" for name, number in counted.items())


def _month(text: Any, now: float) -> tuple[float, float]:
    """The month's first moment and the next one's, local. Raises JamaintError(INVALID_PARAMS)."""
    if text is None:
        there = time.localtime(now)
        year, month = there.tm_year, there.tm_mon
    else:
        year_text, _, month_text = str(text).partition("-")
        plain = year_text.isascii() and year_text.isdigit() and month_text.isascii() and month_text.isdigit()
        if not plain or len(year_text) != 4 or not 1 <= int(month_text) <= 12 or not 1970 <= int(year_text) <= 9000:
            raise JamaintError(INVALID_PARAMS, f"--month {text}: must be as 2026-11")
        year, month = int(year_text), int(month_text)
    start = time.mktime((year, month, 1, 0, 0, 0, 0, 0, -1))
    end = time.mktime((year + month // 12, month % 12 + 1, 1, 0, 0, 0, 0, 0, -1))
    return start, end


def _days(start: float, end: float) -> list[float]:
    found = []
    while start < end:
        found.append(start)
        start = _midnight_after(start)
    return found


def _midnight_after(day: float) -> float:
    there = time.localtime(day)
    return time.mktime((there.tm_year, there.tm_mon, there.tm_mday + 1, 0, 0, 0, 0, 0, -1))
