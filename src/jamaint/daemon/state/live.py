"""The executions that wait or run, as they stand now; each change of one is published."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from jamaint.core.executions import ENDED, Execution, StepRecord
from jamaint.daemon.state import json_views
from jamaint.daemon.state.events import Observer


class Current:
    """By id; an ended one leaves."""

    def __init__(self, observer: Observer, now: Callable[[], datetime]) -> None:
        self._observer = observer
        self._now = now
        self._executions: dict[str, Execution] = {}
        self.on_ended: Callable[[Execution], None] = lambda _: None
        """Called with each execution that has come to an end state."""
        self.on_freed: Callable[[str, int], None] = lambda _task, _bytes: None
        """Called with a task and the bytes that a purge of one of its executions freed."""
        self.changes_of_history = 0
        """Counts what changes the past: executions that end or are undone."""

    def put(self, execution: Execution, event: str, step: StepRecord | None = None) -> None:
        """Notes the execution's state and publishes `execution.EVENT` with it, and with the step that it is about."""
        if execution.status in ENDED:
            self._executions.pop(execution.id, None)
            self.changes_of_history += 1
            if event == "ended":
                self.on_ended(execution)
        else:
            self._executions[execution.id] = execution
        self._observer.publish(
            execution.id,
            lambda: {
                "event": f"execution.{event}",
                "at": json_views.time(self._now()),
                "execution": json_views.execution(execution),
                **({} if step is None else {"step": json_views.step(step)}),
            },
        )

    def say(self, execution: Execution, level: str, step: str | None, message: str) -> None:
        """Publishes a line of the execution's log."""
        self._observer.publish(
            execution.id,
            lambda: {
                "event": "execution.log",
                "at": json_views.time(self._now()),
                "execution": {"id": execution.id, "task_name": execution.task_name, "status": execution.status.value},
                "level": level,
                "step": step,
                "message": message,
            },
            is_log=True,
        )

    def get(self, execution_id: str) -> Execution | None:
        """The execution if it waits or runs."""
        return self._executions.get(execution_id)

    def matching(self, prefix: str) -> list[Execution]:
        """Those whose id begins so."""
        return [execution for ident, execution in self._executions.items() if ident.startswith(prefix)]

    def all(self) -> list[Execution]:
        """All of them."""
        return list(self._executions.values())

    def publish(self, name: str, **fields: Any) -> None:
        """Publishes an event that is about no execution."""
        self._observer.publish(None, lambda: {"event": name, "at": json_views.time(self._now()), **fields})
