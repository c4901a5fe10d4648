"""Workers that look at what the daemon may not: a few of each kind, started when one is needed, ended when idle.

A look costs no process of its own: a worker that has looked stays for the next one, and takes all that has come
meanwhile at once. One that dies, or in which a look hangs for ever, is replaced.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import trio

from jamaint.core.conditions import Unknown
from jamaint.core.conditions.command import Ended
from jamaint.core.conditions.postgresql import Server
from jamaint.core.tasks import Condition
from jamaint.core.worker_kinds import COMMANDS, LOOKED_AT, kind_of_look
from jamaint.host import secrets
from jamaint.worker_client.composite import WorkerHandle
from jamaint.worker_client.session import Message, WorkerLostError, open_worker

IDLE_SECONDS = 60.0
WORKERS = 4
"""Of one kind: so many looks that take their time hold up nothing else."""
GRACE_SECONDS = 2.0
SPARE_SECONDS = 30.0
"""Beyond a look's own time: for a worker to start on a busy machine, and for the looks before it."""

FACTS: Mapping[str, Callable[[Any], Any]] = {
    "command": lambda found: Ended(int(found[0]), str(found[1])),
    "http": int,
    "tcp": str,
    "postgresql": lambda found: Server(**found),
}
"""How what a worker says becomes the fact, by the kind of the condition."""
assert FACTS.keys() == LOOKED_AT


@dataclass(slots=True)
class _ProbeRequest:
    condition: Condition
    answered: trio.Event = field(default_factory=trio.Event)
    found: Any = None
    given_up: bool = False

    def answer(self, found: Any) -> None:
        """The first answer counts."""
        if not self.answered.is_set():
            self.found = found
            self.answered.set()


@dataclass(slots=True)
class _Pool:
    """The workers of one kind, and what none of them has taken yet."""

    waiting: deque[_ProbeRequest] = field(default_factory=deque)
    workers: int = 0
    coming: int = 0
    """How many of them are on their way to take what waits."""
    idle: list[trio.Event] = field(default_factory=list)


