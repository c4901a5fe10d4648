"""Retention: delete what has ended when its time is over, by a policy or by `history`."""

from collections.abc import Callable
from datetime import datetime, timedelta

import trio
from structlog.typing import FilteringBoundLogger

from jamaint.core.policies.policies import retention_seconds
from jamaint.daemon.state.definitions import Definitions
from jamaint.daemon.state.recorder import Recorder
from jamaint.store import history, policies

EVERY_SECONDS = 3600.0


class Retention:
    """Looks once an hour. What can still be rolled back stays, and so does each task's newest execution."""

    def __init__(
        self, definitions: Definitions, recorder: Recorder, now: Callable[[], datetime], log: FilteringBoundLogger
    ) -> None:
        self._definitions = definitions
        self._recorder = recorder
        self._now = now
        self._log = log

    async def serve(self) -> None:
        """Forgets until it is cancelled."""
        while True:
            await self.forget()
            await trio.sleep(EVERY_SECONDS)

    async def forget(self) -> int:
        """Deletes what is older than its retention; returns how many executions that were."""
        kept, now, total = self._definitions.config.history, self._now(), 0
        for task in tuple(self._definitions.tasks.values()):
            seconds = retention_seconds(task, self._definitions.policies_in_order) or kept.executions_seconds
            before = now - timedelta(seconds=seconds)
            while count := await self._recorder.run(policies.forget, task.name, before):
                total += count
        before, defined = now - timedelta(seconds=kept.executions_seconds), list(self._definitions.tasks)
        while count := await self._recorder.run(history.forget_undefined, defined, before):
            total += count
        await self._recorder.run(history.forget_rest, before)
        while await self._recorder.run(history.forget_audit, now - timedelta(seconds=kept.audit_seconds)):
            pass
        if total:
            self._log.info(f"{total} executions were deleted from the history, past their retention", executions=total)
        return total
