"""Facts for conditions, probed beside the loop: a decision uses what is known within a moment."""

from collections.abc import Callable, Iterable
from typing import Any

import trio

from jamaint.core.conditions import Facts, Unknown
from jamaint.core.tasks import Condition
from jamaint.probes.local import ProbeContext, look

FRESH_SECONDS = 5.0
"""A fact as old as this is looked at anew before anything starts on it."""
PATIENCE_SECONDS = 0.5
"""How long the loop waits for a look: most take microseconds. What takes longer wakes it."""
AT_ONCE = 16
"""Looks under way at a time; a command for each of a thousand tasks must not be a thousand processes."""


class Looking:
    """What was found last, by the question; each question is asked once at a time, whoever wants to know."""

    def __init__(self, outside: ProbeContext, wake: Callable[[], None]) -> None:
        self._outside = outside
        self._wake = wake
        self._found: dict[str, tuple[float, Any]] = {}
        self._asked: dict[str, trio.Event] = {}
        self._room = trio.CapacityLimiter(AT_ONCE)
        self._nursery: trio.Nursery
        self._serves = trio.Event()

    async def serve(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Looks at what is asked for, until it is cancelled."""
        async with trio.open_nursery() as nursery:
            if self._outside.lookers is not None:
                await nursery.start(self._outside.lookers.serve)
            self._nursery = nursery
            self._serves.set()
            task_status.started()
            await trio.sleep_forever()

    async def facts(self, conditions: Iterable[Condition], patience: float = PATIENCE_SECONDS) -> Facts:
        """What `conditions` ask about, no older than FRESH_SECONDS; what has not come within `patience` is pending."""
        wanted = {condition.question: condition for condition in conditions}
        if not wanted:
            return Facts()
        await self._serves.wait()
        since = trio.current_time() - FRESH_SECONDS
        self._found = {question: found for question, found in self._found.items() if found[0] >= since}
        asked = [self._ask(condition) for question, condition in wanted.items() if question not in self._found]
        with trio.move_on_after(patience):
            for event in asked:
                await event.wait()
        pending = Unknown("being looked at", is_pending=True)
        return Facts({question: self._found.get(question, (0.0, pending))[1] for question in wanted})

    def _ask(self, condition: Condition) -> trio.Event:
        question = condition.question
        if question not in self._asked:
            self._asked[question] = trio.Event()
            self._nursery.start_soon(self._look, condition, self._asked[question])
        return self._asked[question]

    async def _look(self, condition: Condition, done: trio.Event) -> None:
        began = trio.current_time()
        try:
            async with self._room:
                began = trio.current_time()
                found = await look(condition, self._outside)
            self._found[condition.question] = (trio.current_time(), found)
        finally:
            del self._asked[condition.question]
            done.set()
        if trio.current_time() - began > PATIENCE_SECONDS:
            self._wake()
