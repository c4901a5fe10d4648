"""What is kept of policies on a real server: history that is forgotten, approvals and their uses, rates, overrides."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest
import structlog
import trio

from jamaint.config.values import HistoryRules
from jamaint.core.executions import Execution, State
from jamaint.core.policies.approvals import Approval
from jamaint.core.policies.policies import Policy, Rules, in_order
from jamaint.core.tasks import Task
from jamaint.daemon.state.definitions import Definitions
from jamaint.daemon.state.recorder import Recorder
from jamaint.daemon.state.retention import Retention
from jamaint.store import audit_log, definitions, executions, history, policies, rollback_points, window_skips
from jamaint.store.policies import Override
from jamaint.store.postgres import open_postgres
from jamaint.store.rollback_points import RollbackPoint

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
TASK = Task(str(uuid4()), "nightly", "custom", "system", "noop", None, {}, definition={"name": "nightly"})
KEEPS = Policy("p1", "keep", rules=Rules(retention_seconds=10 * 86400.0), decision=None)


@pytest.fixture
async def recorder(database: str) -> AsyncIterator[Recorder]:
    async with open_postgres(database) as pool, trio.open_nursery() as nursery:
        found = Recorder(pool, "a test", lambda: NOON, structlog.get_logger())
        await found.connect()
        await found.run(definitions.put_task, TASK, NOON)
        nursery.start_soon(found.serve)
        yield found
        nursery.cancel_scope.cancel()


def ended(days_ago: float, status: State = State.COMPLETED, **changes: Any) -> Execution:
    at = NOON - days_ago * DAY
    fields: dict[str, Any] = {"trigger": "schedule", "started_at": at, "completed_at": at + HOUR}
    return Execution(
        id=str(uuid4()),
        task_id=TASK.id,
        task_name=TASK.name,
        status=status,
        scheduled_for=at,
        **{**fields, **changes},
    )


def point(execution: Execution) -> RollbackPoint:
    return RollbackPoint(str(uuid4()), execution.id, "open", NOON, NOON + DAY, {}, (), seal="s")


def forgetting(recorder: Recorder, *found: Policy) -> Retention:
    config = SimpleNamespace(history=HistoryRules())
    known = SimpleNamespace(tasks={TASK.name: TASK}, policies_in_order=in_order(found), config=config)
    return Retention(cast(Definitions, known), recorder, lambda: NOON, structlog.get_logger())


async def kept(recorder: Recorder) -> set[str]:
    return {one.id for one in await recorder.run(executions.page, limit=100)}


async def test_what_is_older_than_its_retention_is_forgotten(recorder: Recorder) -> None:
    old, failed, young = ended(30), ended(20, State.FAILED), ended(5)
    await recorder.put(old, failed, young)
    assert await forgetting(recorder).forget() == 0
    assert await forgetting(recorder, KEEPS).forget() == 2
    assert await kept(recorder) == {young.id}


async def test_history_without_a_policy_is_kept_for_its_default_retention(recorder: Recorder) -> None:
    old, young, newest = ended(401), ended(399), ended(1)
    gone = replace(ended(500), task_id=None, task_name="not defined any more")
    await recorder.put(old, young, newest, gone)
    assert await forgetting(recorder).forget() == 2
    assert await kept(recorder) == {young.id, newest.id}


async def test_audit_log_expires_and_what_is_young_cannot_be_deleted(recorder: Recorder, database: str) -> None:
    now = datetime.now(UTC)
    entries = [
        (str(uuid4()), audit_log.Entry(now - days * DAY, 0, 1, "root", "admin", "m", None, "done", {}))
        for days in (500, 40, 10)
    ]
    await recorder.run(audit_log.append, entries)
    rules = SimpleNamespace(history=HistoryRules())
    known = SimpleNamespace(tasks={}, policies_in_order=(), config=rules)
    await Retention(cast(Definitions, known), recorder, lambda: now, structlog.get_logger()).forget()
    assert len(await recorder.run(audit_log.page, None, None, 10)) == 2
    assert await recorder.run(history.forget_audit, now) == 1
    for sql in ("DELETE FROM audit_log", "UPDATE audit_log SET uid = 1", "TRUNCATE audit_log"):
        with pytest.raises(Exception, match="the audit log only grows"):
            await recorder.run(lambda connection, sql=sql: connection.execute(sql))
    assert len(await recorder.run(audit_log.page, None, None, 10)) == 1


async def test_what_can_be_rolled_back_and_the_newest_stay(recorder: Recorder) -> None:
    undoable, newest = ended(30), ended(20)
    waits = replace(ended(25), status=State.SCHEDULED, started_at=None, completed_at=None)
    asked = ended(28, trigger="request")
    await recorder.put(undoable, waits, newest, asked)
    await recorder.run(rollback_points.create, point(undoable))
    assert await forgetting(recorder, KEEPS).forget() == 0
    assert await kept(recorder) == {undoable.id, waits.id, newest.id, asked.id}


async def test_more_than_one_batch_is_forgotten(recorder: Recorder) -> None:
    await recorder.put(*(ended(100 - number / 100) for number in range(1200)))
    assert await forgetting(recorder, KEEPS).forget() == 1199


async def test_an_approval_and_what_started_on_it_come_back(recorder: Recorder) -> None:
    given = Approval(
        id=str(uuid4()),
        task_name=TASK.name,
        by="ana",
        at=NOON,
        expires_at=NOON + DAY,
        occurrences=2,
        plan="abc",
        reason="looked at it",
        as_principals=frozenset({"admin", "user:ana"}),
    )
    over = replace(given, id=str(uuid4()), expires_at=NOON)
    user = str(uuid4())
    await recorder.run(policies.approve, given, "its seal")
    await recorder.run(policies.approve, over, "another")
    for _ in range(2):  # a start that is written again after a lost answer
        await recorder.run(policies.use_approval, given.id, user)
    assert await recorder.run(policies.approvals, NOON) == [(replace(given, used_by=(user,)), "its seal")]


async def test_starts_are_counted_from_then_on(recorder: Recorder) -> None:
    await recorder.put(ended(3), ended(1), ended(0.5), ended(2, State.CANCELLED, started_at=None))
    found = await recorder.run(policies.starts, NOON - DAY)
    assert found == {TASK.name: [NOON - DAY, NOON - DAY / 2]}


async def test_an_override_comes_back_page_by_page(recorder: Recorder) -> None:
    verdict = {"guard": "window", "verdict": "refuse", "detail": "window w is closed"}
    given = [
        Override(str(uuid4()), str(uuid4()), "t", "w", "ana", 7, "fire", at, at + HOUR, ("window",), (verdict,))
        for at in (NOON, NOON + HOUR)
    ]
    for one in given:
        await recorder.run(policies.override, one)
    first = await recorder.run(policies.overrides, None, None, 1)
    assert first == [given[1]]
    assert await recorder.run(policies.overrides, None, (first[0].given_at, first[0].id), 5) == [given[0]]
    assert await recorder.run(policies.overrides, NOON + HOUR, None, 5) == [given[1]]


async def test_skips_come_back_and_only_those_to_come_are_taken_back(recorder: Recorder) -> None:
    await recorder.run(window_skips.add, "w", [NOON, NOON + DAY], "ana")
    await recorder.run(window_skips.add, "w", [NOON + DAY], "bob")
    assert await recorder.run(window_skips.all_of_them) == {"w": {NOON: "ana", NOON + DAY: "ana"}}
    await recorder.run(window_skips.take_back, "w", NOON)
    assert await recorder.run(window_skips.all_of_them) == {"w": {NOON: "ana"}}
