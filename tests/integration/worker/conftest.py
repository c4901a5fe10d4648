"""Every test with workers: an execution of its own, and afterwards no process, descriptor or task is left of it."""

import os
import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
import trio

from jamaint.host.processes.run import children
from jamaint.worker_client import child_process
from worker_processes import Heard, marked
from worker_units import units


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def execution() -> str:
    return f"test-{uuid.uuid4()}"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next workers give what they end a fifth of a second."""
    code = (
        "import jamaint.executors.command.executor as it; it.GRACE_SECONDS = 0.2; from jamaint.worker.main import main"
    )
    monkeypatch.setattr(
        child_process, "_BOOT", child_process._BOOT.replace("from jamaint.worker.main import main", code)
    )


@pytest.fixture(autouse=True)
def no_process_left(execution: str) -> Iterator[None]:
    before = children()
    descriptors = set(os.listdir("/proc/self/fd"))
    yield
    assert children() == before
    assert not list(marked(execution))
    assert set(os.listdir("/proc/self/fd")) <= descriptors


@pytest.fixture(autouse=True, params=["child", "unit"])
def link(request: pytest.FixtureRequest, no_process_left: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """How the next workers are reached: as children, or through a socket, as units of a systemd that is ours."""
    if request.param == "child":
        yield request.param
        return
    with units() as directory:
        monkeypatch.setenv("JAMAINT_WORKERS", directory)
        yield request.param


@pytest.fixture(autouse=True)
async def no_task_left() -> AsyncIterator[None]:
    before = trio.lowlevel.current_statistics().tasks_living
    yield
    assert trio.lowlevel.current_statistics().tasks_living <= before
