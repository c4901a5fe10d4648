"""Runs logs.rotate as a worker does: what tests of it share."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from jamaint.core.plans import Step, undo_order
from jamaint.executors.logs_rotate.executor import LogsRotate
from jamaint.executors.shared.executor import Work
from logs_cleanup_runs import EVERYTHING, NOW, Talk, through_json


def rotation_config(log_paths: Sequence[str], **changes: Any) -> dict[str, Any]:
    """A normalised config that rotates at each execution and makes new logs."""
    return {
        "log_paths": list(log_paths),
        "exclude": [],
        "keep": 5,
        "every": None,
        "every_seconds": None,
        "max_size": None,
        "min_size": None,
        "max_age_seconds": None,
        "timezone": "UTC",
        "names": "date",
        "date_format": "-%Y%m%d",
        "compress": None,
        "copy_truncate": False,
        "create": {"mode": None, "owner": None, "group": None},
        "prerotate": None,
        "postrotate": None,
        "signal": None,
        "scripts": None,
        "user": None,
    } | changes


def rotator(
    config: dict[str, Any], host: Talk | None = None, now: datetime = NOW, execution: str = "e-1", **changes: Any
) -> LogsRotate:
    """The executor for such work."""
    fields: dict[str, Any] = {"keeps_way_back": True, "mass_deletion": EVERYTHING, "low_space": 0.0}
    fields |= {"timeout_seconds": None} | changes
    work = Work(execution=execution, task_name="rotate", config=config, now=now, **fields)
    return LogsRotate(work, host or Talk())


def rotate(logs: LogsRotate) -> tuple[list[Step], dict[str, dict[str, Any]]]:
    """Plans and runs all steps, each through JSON on the way."""
    steps = [through_json(step) for step in logs.plan().steps]
    return steps, {step.name: logs.run(step) for step in steps}


def undo_rotation(config: dict[str, Any], steps: Sequence[Step], dry_run: bool = False) -> dict[str, Any]:
    """Takes all steps back as an executor that knows nothing of the run; the figures together."""
    total: dict[str, Any] = {"restored": 0, "removed": 0, "kept": [], "problems": []}
    for step in undo_order(steps):
        found = rotator(config).undo(step, dry_run)
        for key in total:
            total[key] += found[key]
    return total


def names(top: Path) -> list[str]:
    """All files below, without the trash."""
    return sorted(
        str(path.relative_to(top)) for path in top.rglob("*") if path.is_file() and ".jamaint-trash" not in path.parts
    )
