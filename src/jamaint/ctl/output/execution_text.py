"""One execution -> text: its steps, what it freed, how long it took, and what to type next. Pure."""

from __future__ import annotations

from jamaint.ctl.output.effects import is_blocked, nothing_done, parts
from jamaint.ctl.output.text import columns, count, fields, percent, scalar, short, size, status_cell
from jamaint.ctl.output.times import ago, moment, remaining, span, stamp, until

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from jamaint.ctl.output.text import Cell, Look

    Execution = Mapping[str, Any]

ENDED = frozenset({"completed", "failed", "cancelled", "rolled_back"})
KNOWN_DETAILS = frozenset(
    {
        "files",
        "unit",
        "bytes",
        "freed_space",
        "freed_on_purge",
        "skipped",
        "skipped_count",
        "items",
        "directories",
        "recommended",
    }
)
SLOWEST = 5
SHOWN = 10
"""So many skipped or kept files are named; --json has them all."""


def ending(execution: Execution, look: Look) -> list[str]:
    """What a person sees when an execution has ended: the outcome, the steps, what it freed, what to type next."""
    style, status = _cell(status_cell(execution.get("status")))
    if idle := nothing_done(execution):
        style, status = "yellow" if is_blocked(execution) else "", f"{status}, nothing done: {idle}"
    took = duration(execution.get("duration"))
    head = f"{execution.get('task_name')} {look.paint(style, status)}" + _took(took, bool(idle))
    lines = [f"{head}  {look.paint('dim', short(execution.get('id')))}"]
    lines += _why(execution, look)
    lines += _steps(execution, look)
    lines += _skipped(execution, look)
    space = freed_text(execution, look)
    if space:
        lines.append(f"  {space}")
    return lines + _next(execution, look)


def _took(took: str, follows_reason: bool) -> str:
    """`after 1 min` behind a status, `(1 min)` behind the reason of one."""
    if not took:
        return ""
    return f" ({took})" if follows_reason else f" after {took}"


def details(execution: Execution, look: Look) -> list[str]:
    """Everything about one execution, for `execution show`."""
    window = execution.get("window_name") or execution.get("window_id") or ""
    status, point = execution.get("status"), execution.get("rollback_point") or {}
    waits_for = waiting(execution) if status == "running" else ""
    idle = nothing_done(execution)
    pairs: list[tuple[str, Cell]] = [
        ("execution", str(execution.get("id"))),
        ("task", str(execution.get("task_name"))),
        ("status", status_cell(status)),
        ("did", ("yellow", f"nothing: {idle}") if idle else ""),
        ("triggered by", asked_by(execution)),
        ("window", str(window)),
        ("emergency", _emergency(execution)),
        ("due", stamp(execution.get("scheduled_for"))),
        ("started", _stamp(execution.get("started_at"))),
        ("ended", _stamp(execution.get("completed_at"))),
        ("took", duration(execution.get("duration"))),
        ("progress", progress_line(execution, look) if status == "running" else ""),
        ("waits", ("yellow", waits_for)),
        ("paused", ("yellow", paused_text(execution, look))),
        ("throttled", throttle_text(execution)),
        ("space", freed_text(execution, look)),
        ("rollback", _way_back(point, look)),
    ]
    lines = fields(pairs, look)
    lines += columns([_left_alone("not put back", item) for item in (point.get("problems") or ())[:SHOWN]], look, "  ")
    lines += _why(execution, look)
    steps = execution.get("steps") or ()
    if steps:
        lines += ["", look.paint("bold", "STEPS")]
        lines += _steps(execution, look)
        lines += _skipped(execution, look) + _other_details(steps) + _slowest(steps, look) + _recommended(steps, look)
    hints = _next(execution, look)
    return [*lines, "", *hints] if hints else lines


def progress_line(execution: Execution, look: Look) -> str:
    """`compression 42%, 1.2 of 2.8 GiB, 41 s left` as far as it is known."""
    progress = execution.get("progress") or {}
    step = f"{step_name(execution)} {percent(progress.get('fraction'))}".strip()
    return ", ".join(part for part in (step, amount(progress), left(execution, look)) if part)


