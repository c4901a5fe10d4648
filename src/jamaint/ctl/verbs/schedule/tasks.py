"""`jamaintctl task …`: what is to be maintained."""

from __future__ import annotations

from jamaint.ctl.cli.context import DONE
from jamaint.ctl.cli.object_files import send
from jamaint.ctl.output.execution_text import duration
from jamaint.ctl.output.tables import table
from jamaint.ctl.output.text import columns, fields, outline, status_cell
from jamaint.ctl.output.times import ago, brief, moment, until, zoned
from jamaint.ctl.verbs.schedule.freezes import frozen_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from jamaint.ctl.cli.context import Call
    from jamaint.ctl.output.text import Cell, Look

    Task = Mapping[str, Any]

OUTLINED = ("config", "dependencies", "conditions", "rollback", "mass_deletion", "limits", "notifications")


def show_list(call: Call) -> int:
    """`task list`."""
    call.show(call.items("task.list", {}), draw_list)
    return DONE


def show(call: Call) -> int:
    """`task show`."""
    call.show(call.ask("task.get", {"task": call.values["task"]}), draw)
    return DONE


def create(call: Call) -> int:
    """`task create -f`."""
    call.show(
        send(call, "task.create", "task"), lambda task, look: [f"task {task['name']} created", *_warnings(task, look)]
    )
    return DONE


def _warnings(task: Mapping[str, Any], look: Look) -> list[str]:
    return columns([(("yellow", "warning"), str(one)) for one in task.get("warnings") or ()], look, "  ")


def update(call: Call) -> int:
    """`task update`."""
    found = send(call, "task.update", "task", call.values["task"])
    call.show(found, lambda task, look: [f"task {task['name']} updated", *_warnings(task, look)])
    return DONE


def delete(call: Call) -> int:
    """`task delete`."""
    return _change(call, "task.delete", "deleted")


def enable(call: Call) -> int:
    """`task enable`."""
    return _change(call, "task.enable", "enabled")


def disable(call: Call) -> int:
    """`task disable`."""
    return _change(call, "task.disable", "disabled: it runs neither by its schedule nor by hand until it is enabled")


def pause(call: Call) -> int:
    """`task pause --until`."""
    until_then = call.values["until"]
    found = call.ask("task.pause", {"task": call.values["task"], "until": until_then})
    words = f"task {call.values['task']} paused until {moment(until_then, call.look.now)}"
    call.show(found, lambda _result, _look: [words])
    return DONE


def draw_list(found: Mapping[str, Any], look: Look) -> list[str]:
    """The result of `task.list` as lines."""
    if not found["items"]:
        return ["no tasks are defined"]
    rows = [_row(task, look) for task in found["items"]]
    due = zoned("NEXT", look.now) if look.narrow else "NEXT"
    head: tuple[str, ...] = ("TASK", "TYPE", "PRIORITY", "STATE", "SCHEDULE", due)
    if any(task.get("last_execution") for task in found["items"]):
        head = (*head, "LAST")
        rows = [(*row, _last(task, look)) for row, task in zip(rows, found["items"], strict=True)]
    return table(head, rows, look, spare=("PRIORITY", "TYPE"))


def draw(task: Task, look: Look) -> list[str]:
    """One task as lines."""
    timeout = task.get("timeout")
    pairs: list[tuple[str, Cell]] = [
        ("task", ("bold", str(task["name"]))),
        ("id", str(task.get("id") or "")),
        ("description", str(task.get("description") or "")),
        ("state", _state(task, look)),
        ("type", f"{task.get('type')}/{task.get('category')}, by {task.get('executor')}"),
        ("priority", str(task.get("priority") or "")),
        ("schedule", schedule_text(task.get("schedule"))),
        ("next", _next(task, look)),
        ("last", _last(task, look)),
        ("timeout", duration(timeout)),
        ("at window end", str(task.get("on_window_end") or "")),
        ("defined in", {"file": "the configuration", "api": "the database"}.get(str(task.get("origin")), "")),
    ]
    lines = fields(pairs, look)
    for key in OUTLINED:
        if task.get(key):
            lines += ["", look.paint("bold", key.replace("_", " ").upper()), *outline(task[key], "  ")]
    return lines


def schedule_text(schedule: Any) -> str:
    """`window nightly`, `cron 0 2 * * * Asia/Jakarta`; nothing for None."""
    if isinstance(schedule, dict):
        zone = "" if schedule.get("window") or not schedule.get("timezone") else f" {schedule['timezone']}"
        named = {key: value for key, value in schedule.items() if value is not None and (key != "timezone" or not zone)}
        words = [f"{key} {_schedule_value(value)}" for key, value in named.items()]
        return ", ".join([words[0] + zone, *words[1:]]) if words else zone.strip()
    return "" if schedule is None else str(schedule)


def _schedule_value(value: Any) -> str:
    """`10m stable` for `{up_to: 10m, stable: true}`, `backup failed` for `{task: backup, state: failed}`."""
    if not isinstance(value, dict):
        return str(value)
    return " ".join(key if item is True else str(item) for key, item in value.items() if item)


def _change(call: Call, method: str, words: str) -> int:
    name = call.values["task"]
    call.show(call.ask(method, {"task": name}), lambda _result, _look: [f"task {name} {words}"])
    return DONE


def _row(task: Task, look: Look) -> Sequence[Cell]:
    return (
        str(task["name"]),
        f"{task.get('type')}/{task.get('category')}",
        str(task.get("priority") or ""),
        _state(task, look),
        schedule_text(task.get("schedule")),
        (brief if look.narrow else moment)(task.get("next_due"), look.now),
    )


def _state(task: Task, look: Look) -> Cell:
    if not task.get("enabled", True):
        return "yellow", "disabled"
    if task.get("quarantined_at"):
        return "red", "in quarantine"
    if task.get("paused_until"):
        return "yellow", f"paused until {(brief if look.narrow else moment)(task['paused_until'], look.now)}"
    if task.get("frozen"):
        return "yellow", frozen_text(task["frozen"], look)
    return "enabled"


def _next(task: Task, look: Look) -> str:
    due = task.get("next_due")
    return f"{moment(due, look.now)} ({until(due, look.now)})" if due else ""


def _last(task: Task, look: Look) -> Cell:
    last = task.get("last_execution")
    if not last:
        return "-"
    cell = status_cell(last.get("status"))
    style, status = ("", cell) if isinstance(cell, str) else cell
    when = last.get("completed_at") or last.get("started_at") or last.get("scheduled_for")
    return style, f"{status} {ago(when, look.now)}"
