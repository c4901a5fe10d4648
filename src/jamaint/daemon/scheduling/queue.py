"""The queue: what waits to start, in the order of starting, and why each of it still waits."""

from bisect import bisect_left, insort
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from jamaint.core.executions import Execution
from jamaint.core.guards.guard import Verdict, Waiting
from jamaint.core.scheduling.agenda import order
from jamaint.core.scheduling.hold_history import Holds, restored
from jamaint.daemon.state.live import Current


class Queue:
    """Executions that wait; may be changed while it is gone through."""

    def __init__(self, current: Current) -> None:
        self._current = current
        self._waiting: list[Waiting] = []
        self._by_id: dict[str, Waiting] = {}
        self._holds: dict[str, Holds] = {}
        self._changed: set[str] = set()
        self._requested: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def __iter__(self) -> Iterator[Waiting]:
        return iter(tuple(self._waiting))

    def get(self, execution_id: str) -> Waiting | None:
        """The one with this id, if it waits."""
        return self._by_id.get(execution_id)

    def requested(self, task: str | None = None) -> int:
        """Return how many of it were asked for, of all tasks or of one."""
        return sum(self._requested.values()) if task is None else self._requested.get(task, 0)

    def _count(self, waiting: Waiting, more: int) -> None:
        if waiting.by_request:
            name = waiting.task.name
            self._requested[name] = self._requested.get(name, 0) + more
            if not self._requested[name]:
                del self._requested[name]

    def add(self, waiting: Waiting) -> None:
        """Puts one in its place."""
        self._count(waiting, 1)
        insort(self._waiting, waiting, key=order)
        self._by_id[waiting.execution.id] = waiting

    def remove(self, execution_id: str) -> Waiting:
        """Take one out; what has held it is forgotten. Raises KeyError."""
        self._holds.pop(execution_id, None)
        self._changed.discard(execution_id)
        return self._take(execution_id)

    def reasons_to_skip(
        self, execution_id: str, against: tuple[Verdict, ...], now: datetime
    ) -> tuple[dict[str, Any], ...]:
        """Return the reasons of one that waits and is given up for `against`; see Holds.of_skipped."""
        return self._holds_of(execution_id).of_skipped(against, now)

    def reasons_at_start(self, execution_id: str, now: datetime) -> tuple[dict[str, Any], ...]:
        """Return what has held one that waits and starts now."""
        return self._holds_of(execution_id).of_started(now)

    def to_write(self, now: datetime) -> list[Execution]:
        """Return those whose reasons have changed since the last call, with what has held each so far."""
        changed, self._changed = self._changed, set()
        return [
            replace(self._by_id[ident].execution, reasons=self.reasons_at_start(ident, now))
            for ident in changed
            if ident in self._by_id
        ]

    def _holds_of(self, execution_id: str) -> Holds:
        found = self._holds.get(execution_id)
        if found is None:
            found = self._holds[execution_id] = restored(self._by_id[execution_id].execution.reasons)
        return found

    def _take(self, execution_id: str) -> Waiting:
        waiting = self._by_id.pop(execution_id)
        self._count(waiting, -1)
        del self._waiting[bisect_left(self._waiting, order(waiting), key=order)]
        return waiting

    def change(self, change: Callable[[Waiting], Waiting], task: str | None = None) -> None:
        """Puts what `change` makes of each, or of each execution of a task, in its place."""
        for waiting in self:
            if task in (None, waiting.task.name):
                self._take(waiting.execution.id)
                self.add(change(waiting))

    def hold(self, execution_id: str, against: tuple[Verdict, ...], now: datetime) -> None:
        """Note why it waits; the same reasons are not told again."""
        waiting = self._by_id[execution_id]
        reasons = tuple(verdict.to_json() for verdict in against)
        if reasons != waiting.execution.reasons:
            held = replace(waiting, execution=replace(waiting.execution, reasons=reasons))
            self._holds_of(execution_id).note(against, now)
            self._changed.add(execution_id)
            self._take(execution_id)
            self.add(held)
            self._current.put(held.execution, "scheduled")

    def hold_all(self, verdict: Verdict, now: datetime, but: Collection[str] = ()) -> None:
        """All that wait, wait for the same, but for those that are told what they wait for."""
        same = (verdict.to_json(),)
        for waiting in self:
            if waiting.execution.reasons != same and waiting.execution.id not in but:
                self.hold(waiting.execution.id, (verdict,), now)