def paused_text(execution: Execution, look: Look) -> str:
    """`paused by root 12 s ago: a release`, `pauses …` before it stands still; nothing for one that is not paused."""
    found = execution.get("paused")
    if not found:
        return ""
    head = "paused" if found.get("reached") else "pauses at its next safe point, asked"
    return f"{head} by {found.get('by')} {ago(found.get('since'), look.now)}: {found.get('why')}"


def waiting(execution: Execution) -> str:
    """For whom or what a running step stands aside; nothing while it works."""
    return str((execution.get("progress") or {}).get("waiting") or "")


def waiting_text(execution: Execution) -> str:
    """`waits: 2 sessions want a lock of ours`; nothing while it works."""
    return f"waits: {waiting(execution)}" if waiting(execution) else ""


def throttle_text(execution: Execution) -> str:
    """`2 s of rest for each second of work`; nothing for one that is not throttled."""
    ratio = execution.get("throttle")
    return f"{ratio:g} s of rest for each second of work" if ratio else ""


def step_name(execution: Execution) -> str:
    """The step that is being done, also before it has told how far it is."""
    progress = execution.get("progress") or {}
    doing = (step.get("name") for step in execution.get("steps") or () if step.get("status") == "running")
    return str(progress.get("step") or next(doing, ""))


def amount(progress: Mapping[str, Any]) -> str:
    """`1.2 of 2.8 GiB`, `1,204 of 5,000 items`; nothing while nothing is known."""
    done, total, unit = progress.get("done"), progress.get("total"), progress.get("unit") or "items"
    if done is None or (not done and total is None):
        return ""
    if unit != "bytes":
        return f"{done:,} {unit}" if total is None else f"{done:,} of {total:,} {unit}"
    if total is None:
        return size(done)
    number, of = size(done), size(total)
    same_unit = number.split(" ")[1] == of.split(" ")[1]
    return f"{number.split(' ')[0] if same_unit else number} of {of}"


def left(execution: Execution, look: Look) -> str:
    """`41 s left`; nothing while it is not known, nor when all that is counted is done."""
    fraction = (execution.get("progress") or {}).get("fraction")
    if isinstance(fraction, (int, float)) and fraction >= 1:
        return ""
    return remaining(execution.get("eta"), look.now)


def duration(milliseconds: Any) -> str:
    """A duration of the control protocol as a person reads it; nothing for None."""
    return span(milliseconds / 1000) if isinstance(milliseconds, (int, float)) else ""


def freed_text(execution: Execution, look: Look) -> str:
    """`freed 1.2 GiB now, the purge on Tue 2026-12-01 09:00 WIB frees 3.4 GiB`; nothing where there was nothing."""
    metrics = execution.get("metrics") or {}
    now, later = metrics.get("freed_space"), metrics.get("freed_on_purge")
    if not now and not later:
        return ""
    expires_at = (execution.get("rollback_point") or {}).get("expires_at")
    when = f" on {moment(expires_at, look.now)}" if expires_at else ""
    return f"{freed(now or 0)} now" + (f", the purge{when} frees {size(later)}" if later else "")


def freed(count: Any) -> str:
    """`freed 1.2 GiB`; `took 3.5 MiB` of what takes more space as long as its way back is kept."""
    return f"took {size(-count)}" if count < 0 else f"freed {size(count)}"


def waiting_for(execution: Execution) -> str:
    """Why a scheduled execution has not started, or was skipped: `window nightly is closed; the load is 9.1`."""
    reasons = [reason for reason in execution.get("reasons") or () if reason.get("verdict") != "pass"]
    return "; ".join(_reason(reason) for reason in reasons)


def _reason(reason: Mapping[str, Any]) -> str:
    held, detail = reason.get("held_seconds"), str(reason.get("detail") or reason.get("guard"))
    return f"{detail} (for {span(held)})" if isinstance(held, (int, float)) else detail