class ProbePool:
    """All workers that look; `look` is asked of it while `serve` runs."""

    def __init__(self, on_stderr: Callable[[str], None], idle_seconds: float = IDLE_SECONDS) -> None:
        self._on_stderr = on_stderr
        self._idle_seconds = idle_seconds
        self._pools: dict[str, _Pool] = {}
        self._nursery: trio.Nursery | None = None

    async def serve(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until it is cancelled; no worker outlives it."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            await trio.sleep_forever()

    async def look(self, condition: Condition) -> Any:
        """The fact that `condition` asks for, or Unknown."""
        try:
            kind = kind_of_look(condition)
        except ValueError as error:
            return Unknown(str(error))
        if self._nursery is None:
            return Unknown("nobody looks here")
        pool = self._pools.setdefault(kind, _Pool())
        question = _ProbeRequest(condition)
        pool.waiting.append(question)
        self._call(kind, pool)
        try:
            with trio.move_on_after(float(condition.params["timeout_seconds"]) + SPARE_SECONDS):
                await question.answered.wait()
                return question.found
        finally:
            question.given_up = not question.answered.is_set()
        return Unknown("no probe worker became free in time (too many slow checks)")

    def _call(self, kind: str, pool: _Pool) -> None:
        """Has somebody take what waits, unless somebody is coming for it already."""
        assert self._nursery is not None  # look has asked
        if pool.coming >= (len(pool.waiting) if kind.startswith(COMMANDS) else 1):
            return
        if pool.idle:
            pool.idle.pop().set()
        elif pool.workers < WORKERS:
            pool.workers += 1
            self._nursery.start_soon(self._work, kind, pool)
        else:
            return
        pool.coming += 1

    async def _work(self, kind: str, pool: _Pool) -> None:
        """One worker, from its start to its end."""
        visit = _ProbeWorker(pool)
        try:
            async with open_worker(
                _opening(), visit.hear, self._on_stderr, grace_seconds=GRACE_SECONDS, kind=kind
            ) as worker:
                while await self._is_wanted(visit, worker):
                    visit.take(kind)
                    if await _ask(worker, visit.batch):
                        break  # a look hangs in there, and would for ever
                    visit.batch = []
        except WorkerLostError as lost:
            visit.tell(lost)
        finally:
            visit.end()
        if pool.waiting:
            self._call(kind, pool)

    async def _is_wanted(self, visit: "_ProbeWorker", worker: WorkerHandle) -> bool:
        """Waits until something is to be looked at; false when nothing was for long enough. Raises WorkerLostError."""
        while not visit.has_work():
            woken = trio.Event()
            visit.pool.idle.append(woken)
            with trio.move_on_after(self._idle_seconds):
                await woken.wait()
            if not woken.is_set():
                visit.pool.idle.remove(woken)
                return False
            visit.is_coming = True
            await _ask(worker, [])  # it may have died while it idled, which is no look's failure
        return True


class _ProbeWorker:
    """What one worker does: whether it is coming for what waits, what it has taken, and what it says of that."""

    def __init__(self, pool: _Pool) -> None:
        self.pool = pool
        self.batch: list[_ProbeRequest] = []
        self.is_coming = True
        self._came = False

    def has_work(self) -> bool:
        """Whether something waits that is still wanted; if not, the worker is not coming any more."""
        waiting = self.pool.waiting
        while waiting and waiting[0].given_up:
            waiting.popleft()
        if not waiting:
            self._has_come()
        return bool(waiting)

    def take(self, kind: str) -> None:
        """Takes what the worker is to look at now: all, or one command."""
        count = 1 if kind.startswith(COMMANDS) else len(self.pool.waiting)
        self.batch = [self.pool.waiting.popleft() for _ in range(count)]
        self._has_come()

    def hear(self, line: Message) -> None:
        """Takes one line of what the worker has found."""
        if line["is"] != "found":
            return
        question = self.batch[int(line["number"])]
        if "unknown" in line:
            question.answer(Unknown(str(line["unknown"])))
        else:
            question.answer(FACTS[question.condition.kind](line["fact"]))
        if not self.is_coming and all(one.answered.is_set() for one in self.batch):  # it is done within a moment
            self.is_coming = True
            self.pool.coming += 1

    def tell(self, lost: WorkerLostError) -> None:
        """The worker is gone: what it had taken is unknown, and all that waits if it could not even be started."""
        for question in self.batch:
            question.answer(Unknown(f"what looks at it was lost: {lost.message}"))
        while self.pool.waiting and not self._came:
            self.pool.waiting.popleft().answer(Unknown(f"nothing can look at it: {lost.message}"))

    def end(self) -> None:
        """The worker is no more."""
        if self.is_coming:
            self.pool.coming -= 1
        self.pool.workers -= 1

    def _has_come(self) -> None:
        self._came = True
        if self.is_coming:
            self.is_coming = False
            self.pool.coming -= 1


async def _ask(worker: WorkerHandle, batch: list[_ProbeRequest]) -> int:
    """How many looks of the batch hang still. Raises WorkerLostError."""
    conditions = [{"kind": one.condition.kind, "params": dict(one.condition.params)} for one in batch]
    answer = await worker.ask({"do": "look", "conditions": conditions, "environment": secrets.handed_over(conditions)})
    for question in batch:
        why = (answer.get("error") or {}).get("message", "it was stopped")
        question.answer(Unknown(f"it could not be looked at: {why}"))
    return int((answer.get("details") or {}).get("left", 0)) if answer["is"] == "done" else 1


def _opening() -> dict[str, Any]:
    return {
        "do": "open",
        "execution": str(uuid4()),
        "executor": "looks",
        "task": {
            "name": "looks",
            "config": {},
            "rollback": False,
            "mass_deletion": {"share": 0.0, "items": 0},
            "timeout_seconds": None,
        },
        "now": datetime.now(UTC).isoformat(),
        "user": None,
        "limits": {"low_space": 0.0},
    }
