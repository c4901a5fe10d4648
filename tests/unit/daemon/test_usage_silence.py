"""A worker that does not answer keeps nobody waiting for the usage, and others' figures come."""

from collections.abc import AsyncIterator, Set
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from jamaint.core.capacity import Target, targets
from jamaint.core.plans import Plan
from jamaint.core.tasks import Task
from jamaint.daemon.monitoring import usage
from jamaint.daemon.monitoring.usage import Usage
from jamaint.errors import JamaintError
from jamaint.worker_client.session import WorkerLostError

TASKS = (
    Task(
        id="a", schedule=None, name="a", type="cleanup", category="logs", executor="logs.cleanup",
        config={"log_paths": ["/var/log/a/*"]},
    ),
    Task(
        id="b", schedule=None, name="b", type="cleanup", category="logs", executor="logs.cleanup",
        config={"log_paths": ["/var/log/b/*"], "user": "b"},
    ),
)  # fmt: skip
WANTED = [one for one in targets(TASKS, "/") if one.kind != "storage"]


def measuring(monkeypatch: pytest.MonkeyPatch, silent: Set[str | None], lost: Set[str | None] = frozenset()) -> Usage:
    """A Usage whose workers of these users say nothing, or die."""

    @asynccontextmanager
    async def open_worker(opening: dict[str, Any], **_: Any) -> AsyncIterator[Any]:
        async def ask(order: dict[str, Any]) -> dict[str, Any]:
            if opening["user"] in silent:
                await trio.sleep_forever()
            if opening["user"] in lost:
                raise WorkerLostError("it was killed")
            found = [{"kind": kind, "name": name, "bytes": 7} for kind, name in order["step"]["args"]["targets"]]
            return {"is": "done", "details": {"targets": found}}

        yield SimpleNamespace(ask=ask)

    monkeypatch.setattr(usage, "open_worker", open_worker)
    config = SimpleNamespace(trusted_groups=())
    parts: Any = SimpleNamespace(tasks={task.name: task for task in TASKS}, config=config)
    return Usage(
        definitions=parts, recorder=parts, postgres=parts, runner=parts, now=lambda: datetime.now(UTC), log=parts
    )


async def test_usage_of_silent_worker_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    began = trio.current_time()
    found = await measuring(monkeypatch, {"b"})._ask(WANTED)
    assert trio.current_time() - began == pytest.approx(usage.SILENCE_SECONDS, abs=1)
    by_name = {one["name"]: one for one in found}
    assert by_name["/var/log/a"]["bytes"] == 7
    assert by_name["/var/log/b"]["bytes"] is None
    assert "does not answer" in by_name["/var/log/b"]["problem"]


async def test_usage_is_refused_when_no_worker_answers(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    with pytest.raises(JamaintError, match=r"the usage could not be measured: .* does not answer"):
        await measuring(monkeypatch, {None, "b"})._ask([Target("logs", "/var/log/a"), Target("logs", "/var/log/b")])


async def test_usage_of_worker_that_dies_costs_only_its_own_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {one["name"]: one for one in await measuring(monkeypatch, set(), {"b"})._ask(WANTED)}
    assert found["/var/log/a"]["bytes"] == 7
    assert found["/var/log/b"]["problem"] == "could not be measured: it was killed"


async def test_analysis_plans_no_kind_with_a_place_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = [
        {"kind": "logs", "config": {"log_paths": ["/var/log/a/*"]}},
        {"kind": "temp", "config": {"paths": [{"path": "/mnt/dead"}]}},
    ]
    cleanup = Task(
        id="c", schedule=None, name="cleanup", type="cleanup", category="system", executor="system.cleanup",
        config={"kinds": kinds},
    )  # fmt: skip
    planned: list[Task] = []

    async def plan(task: Task) -> Plan:
        planned.append(task)
        return Plan(())

    asked = measuring(monkeypatch, set())
    monkeypatch.setattr(asked, "_plan", plan)
    monkeypatch.setattr(asked, "_definitions", SimpleNamespace(tasks={"cleanup": cleanup}))
    assert await asked._plans({Target("temp", "/mnt/dead")}) == {}
    assert [one["kind"] for one in planned[0].config["kinds"]] == ["logs"]
    await asked._plans({Target("temp", "/mnt/dead"), Target("logs", "/var/log/a")})
    assert len(planned) == 1
