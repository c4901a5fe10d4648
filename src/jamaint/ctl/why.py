"""`jamaintctl why`: the verdict in one line, then every guard and what it says."""

from __future__ import annotations

from jamaint.ctl.call import DONE
from jamaint.ctl.guards import guard_rows
from jamaint.ctl.render import columns, short, status_cell
from jamaint.ctl.summary import error_text, waiting_for
from jamaint.ctl.times import ago, epoch, moment, stamp, until

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from jamaint.ctl.call import Call
    from jamaint.ctl.render import Look

VERDICTS = {
    "runs": ("cyan", "is running"),
    "would_run": ("green", "would run"),
    "waits": ("yellow", "waits"),
    "does_not_run": ("red", "does not run"),
}
NOW_SECONDS = 60
"""A moment as near as this to now is now."""


def why(call: Call) -> int:
    """The verb."""
    call.show(call.ask("task.explain", call.params(task="task", at="at")), draw)
    return DONE


def draw(found: Mapping[str, Any], look: Look) -> list[str]:
    """The result of `task.explain` as lines."""
    guards = found["guards"]
    style, words = VERDICTS.get(str(found["verdict"]), ("", str(found["verdict"])))
    lines = [f"{found['task']} {look.paint(style, words)} {_when(found['at'], look)}{_because(found)}"]
    lines += columns(guard_rows(guards), look, "  ")
    if found.get("next_due"):
        lines.append(f"next due {moment(found['next_due'], look.now)} ({until(found['next_due'], look.now)})")
    return lines + _last(found.get("last"), look)


def _last(last: Any, look: Look) -> list[str]:
    if not last:
        return ["it has never run"]
    cell = status_cell(last.get("status"))
    style, status = ("", cell) if isinstance(cell, str) else cell
    when = last.get("completed_at") or last.get("started_at") or last.get("scheduled_for")
    because = error_text(last) or (waiting_for(last) if last.get("status") in {"scheduled", "cancelled"} else "")
    text = f"last time {look.paint(style, status)} {ago(when, look.now)}" + (f": {because}" if because else "")
    return [f"{text}  {look.paint('dim', short(last.get('id')))}"]


def _when(at: Any, look: Look) -> str:
    seconds = epoch(at)
    return "now" if seconds is None or abs(seconds - look.now) < NOW_SECONDS else f"at {stamp(at)}"


def _because(found: Mapping[str, Any]) -> str:
    if found["verdict"] not in {"waits", "does_not_run"}:
        return ""
    against = [
        str(guard.get("detail") or guard["guard"]) for guard in found["guards"] if guard.get("verdict") != "pass"
    ]
    return f": {'; '.join(against)}" if against else ": nothing schedules it"
