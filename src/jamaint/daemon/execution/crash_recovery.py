"""After a start: what the daemon's end has cut short is tried again, or kept from running if it is the likely cause."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from structlog.typing import FilteringBoundLogger

from jamaint.core.executions import Execution
from jamaint.core.scheduling.retries import INTERRUPTIONS, failure_of, retry_id, retry_of, was_crash
from jamaint.daemon.state.definitions import Definitions
from jamaint.daemon.state.recorder import Recorder
from jamaint.store import executions


class CrashRecovery:
    """Looks once, after what was running has been settled and before anything starts."""

    def __init__(self, recorder: Recorder, definitions: Definitions, log: FilteringBoundLogger) -> None:
        self._recorder = recorder
        self._definitions = definitions
        self._log = log

    async def settle(self, ended: Mapping[str, Execution], now: datetime) -> list[Execution]:
        """Puts tasks in quarantine; returns the further attempts that wait now. `ended` is each task's newest."""
        cut_short = {
            name: execution
            for name, execution in ended.items()
            if failure_of(execution) == "interrupted" and name in self._definitions.tasks
        }
        if not cut_short:
            return []
        await self._quarantine([name for name, execution in cut_short.items() if was_crash(execution)], now)
        return [again for name in cut_short if (again := await self._again(cut_short[name])) is not None]

    async def _quarantine(self, names: list[str], now: datetime) -> None:
        crashes = await self._recorder.run(executions.crashes_in_a_row, names, INTERRUPTIONS)
        for name, count in crashes.items():
            if count < INTERRUPTIONS or self._definitions.quarantined_at(name) is not None:
                continue
            await self._definitions.quarantine_task(name, now, now)
            self._log.error(
                f"{name} is in quarantine: the daemon died each of the last {count} times that it ran. "
                f"Fix it, then enable it with: jamaintctl task enable {name}",
                task=name,
            )

    async def _again(self, execution: Execution) -> Execution | None:
        task = self._definitions.task(execution.task_name)
        grace = timedelta(seconds=self._definitions.config.scheduler.misfire_grace_seconds)
        again = retry_of(execution, task, grace)
        made = await self._recorder.run(executions.by_reference, retry_id(execution))
        if again is None or made:
            return None  # where it has been made already, it waits, or has had its end
        await self._recorder.put(again)
        self._log.info(f"{task.name} was interrupted and will be retried", execution=again.id, task=task.name)
        return again
