"""System cleanup: the options of an execution, and the record of an ended cleanup that the history keeps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from jamaint.core.cleanup_kinds import KINDS, SYSTEM
from jamaint.core.executions import ENDED, Execution, State, StepRecord
from jamaint.core.tasks import Task

_OPERATION_OF = {kind.executor: kind.operation for kind in KINDS.values()}
_TYPE_OF = {kind.executor: name for name, kind in KINDS.items()}


@dataclass(frozen=True, slots=True)
class Cleanup:
    """One cleanup as the history keeps it; sizes in bytes, durations in milliseconds."""

    id: str
    cleanup_type: str
    started_at: datetime
    completed_at: datetime
    duration_ms: int
    operations: tuple[Mapping[str, Any], ...]
    success: bool
    error_message: str | None = None

    @property
    def freed_space(self) -> int:
        """What was free when it had ended."""
        return sum(int(operation["freed_space"]) for operation in self.operations)

    @property
    def processed_items(self) -> int:
        """Files, rows and keys."""
        return sum(int(operation["processed_items"]) for operation in self.operations)


def narrowed(task: Task, options: Mapping[str, Any]) -> Task:
    """The task with only those kinds that the execution's option `kinds` names; any other task as it is."""
    wished = options.get("kinds")
    if task.executor != SYSTEM or not wished:
        return task
    return replace(task, config={"kinds": [one for one in task.config["kinds"] if one["kind"] in wished]})


def wrong_options(task: Task, options: Mapping[str, Any]) -> str | None:
    """What is wrong with the options of an execution, or None."""
    if task.executor != SYSTEM:
        return "no executor of this version but system.cleanup takes options"
    there = [one["kind"] for one in task.config["kinds"]]
    kinds = options.get("kinds")
    if set(options) != {"kinds"} or not isinstance(kinds, list) or not kinds or not set(map(str, kinds)) <= set(there):
        return f"system.cleanup takes `kinds`, a list of some of {', '.join(there)}"
    return None


def of_execution(execution: Execution, executor: str) -> Cleanup | None:
    """What the history keeps of an ended execution; None for one that cleans nothing up, or never started."""
    if executor != SYSTEM and executor not in _TYPE_OF:
        return None
    started, completed = execution.started_at, execution.completed_at
    if execution.status not in ENDED or started is None or completed is None:
        return None
    if executor == SYSTEM:
        operations = [_operation(step.name, (step,)) for step in execution.steps if step.status != "planned"]
    else:
        operations = [_operation(_OPERATION_OF[executor], execution.steps)]
    return Cleanup(
        id=execution.id,
        cleanup_type=_TYPE_OF.get(executor, "system"),
        started_at=started,
        completed_at=completed,
        duration_ms=execution.duration_ms or 0,
        operations=tuple(operations),
        success=execution.status is State.COMPLETED,
        error_message=None if execution.error is None else str(execution.error.get("message")),
    )


def _operation(name: str, steps: Sequence[StepRecord]) -> dict[str, Any]:
    """The specification's CleanupOperation, with bytes and milliseconds as whole numbers."""
    done = [step for step in steps if step.name != "analysis"]
    return {
        "type": name,
        "success": all(step.status == "completed" for step in steps),
        "freed_space": sum(int(step.details.get("freed_space", 0)) for step in done),
        "freed_on_purge": sum(int(step.details.get("freed_on_purge", 0)) for step in done),
        "processed_items": sum(int(step.details.get("files", step.details.get("rows", 0))) for step in done),
        "duration": sum(step.duration_ms or 0 for step in steps),
        "details": {step.name: dict(step.details) for step in steps},
        "error": next((step.error for step in steps if step.error), None),
    }
