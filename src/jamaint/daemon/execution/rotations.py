"""Rotations: what the daemon remembers of rotated logs, on its way to workers and back."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from jamaint.core.plans import Step
from jamaint.core.rotation_records import REPORT, Neighbour, to_json, unpack
from jamaint.core.tasks import Task
from jamaint.daemon.state.recorder import Recorder
from jamaint.executors.logs_rotate.rules import ROTATION
from jamaint.store import log_rotations

EXECUTOR = "logs.rotate"


class Rotations:
    """Hands records to workers that rotate, and writes down what they report."""

    def __init__(self, recorder: Recorder, tasks: Callable[[], Iterable[Task]]) -> None:
        self._recorder, self._tasks = recorder, tasks

    async def opening_of(self, task: Task) -> dict[str, Any]:
        """The part of a worker's opening with the records of a task; empty for other executors."""
        if task.executor != EXECUTOR:
            return {}
        records = await self._recorder.run(log_rotations.of_task, task.name)
        return {"rotations": to_json(replace(records, neighbours=tuple(self._neighbours(task))))}

    async def begin(self, execution_id: str, task: Task, step: Step, at: datetime) -> None:
        """Writes that a step is about to rotate, before it does."""
        if task.executor == EXECUTOR and step.name == ROTATION:
            await self._recorder.run(log_rotations.begin, execution_id, task.name, at)

    async def report(
        self, task: Task, details: Mapping[str, Any], now: datetime, retention_seconds: float
    ) -> Mapping[str, Any]:
        """Writes what a step's details report, and returns them without it."""
        if task.executor != EXECUTOR or REPORT not in details:
            return details
        records = unpack(details[REPORT]["block"])
        keep_from = now - timedelta(seconds=retention_seconds) - timedelta(days=1)
        await self._recorder.run(log_rotations.report, task.name, records, keep_from)
        return {key: value for key, value in details.items() if key != REPORT}

    def _neighbours(self, task: Task) -> Iterable[Neighbour]:
        for other in self._tasks():
            if other.executor == EXECUTOR and other.name != task.name and other.enabled:
                yield Neighbour(other.name, tuple(other.config["log_paths"]), tuple(other.config["exclude"]))
