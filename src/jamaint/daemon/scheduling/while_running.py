"""Conditions of running executions: probe them again meanwhile, and apply what they demand."""

from collections.abc import Sequence

import trio
from structlog.typing import FilteringBoundLogger

from jamaint.core.executions import Execution
from jamaint.core.scheduling.while_running import course
from jamaint.core.tasks import Condition
from jamaint.daemon.execution.runner import Runner
from jamaint.daemon.scheduling.condition_facts import Looking
from jamaint.errors import JamaintError

WATCH_SECONDS = 10.0
"""Between two looks at the conditions of what runs."""
HOLDER = "condition"
"""In whose name an execution is paused: an operator's pause is not ended by a condition that holds again."""


class Watching:
    """Has executions paused, resumed and stopped as their conditions go."""

    def __init__(self, looking: Looking, runner: Runner, log: FilteringBoundLogger) -> None:
        self._looking = looking
        self._runner = runner
        self._log = log

    async def watch(self, execution: Execution, conditions: Sequence[Condition]) -> None:
        """Until it is cancelled, or has asked the execution to stop."""
        paused_for = ""
        while True:
            await trio.sleep(WATCH_SECONDS)
            what, why = course(conditions, await self._looking.facts(conditions, patience=float("inf")))
            try:
                if what == "abort":
                    self._runner.stop(execution.id, "condition", f"it may run only while this holds: {why}")
                    return
                if what == "pause" and why != paused_for:
                    self._runner.pause(execution.id, why, HOLDER)
                elif what == "go on" and paused_for:
                    self._runner.resume(execution.id, HOLDER)
                paused_for = why
            except (
                JamaintError
            ) as problem:  # it has just ended, or cannot stand still: it goes on, and that is said once
                if what == "pause" and not paused_for:
                    self._say(execution, f"{problem.message}; {why}")
                paused_for = why

    def _say(self, execution: Execution, what: str) -> None:
        self._log.warning(what, execution=execution.id, task=execution.task_name)
