"""`jamaintctl metrics`: show figures of tasks, windows, the scheduler and the daemon."""

from __future__ import annotations

from jamaint.ctl.cli.arguments import UsageError
from jamaint.ctl.cli.context import DONE
from jamaint.ctl.output.tables import table
from jamaint.ctl.output.text import fields, size
from jamaint.ctl.output.times import brief, epoch, span

RATE_NEEDS = 20
"""Below so many executions a rate says nothing, and is told as counts."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from jamaint.ctl.cli.context import Call
    from jamaint.ctl.output.text import Cell, Look


def show(call: Call) -> int:
    """The verb."""
    form = call.values.get("format")
    if form not in {None, "json", "openmetrics"}:
        raise UsageError(f"--format must be json or openmetrics, not {form}", "metrics")
    if form == "openmetrics":
        call.screen.lines(call.ask("metrics", {"format": "openmetrics"})["lines"])
        return DONE
    found = call.ask("metrics", {})
    if form == "json":
        call.screen.document(found)
    else:
        call.show(found, draw)
    return DONE


def draw(found: Mapping[str, Any], look: Look) -> list[str]:
    """The result of `metrics` as lines."""
    scheduler, system, own = found["scheduler"], found["system"], found["performance"]
    head: list[tuple[str, Cell]] = [
        (
            "scheduler",
            f"{scheduler['state']}, {scheduler['executions_running']:.0f} running, "
            f"{scheduler['executions_waiting']:.0f} waiting, {scheduler['windows_open']:.0f} windows open",
        ),
        ("machine", _machine(system)),
        ("daemon", _daemon(own)),
    ]
    lines = [*fields(head, look), "", look.paint("bold", f"TASKS since {brief(found['since'], look.now)}")]
    names = ("TASK", "SUCCESS", "RUNS", "FAILED", "SKIPPED", "MEAN", "MEDIAN", "90% WITHIN", "FREED", "LAST SUCCESS")
    tasks = [_task(one, look) for one in found["tasks"]["items"]]
    lines += table(names, tasks, look, right=(2, 3, 4, 5, 6, 7, 8), spare=("MEAN", "SKIPPED", "FREED"))
    if found["windows"]["items"]:
        lines += ["", look.paint("bold", "WINDOWS")]
        windows = [_window(one) for one in found["windows"]["items"]]
        lines += table(("WINDOW", "OPENINGS", "OPEN", "IN USE", "SHARE"), windows, look, right=(1, 2, 3, 4))
    return lines


def rate(one: Mapping[str, Any]) -> str:
    """Return a success rate in words: counts where there are too few for a percentage."""
    judged = one["completed"] + one["failed"] + one["rolled_back"]
    if not judged:
        return "-"
    return f"{one['completed']} of {judged}" if judged < RATE_NEEDS else f"{one['success_rate'] * 100:.1f}%"


def _task(one: Mapping[str, Any], look: Look) -> Sequence[Cell]:
    failed = one["failed"] + one["rolled_back"]
    return (
        one["task"] if one["is_defined"] else f"{one['task']} (not defined any more)",
        rate(one),
        f"{one['completed'] + failed:,}",
        ("red", f"{failed:,}") if failed else "0",
        f"{one['skipped'] + one['cancelled']:,}",
        *(_seconds(one[key]) for key in ("mean_seconds", "median_seconds", "p90_seconds")),
        size(one["freed_bytes"]),
        "never" if epoch(one["last_success"]) is None else brief(one["last_success"], look.now),
    )


def _window(one: Mapping[str, Any]) -> Sequence[Cell]:
    if one["openings"] is None:
        return one["window"], "too many to count", "", "", ""
    share = one["efficiency"]
    used = "-" if share is None else f"{share * 100:.1f}%"
    return one["window"], f"{one['openings']:,}", span(one["open_seconds"]), span(one["busy_seconds"]), used


def _machine(system: Mapping[str, Any]) -> str:
    parts = []
    if "load1" in system:
        parts.append(f"load {system['load1']:.2f} on {system['processors']:.0f} processors")
        parts.append(
            f"{size(int(system['memory_available_bytes']))} of {size(int(system['memory_bytes']))} memory free"
        )
    if "state_directory_free_bytes" in system:
        parts.append(f"{size(int(system['state_directory_free_bytes']))} free for the daemon's state")
    return ", ".join(parts) or "not known"


def _daemon(own: Mapping[str, Any]) -> str:
    parts = []
    if "resident_memory_bytes" in own:
        parts.append(f"{size(int(own['resident_memory_bytes']))} memory")
        parts.append(f"{span(round(own['processor_seconds']))} processor time")
    if "database_round_trip_seconds" in own:
        parts.append(f"database answers in {own['database_round_trip_seconds'] * 1000:.1f} ms")
    return ", ".join(parts) or "not known"


def _seconds(value: Any) -> str:
    if not isinstance(value, (int, float)):
        return "-"
    return f"{value:.1f} s" if value < 10 else span(round(value))
