"""A crash loses nothing: the daemon is killed at every call it makes to the store and the host, and started again."""

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import postgres_server as server
from daemon_harness import Daemon, client, daemon
from jamaint.errors import JamaintError
from jamaint.host.signatures import Seals
from jamaint.store import rollback_points
from jamaint.store.jsonb import jsonb
from jamaint.store.postgres import Connection
from tree_snapshot import Entry, differences, snapshot

CONFIG = """
database: {{ dsn: "{dsn}" }}
socket: {{ path: {directory}/sock }}
state_dir: {directory}/state
log: {{ format: text }}
tasks:
  app-logs:
    type: cleanup
    category: logs
    config:
      log_paths: ["{directory}/logs/app/*.log"]
      retention_days: 30
      compress_logs: {{ algorithm: gzip, older_than: 1d }}
    rollback: {{ enabled: true, auto_rollback: true }}
    mass_deletion: {{ share: 100%, items: 1000 }}
"""
AGES_DAYS = (0, 2, 5, 40, 50)
CALLS_AT_MOST = 100


@pytest.fixture
def scene(database: str) -> Iterator[Path]:
    """A directory with logs and a configuration."""
    with tempfile.TemporaryDirectory(prefix="ja-", dir="/var/tmp") as directory:
        logs = Path(directory, "logs", "app")
        logs.mkdir(parents=True)
        for days in AGES_DAYS:
            file = logs / f"web-{days:02}.log"
            file.write_text(f"a line of {days} days ago\n" * 1000)
            os.utime(file, ns=(time.time_ns() - days * 86400 * 10**9,) * 2)
        Path(directory, "jamaintd.yaml").write_text(CONFIG.format(dsn=database, directory=directory))
        yield Path(directory)


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_every_call(scene: Path, when: str) -> None:
    before = snapshot(scene / "logs")
    for number in range(1, CALLS_AT_MOST):
        died = _run_with_knife(scene, f"{number}:{when}")
        if number % 3 == 0:  # the next start is wounded too: a settlement that is cut short is settled in its turn
            _start_with_knife(scene, f"{number % 23 + 1}:{when}")
        _settle_and_compare(scene, before)
        if not died:
            assert number > 20, "the knife was never drawn"
            return
    raise AssertionError("the run makes more calls than were cut")


@pytest.mark.parametrize("status", ["running", "failed"])
def test_internal_error_of_an_undo_at_a_start_leaves_the_point_incomplete(
    scene: Path, database: str, status: str
) -> None:
    with daemon(scene / "jamaintd.yaml"), client(scene / "sock") as caller:
        ident = caller.run("app-logs")["id"]

    async def break_point(connection: Connection) -> None:
        """As an undo that the daemon's death cut short, of an executor that this version does not have."""
        point = await rollback_points.of_execution(connection, ident)
        assert point is not None
        opening = {**point.opening, "executor": "of another version", "auto_rollback": True}
        seal = Seals(str(scene / "state")).of(rollback_points.sealed(opening, point.steps))
        wanted = "open" if status == "running" else "undoing"
        await connection.execute(
            "UPDATE rollback_points SET opening = $2, seal = $3, status = $4 WHERE id = $1",
            point.id, jsonb(opening), seal, wanted,
        )  # fmt: skip
        await connection.execute("UPDATE maintenance_executions SET status = $2 WHERE id = $1", ident, status)

    server.on_connection(database, break_point)
    with daemon(scene / "jamaintd.yaml"), client(scene / "sock") as caller:
        found = caller.call("execution.get", execution=ident)
        assert (found["status"], found["rollback_point"]["status"]) == ("failed", "incomplete")
        assert "internal error in a rollback" in (scene / "jamaintd.log").read_text()


@pytest.mark.parametrize("status", ["purging", "open"])
def test_internal_error_of_a_purge_stops_nothing_else(scene: Path, database: str, status: str) -> None:
    """At a start, of a purge that was cut short, and when a retention ends."""
    with daemon(scene / "jamaintd.yaml"), client(scene / "sock") as caller:
        ident = caller.run("app-logs")["id"]

    async def break_point(connection: Connection) -> None:
        point = await rollback_points.of_execution(connection, ident)
        assert point is not None
        opening = {key: value for key, value in point.opening.items() if key != "task"}  # nothing of ours writes that
        seal = Seals(str(scene / "state")).of(rollback_points.sealed(opening, point.steps))
        await connection.execute(
            "UPDATE rollback_points SET opening = $2, seal = $3, status = $4, expires_at = now() WHERE id = $1",
            point.id, jsonb(opening), seal, status,
        )  # fmt: skip

    server.on_connection(database, break_point)
    units = {"JAMAINT_WORKERS": str(scene / "workers")}
    with daemon(scene / "jamaintd.yaml", units) as served, client(scene / "sock") as caller:
        until = time.monotonic() + 60
        while "internal error in a purge" not in (scene / "jamaintd.log").read_text():
            assert time.monotonic() < until
            caller.call("daemon.version")
        assert caller.call("execution.get", execution=ident)["status"] == "completed"
        assert served.process.poll() is None


def _run_with_knife(scene: Path, knife: str) -> bool:
    """Runs the task in a daemon that dies at a call; False if it lived to the end."""
    wounded = Daemon(scene / "jamaintd.yaml", knife=knife)
    try:
        if wounded.wait_ready():
            with client(scene / "sock") as caller:
                caller.run("app-logs")
            wounded.stop()
            return wounded.process.returncode != 0
    except (EOFError, ConnectionError, FileNotFoundError):
        pass  # it died while we talked
    finally:
        wounded.wait()
    return True


def _start_with_knife(scene: Path, knife: str) -> None:
    wounded = Daemon(scene / "jamaintd.yaml", knife=knife)
    if wounded.wait_ready():
        wounded.stop()
    wounded.wait()


def _settle_and_compare(scene: Path, before: dict[bytes, Entry]) -> None:
    with daemon(scene / "jamaintd.yaml"), client(scene / "sock") as caller:
        for execution in _executions(caller):
            assert execution["status"] in ("completed", "failed", "rolled_back", "cancelled"), execution
            assert execution["completed_at"] is not None
            if execution["status"] == "completed":
                assert not differences_of_content(before, scene)
            _roll_back_what_is_open(caller, execution)
        assert differences(before, snapshot(scene / "logs")) == []
        history = {one["id"]: one["success"] for one in caller.call("cleanup.history", limit=1000)["items"]}
        for execution in _executions(caller):
            if execution["started_at"] is not None:
                assert history[execution["id"]] or execution["error"] is not None
        caller.call("task.enable", task="app-logs")  # killed so often, it would be kept from running


def differences_of_content(before: dict[bytes, Entry], scene: Path) -> list[str]:
    """Logs that are in the tree in no form: gone without a place in the trash."""
    kept = {os.path.basename(name).split(b".log")[0] for name in snapshot(scene / "logs")}
    return [name.decode() for name in before if name.endswith(b".log") and os.path.basename(name)[:-4] not in kept]


def _executions(caller: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = caller.call("execution.list")["items"]
    return found


def _roll_back_what_is_open(caller: Any, execution: dict[str, Any]) -> None:
    point = execution["rollback_point"]
    if point is None or point["status"] not in ("open", "incomplete"):
        return
    try:
        result = caller.call("execution.rollback", execution=execution["id"])
    except JamaintError as problem:
        raise AssertionError(f"{execution['id']}: {problem}") from problem
    assert result["kept"] == [], result
    assert result["problems"] == [], result