def waits_text(execution: Execution) -> str:
    """What a scheduled execution does."""
    why = waiting_for(execution)
    return f"waits: {why}" if why else "waits for its turn"


def asked_by(execution: Execution) -> str:
    """The schedule, or who asked."""
    by, again = execution.get("requested_by"), execution.get("retry_of")
    if again:
        return f"its schedule, attempt {execution.get('attempt')} after {short(again)} had failed"
    return str(by) if by else "its schedule" if execution.get("trigger") in {"schedule", "missed"} else "a person"


def error_text(execution: Execution) -> str:
    """What went wrong, in the daemon's words."""
    error = execution.get("error")
    return str(error.get("message") or error.get("kind") or "no reason given") if isinstance(error, dict) else ""


def items_kept(result: Mapping[str, Any], look: Look) -> list[str]:
    """What a rollback left alone, and what it could not put back, with the reasons."""
    lines: list[str] = []
    for key, word in (("kept", "would stay" if result.get("dry_run") else "kept"), ("problems", "problem")):
        found = result.get(key) or []
        lines += columns([_left_alone(word, item) for item in found[:SHOWN]], look, "  ")
        if len(found) > SHOWN:
            lines.append(f"  … and {len(found) - SHOWN} more; --json shows all")
    return lines


def _steps(execution: Execution, look: Look) -> list[str]:
    rows = [_step(step, error_text(execution)) for step in execution.get("steps") or ()]
    return columns(rows, look, "  ", right=(2, 3, 4))


def _step(step: Mapping[str, Any], told: str) -> tuple[Cell, ...]:
    """A step's row; an error that `told` has already is not said again."""
    found = step.get("details") or {}
    files = found.get("files", found.get("items"))
    notes = []
    if found.get("directories"):
        notes.append(count(found["directories"], "directory"))
    if found.get("freed_space"):
        notes.append(freed(found["freed_space"]))
    if found.get("freed_on_purge"):
        notes.append(f"{size(found['freed_on_purge'])} on purge")
    if _skipped_count(step):
        notes.append(f"{_skipped_count(step):,} skipped")
    if found.get("exit_code") is not None:
        notes.append(f"exit code {found['exit_code']}")
    if step.get("error") and str(step["error"]) not in told:
        notes.append(str(step["error"]))
    return (
        str(step.get("name")),
        status_cell(step.get("status")),
        duration(step.get("duration")),
        count(found["rows"], "row")
        if files is None and "rows" in found
        else ""
        if files is None
        else count(files, str(found.get("unit") or "file")),
        "" if found.get("bytes") is None else size(found["bytes"]),
        ", ".join(notes),
    )


def _why(execution: Execution, look: Look) -> list[str]:
    lines = []
    if error_text(execution):
        lines.append(f"  {look.paint('red', error_text(execution))}")
    told = {"", error_text(execution)}
    if execution.get("status") in {"scheduled", "cancelled"} and waiting_for(execution) not in told:
        word = "waits" if execution["status"] == "scheduled" else "because"
        lines.append(f"  {word}: {waiting_for(execution)}")
    elif execution.get("started_at") and any("held_seconds" in one for one in execution.get("reasons") or ()):
        lines.append(f"  had waited: {waiting_for(execution)}")
    return lines


def _skipped(execution: Execution, look: Look) -> list[str]:
    steps = execution.get("steps") or ()
    found = [item for step in steps for part in parts(step.get("details") or {}) for item in part.get("skipped") or ()]
    more = sum(map(_skipped_count, steps)) - min(len(found), SHOWN)
    rest = [f"  … and {more:,} more skipped; --json names the first hundred of a step"] if more > 0 and found else []
    return columns([_left_alone("skipped", item) for item in found[:SHOWN]], look, "  ") + rest


def _skipped_count(step: Mapping[str, Any]) -> int:
    return sum(part.get("skipped_count") or 0 for part in parts(step.get("details") or {}))


def _left_alone(word: str, item: Mapping[str, Any]) -> tuple[Cell, ...]:
    return ("yellow", word), str(item.get("path")), str(item.get("why"))


