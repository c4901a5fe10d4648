"""Every change that the recorder and the auditor make is harmless when it is made twice: its answer may get lost."""

import inspect
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType, ModuleType
from typing import Any, NamedTuple, cast
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_recorder import TASK

import postgres_server as server
from jamaint.core.calendar.windows import Window
from jamaint.core.capacity import Target
from jamaint.core.executions import Execution, State
from jamaint.core.plans import Step
from jamaint.core.policies.approvals import Approval
from jamaint.core.policies.policies import Policy
from jamaint.core.rotation_records import RotationRecord
from jamaint.core.safety.deletion_guard import Filesystem, RootObservation
from jamaint.core.system_cleanup import Cleanup
from jamaint.store import (
    audit_log,
    cleanup_history,
    daemon_lock,
    definitions,
    executions,
    history,
    log_rotations,
    plans,
    policies,
    rollback_points,
    usage_samples,
    window_skips,
)
from jamaint.store.audit_log import Entry
from jamaint.store.executions import LogLine
from jamaint.store.plans import StoredPlan
from jamaint.store.policies import Override
from jamaint.store.rollback_points import RollbackPoint

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MODULES = (
    audit_log,
    cleanup_history,
    executions,
    history,
    daemon_lock,
    log_rotations,
    definitions,
    plans,
    policies,
    rollback_points,
    usage_samples,
    window_skips,
)

RAN = Execution(
    id=str(uuid4()),
    task_id=TASK.id,
    task_name=TASK.name,
    status=State.COMPLETED,
    trigger="schedule",
    scheduled_for=NOON,
    started_at=NOON,
    completed_at=NOON + HOUR,
)
OLD = tuple(
    Execution(str(uuid4()), TASK.id, TASK.name, State.CANCELLED, "schedule", NOON - days * 24 * HOUR, completed_at=NOON)
    for days in (1, 2)
)
POINT = RollbackPoint(str(uuid4()), RAN.id, "open", NOON, NOON + HOUR, {}, (Step("s", "it"),), "seal")
PLAN = StoredPlan("0" * 64, TASK.name, {}, NOON, "ana", NOON + HOUR, (), (), (), 1, 1, True)
APPROVAL = Approval(str(uuid4()), TASK.name, "ana", NOON, NOON + HOUR)
WINDOW = Window(str(uuid4()), "night", cast("Any", None), 60, "UTC", ())
OVERRIDE = Override(str(uuid4()), RAN.id, TASK.name, None, "ana", 0, "why", NOON, NOON + HOUR, ("window",), ())


