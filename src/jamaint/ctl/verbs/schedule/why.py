"""`jamaintctl why`: the verdict in one line, then every guard and what it says; of the past, what was written down."""

from __future__ import annotations

from jamaint.ctl.cli.context import DONE
from jamaint.ctl.output.execution_text import error_text, waiting_for
from jamaint.ctl.output.guards_text import guard_rows
from jamaint.ctl.output.text import columns, short, status_cell
from jamaint.ctl.output.times import ago, epoch, moment, stamp, until
from jamaint.ctl.verbs.executions import held

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from jamaint.ctl.cli.context import Call
    from jamaint.ctl.output.text import Cell, Look

VERDICTS = {
    "runs": ("cyan", "is running"),
    "would_run": ("green", "would run"),
    "waits": ("yellow", "waits"),
    "does_not_run": ("red", "does not run"),
    "ran": ("green", "ran"),
    "was_skipped": ("red", "was skipped"),
    "was_not_due": ("yellow", "was not due"),
}
NOW_SECONDS = 60
"""A moment as near as this to now is now."""
NEAR = "within 12 h of"


def why(call: Call) -> int:
    """The verb."""
    call.show(call.ask("task.explain", call.params(task="task", at="at")), draw)
    return DONE


def draw(found: Mapping[str, Any], look: Look) -> list[str]:
    """The result of `task.explain` as lines."""
    lines = _past(found, look) if found.get("past") else _present(found, look)
    if found.get("next_due"):
        lines.append(f"next due {moment(found['next_due'], look.now)} ({until(found['next_due'], look.now)})")
    return lines + _last(found.get("last"), look)


def _present(found: Mapping[str, Any], look: Look) -> list[str]:
    guards = found["guards"]
    lines = [f"{found['task']} {_says(found, look)} {_when(found['at'], look)}{_because(found)}"]
    lines += columns(guard_rows(guards), look, "  ")
    if any(guard.get("of") == "now" for guard in guards):
        lines.append("what stands after `now:` can change until then")
    return lines + _held(found.get("held") or (), look)


def _held(places: Sequence[Mapping[str, Any]], look: Look) -> list[str]:
    """What a run would leave alone, because a rollback has put it back."""
    if not places:
        return []
    remedies = dict.fromkeys(f"jamaintctl held release {short(one['execution_id'])}" for one in places)
    return [
        f"a run leaves alone until {held.ends(places, look)} what was rolled back: {held.amounts(places)}",
        f"  to let it take that before: {'; '.join(remedies)}",
    ]


def _past(found: Mapping[str, Any], look: Look) -> list[str]:
    """The occurrences around that moment, each with what became of it, and what is known of the definitions then."""
    at, task = found["at"], found["task"]
    if not found["occurrences"]:
        lines = [f"{task} {_says(found, look)} {NEAR} {stamp(at)}: nothing of it was written down"]
        return lines + _definition(found, look)
    nearest = next(one for one in found["occurrences"] if one["id"] == found["nearest"])
    due = f"the one of {moment(nearest.get('scheduled_for'), look.now)}"
    because = _reason(nearest)
    lines = [f"{task} {_says(found, look)}, {due}" + (f": {because}" if because else "")]
    lines += columns([_occurrence(one, look) for one in found["occurrences"]], look, "  ")
    return lines + _definition(found, look)


def _occurrence(execution: Mapping[str, Any], look: Look) -> Sequence[Cell]:
    started = execution.get("started_at")
    return (
        moment(execution.get("scheduled_for"), look.now),
        status_cell(execution.get("status")),
        f"started {moment(started, look.now)}" if started else "never started",
        short(execution.get("id")),
        _reason(execution),
    )


def _definition(found: Mapping[str, Any], look: Look) -> list[str]:
    """Whether what is defined now was so then."""
    lines, then = [], epoch(found["at"]) or 0.0
    changed, counts = found["definition"].get("changed_at"), found["definition"].get("counts_from")
    if changed and (epoch(changed) or 0.0) > then:
        lines.append(f"the task was defined or changed at {moment(changed, look.now)}: what it was before is not known")
    elif counts and (epoch(counts) or 0.0) > then:
        lines.append(f"what is due counts from {moment(counts, look.now)}, when its schedule was new or it was enabled")
    elif changed:
        lines.append(f"the task has been as it is since {moment(changed, look.now)}")
    window = found.get("window")
    if window and window.get("opening"):
        lines.append(
            f"window {window['name']}, as defined now, was open until {moment(window['opening']['ends_at'], look.now)}"
        )
    elif window:
        gone = "" if window.get("is_defined") else " (it is not defined any more)"
        lines.append(f"window {window['name']}, as defined now, was closed then{gone}")
    return lines


def _says(found: Mapping[str, Any], look: Look) -> str:
    style, words = VERDICTS.get(str(found["verdict"]), ("", str(found["verdict"])))
    return look.paint(style, words)


def _last(last: Any, look: Look) -> list[str]:
    if not last:
        return ["it has not run yet"]
    cell = status_cell(last.get("status"))
    style, status = ("", cell) if isinstance(cell, str) else cell
    when = last.get("completed_at") or last.get("started_at") or last.get("scheduled_for")
    because = _reason(last)
    text = f"last time {look.paint(style, status)} {ago(when, look.now)}" + (f": {because}" if because else "")
    return [f"{text}  {look.paint('dim', short(last.get('id')))}"]


def _reason(execution: Mapping[str, Any]) -> str:
    """What went wrong, or what it waited for."""
    waited = execution.get("status") in {"scheduled", "cancelled"}
    return error_text(execution) or (waiting_for(execution) if waited else "")


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