def _other_details(steps: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    for step in steps:
        rest = {key: item for key, item in (step.get("details") or {}).items() if key not in KNOWN_DETAILS}
        plain = [_figure(key, item) for key, item in rest.items() if item and not isinstance(item, (dict, list))]
        if plain:
            lines.append(f"  {step.get('name')}: {', '.join(plain)}")
    return lines


def _slowest(steps: Sequence[Mapping[str, Any]], look: Look) -> list[str]:
    """The queries that a server has spent most time with, as an analysis saw them."""
    found = [one for step in steps for one in (step.get("details") or {}).get("slow_queries") or ()]
    rows = [
        (
            duration(one.get("total_ms")),
            count(one.get("calls") or 0, "call"),
            f"{one.get('mean_ms')} ms",
            one.get("query"),
        )
        for one in found[:SLOWEST]
    ]
    return ["", look.paint("bold", "MOST TIME WENT TO"), *columns(rows, look, "  ", right=(0, 1, 2))] if rows else []


def _recommended(steps: Sequence[Mapping[str, Any]], look: Look) -> list[str]:
    """What an analysis advises: what, why, and the SQL that would do it."""
    found = [one for step in steps for one in (step.get("details") or {}).get("recommendations") or ()]
    lines = ["", look.paint("bold", "RECOMMENDED")] if found else []
    for one in found[:SHOWN]:
        lines += [f"  {one.get('what')}: {one.get('reason')}", *([f"    {one['sql']};"] if one.get("sql") else [])]
    return lines + ([f"  … and {len(found) - SHOWN} more; --json shows all"] if len(found) > SHOWN else [])


def _figure(key: str, item: Any) -> str:
    """A figure without a place of its own: bytes as people read them, underscores as spaces."""
    words = key.replace("_", " ")
    if ("bytes" in key or "memory" in key) and isinstance(item, int) and not isinstance(item, bool):
        return f"{words.replace(' bytes', '').replace('bytes', '').strip()} {size(item)}"
    return f"{words} {item:,}" if type(item) is int else f"{words} {scalar(item)}"


def _way_back(point: Mapping[str, Any], look: Look) -> str:
    if not point:
        return ""
    parts = [str(point.get("status") or "open")]
    if point.get("bytes") is not None:
        parts.append(f"{size(point['bytes'])} kept")
    if point.get("status") in {None, "open", "incomplete"} and point.get("expires_at"):
        parts.append(f"until {moment(point['expires_at'], look.now)} ({until(point['expires_at'], look.now)})")
    if point.get("problems"):
        parts.append(count(len(point["problems"]), "problem"))
    return ", ".join(parts)


def _next(execution: Execution, look: Look) -> list[str]:
    """What to type next."""
    ident, status = short(execution.get("id")), execution.get("status")
    hints = []
    if any(reason.get("guard") == "mass_deletion" for reason in execution.get("reasons") or ()):
        hints.append(("to see all:", f"jamaintctl plan {execution.get('task_name')}"))
    elif status == "failed":
        hints.append(("full log:", f"jamaintctl execution log {ident}"))
    if status == "running" and execution.get("paused"):
        hints.append(("to go on:", f"jamaintctl execution resume {ident}"))
    if status == "running":
        hints.append(("to stop it:", f"jamaintctl execution cancel {ident}"))
    point = execution.get("rollback_point") or {}
    if (
        status in ENDED - {"rolled_back"}
        and not nothing_done(execution)
        and point
        and point.get("status") in {None, "open", "incomplete"}
    ):
        hints.append(("to undo it:", f"jamaintctl rollback {ident}"))
    return [f"  {look.paint('dim', f'{words:<13}')}  {command}" for words, command in hints]


def _stamp(value: Any) -> str:
    return "" if value is None else stamp(value)


def _cell(cell: Cell) -> tuple[str, str]:
    return ("", cell) if isinstance(cell, str) else cell


def _emergency(execution: Execution) -> Cell:
    given = execution.get("emergency")
    return ("yellow", f"overridden by {given.get('by')}: {given.get('reason')}") if isinstance(given, dict) else ""