class Change(NamedTuple):
    """One operation as it is called."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    named: Mapping[str, Any] = MappingProxyType({})


RESULT = {"restored": 1, "held": [{"from_ns": 1, "until_ns": 2, "inodes": []}]}
CHANGES = (
    Change(audit_log.append, ([(str(uuid4()), Entry(NOON, 0, 1, "root", "admin", "m", None, "done", {}))],)),
    Change(cleanup_history.put, (Cleanup(RAN.id, "system", NOON, NOON + HOUR, 1, (), True, None),)),
    Change(executions.write, ([RAN], [LogLine(RAN.id, 1, NOON, "info", None, "text")])),
    Change(daemon_lock.note_holder, ("me", NOON)),
    Change(log_rotations.begin, (RAN.id, TASK.name, NOON)),
    Change(log_rotations.report, (TASK.name, [RotationRecord("/a.log", NOON, True, RAN.id)], NOON - HOUR)),
    Change(log_rotations.take_back, (RAN.id, True)),
    Change(log_rotations.take_back, (RAN.id, False)),
    Change(definitions.put_task, (TASK, NOON)),
    Change(definitions.switch_task, (TASK.name, True, NOON)),
    Change(definitions.pause_task, (TASK.name, NOON)),
    Change(definitions.quarantine_task, (TASK.name, NOON, NOON)),
    Change(definitions.delete_task, ("another",)),
    Change(definitions.put_window, (WINDOW, "ana")),
    Change(definitions.delete_window, ("night",)),
    Change(plans.put, (PLAN,)),
    Change(plans.approve, (PLAN.hash, "ana", NOON, "seal")),
    Change(plans.expire, (NOON + 2 * HOUR,)),
    Change(plans.put_roots, (TASK.name, [RootObservation("/x", 3, Filesystem("ext4", "/dev/a", "/", "u"), 1, "2026")])),
    Change(policies.put_policy, (Policy("00000000-0000-0000-0000-000000000001", "p"),)),
    Change(policies.delete_policy, ("p",)),
    Change(policies.approve, (APPROVAL, "seal")),
    Change(policies.use_approval, (APPROVAL.id, RAN.id)),
    Change(policies.override, (OVERRIDE,)),
    Change(policies.forget, (TASK.name, NOON + 2 * HOUR)),
    Change(history.forget_undefined, ([TASK.name], NOON + 2 * HOUR)),
    Change(history.forget_audit, (NOON + 2 * HOUR,)),
    Change(history.forget_rest, (NOON - HOUR,)),
    Change(rollback_points.create, (POINT,)),
    Change(rollback_points.begin_step, (POINT.id, 1)),
    Change(rollback_points.begin_undo, (POINT.id, "s")),
    Change(rollback_points.move, (POINT.id, ["open"], "undoing"), {"claim": str(uuid4())}),
    Change(rollback_points.move, (POINT.id, ["undoing"], "undone"), {"claim": str(uuid4()), "result": RESULT}),
    Change(rollback_points.put_held, (POINT.id, [])),
    Change(rollback_points.note_bytes, (POINT.id, 7)),
    Change(rollback_points.put_off_purge, (POINT.id, NOON, "purging", {"problems": []})),
    Change(usage_samples.add, (NOON, [(Target("storage", "/"), 5)], NOON - HOUR)),
    Change(window_skips.add, ("night", [NOON], "ana")),
    Change(window_skips.take_back, ("night", NOON - HOUR)),
)


def writes(module: ModuleType) -> set[str]:
    """The functions of a store's module whose statements write."""
    found = set()
    for name, function in inspect.getmembers(module, inspect.iscoroutinefunction):
        keys = re.findall(r'SQL\["(\w+)"\]', inspect.getsource(function))
        if any(re.search(r"\b(INSERT|UPDATE|DELETE)\b", module.SQL[key]) for key in keys):
            found.add(name)
    return {name for name in found if not name.startswith("_")}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_changes_of_a_module_are_all_in_the_list(module: ModuleType) -> None:
    tried = {change.function.__name__ for change in CHANGES if change.function.__module__ == module.__name__}
    assert writes(module) - tried == set()


async def contents(connection: Any) -> str:
    """Every row of every table."""
    names = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    found = []
    for (name,) in names:
        rows = await connection.fetch(f'SELECT t::text AS row FROM "{name}" AS t ORDER BY 1')
        found += [f"{name} {row['row']}" for row in rows]
    return "\n".join(found)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(len(CHANGES))))
def test_each_change_made_twice_is_as_made_once(database: str, order: list[int]) -> None:
    async def try_all(connection: Any) -> None:
        transaction = connection.transaction()
        await transaction.start()
        await definitions.put_task(connection, TASK, NOON)
        await executions.write(connection, [*OLD, RAN])
        await rollback_points.create(connection, POINT)
        for number in order:
            change = CHANGES[number]
            savepoint = connection.transaction()
            await savepoint.start()
            try:
                once = await change.function(connection, *change.args, **change.named)
                after = await contents(connection)
                twice = await change.function(connection, *change.args, **change.named)
            except Exception as error:  # what it needs is not there yet in this order
                assert type(error).__name__ == "ForeignKeyViolationError", change  # noqa: PT017
                await savepoint.rollback()
                continue
            assert await contents(connection) == after, change.function.__name__
            if change.function is not policies.forget:  # it tells how many are gone by it
                assert twice == once, change.function.__name__
            await savepoint.commit()
        await transaction.rollback()

    server.on_connection(database, try_all)
