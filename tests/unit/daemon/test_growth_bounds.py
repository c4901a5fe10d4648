"""Nothing grows without a bound: entries of refused calls, executions that were asked for, stored plans."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from jamaint.core.executions import Execution, State
from jamaint.core.guards.guard import Waiting
from jamaint.core.tasks import Task
from jamaint.daemon.execution import stored_plans
from jamaint.daemon.execution.stored_plans import Plans
from jamaint.daemon.scheduling import scheduler
from jamaint.daemon.scheduling.queue import Queue
from jamaint.daemon.scheduling.scheduler import Scheduler
from jamaint.daemon.state import audit_writer
from jamaint.daemon.state.audit_writer import Auditor
from jamaint.errors import CONFLICT, REFUSED, JamaintError
from jamaint.store.audit_log import Entry

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOURS = 24


def refused_call(uid: int, role: str) -> Entry:
    return Entry(NOON, uid, 1, "somebody", role, "task.delete", None, "refused", {})


async def test_refused_calls_of_a_day_are_few_entries_and_all_are_counted() -> None:
    found = Auditor(lambda: NOON)
    written = 0
    for _ in range(HOURS):
        written += sum(found.note(refused_call(5, "viewer")) for _ in range(1000))
        found.sum_up()
    assert written == HOURS * audit_writer.REFUSALS
    assert sum(entry.detail.get("entries", 1) for entry in found._entries) == HOURS * 1000


async def test_refused_calls_of_thousands_of_strangers_leave_those_of_others_their_room() -> None:
    found = Auditor(lambda: NOON)
    written = sum(found.note(refused_call(100_000 + number, "nobody")) for number in range(20_000))
    assert written == audit_writer.STRANGERS
    assert found.note(refused_call(5, "operator"))
    found.sum_up()
    assert sum(entry.detail.get("entries", 1) for entry in found._entries) == 20_001
    assert len(found._entries) == audit_writer.STRANGERS + 2


def test_queue_is_full_of_what_was_asked_for_and_says_so() -> None:
    task = Task("t1", "often", "custom", "system", "noop", None, {})
    other = Task("t2", "seldom", "custom", "system", "noop", None, {})
    found: Any = Scheduler.__new__(Scheduler)
    found._queue = Queue(cast("Any", SimpleNamespace(put=lambda *_: None)))
    for number in range(scheduler.QUEUE_OF_TASK):
        found._refuse_when_full(task)
        execution = Execution(f"e{number}", task.id, task.name, State.SCHEDULED, "request", NOON)
        found._queue.add(Waiting(execution, task))
    with pytest.raises(JamaintError, match="100 executions of it that were asked for wait already") as told:
        found._refuse_when_full(task)
    assert told.value.code == REFUSED
    found._refuse_when_full(other)
    found._queue.remove("e0")
    found._refuse_when_full(task)


def test_plans_are_no_more_than_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_plans, "PLANS", 2)
    whatever: Any = None
    found = Plans(whatever, whatever, whatever, whatever, whatever, str(tmp_path))
    for _ in range(2):
        found.collect().writing.close()
    (tmp_path / "plans").mkdir(exist_ok=True)
    for number in range(2):
        (tmp_path / "plans" / str(number)).write_bytes(b"items")
    with pytest.raises(JamaintError, match="2 plans with 0 MiB are stored") as told:
        found.collect()
    assert told.value.code == CONFLICT
