"""A rollback and an execution that work on the same directory: never both at once, and each says why it waits."""

from collections.abc import Iterator

import pytest

from command_line import Scene, scene
from jamaint.core.executions import Execution, State
from jamaint.core.guards import touches
from jamaint.core.guards.guard import Snapshot, View, Waiting
from jamaint.core.resources import Resource
from jamaint.core.tasks import Task
from logs_cleanup_runs import NOW, put

LOGS = Resource("path", "/var/log/app")


@pytest.fixture
def place(database: str) -> Iterator[Scene]:
    with scene(database) as found:
        yield found


@pytest.mark.parametrize("meets", [True, False])
def test_rollback_is_refused_while_something_runs_that_works_on_the_same(place: Scene, meets: bool) -> None:
    root = put(place.directory / "k" / "old", 400).parent
    root.chmod(0o755)
    beside = root if meets else place.directory / "elsewhere"
    cleanup = {
        "executor": "filesystem.cleanup",
        "config": {"paths": [{"path": str(root), "age": "30d", "age_by": ["modification"]}]},
        "mass_deletion": {"share": "100%", "items": 1000},
    }
    place.configure(tasks={"t": cleanup, "other": place.held("other", touches={"paths": [str(beside)]})})
    with place.serving():
        assert place.ctl("execute", "t").returncode == 0
        execution = place.json("execution", "show", "last")["id"]
        assert place.ctl("execute", "other", "--detach").returncode == 0
        with place.reached("other"):
            foreseen = place.ctl("rollback", execution, "--dry-run")
            said = place.ctl("rollback", execution)
        assert foreseen.returncode == 0
        assert (root / "old").exists() is not meets
        if meets:
            assert f"other runs and uses {root}: wait until it has ended, or cancel it" in said.stderr
        assert said.returncode == (5 if meets else 0)


@pytest.mark.parametrize(
    ("name", "path", "verdict"),
    [("logs", "/var/log/app", "wait"), ("other", "/var/log", "wait"), ("other", "/srv", "pass")],
)
def test_start_waits_for_a_rollback_that_works_on_the_same(name: str, path: str, verdict: str) -> None:
    task = Task(
        id=name,
        schedule=None,
        name=name,
        type="cleanup",
        category="logs",
        executor="logs.cleanup",
        config={},
        touches=(Resource("path", path),),
    )
    execution = Execution("e", None, name, State.SCHEDULED, "schedule", NOW)
    snapshot = Snapshot((), undoing=[("logs", (LOGS,))])
    found = touches.judge(Waiting(execution, task), View(snapshot, NOW, 0, {}, set()))
    assert found.verdict == verdict
    if verdict == "wait":
        assert found.detail == "logs is being rolled back and uses /var/log/app; they may not run at the same time"
