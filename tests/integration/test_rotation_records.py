"""What the daemon remembers of rotated logs: when each was, and whether its writers were told."""

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

import postgres_server as server
from daemon_harness import Client, client, daemon
from jamaint.core.rotation_records import OpenRotation, RotationRecord
from jamaint.store import log_rotations

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = timedelta(days=1)
CONFIG = """
database: {{ dsn: "{dsn}" }}
socket: {{ path: {directory}/sock }}
state_dir: {directory}/state
log: {{ format: text }}
tasks:
  turn:
    executor: logs.rotate
    config: {config}
"""


@pytest.fixture
def scene(database: str) -> Iterator[Path]:
    """A directory with a log that was last rotated in September."""
    with tempfile.TemporaryDirectory(prefix="ja-", dir="/var/tmp") as directory:
        logs = Path(directory, "logs", "app")
        logs.mkdir(parents=True)
        (logs / "a.log").write_text("a line\n")
        (logs / "a.log-20260901").write_text("a line of September\n")
        Path(directory, "dsn").write_text(database)
        yield Path(directory)


def configure(scene: Path, config: str) -> Path:
    path = scene / "jamaintd.yaml"
    path.write_text(CONFIG.format(dsn=(scene / "dsn").read_text(), directory=scene, config=config))
    return path


def rotated(ended: dict[str, Any]) -> int:
    return int(ended["steps"][0]["details"]["files"])


def executed(call: Client, **params: Any) -> dict[str, Any]:
    return call.run("turn", **params)


def test_a_copy_that_leaves_is_not_missed(scene: Path) -> None:
    logs = scene / "logs" / "app"
    config = f'{{ log_paths: ["{logs}/*.log"], keep: 9, every: weekly, copy_truncate: true }}'
    with daemon(configure(scene, config)), client(scene / "sock") as call:
        first = executed(call)
        assert (first["status"], rotated(first)) == ("completed", 1)
        assert "rotations" not in first["steps"][0]["details"]
        (copy,) = [path for path in logs.glob("a.log-*") if path.name != "a.log-20260901"]
        copy.rename(scene / "elsewhere")
        (logs / "a.log").write_text("more\n")
        second = executed(call)
        assert (second["status"], rotated(second)) == ("completed", 0)
        (scene / "elsewhere").rename(copy)
        (logs / "a.log").write_text("")
        call.call("execution.rollback", execution=first["id"])
        assert (logs / "a.log").read_text() == "a line\n"
        call.call("held.release", execution=first["id"])
        third = executed(call)  # it was not rotated, after all
        assert (third["status"], rotated(third)) == ("completed", 1)


def test_writers_that_were_not_told_are_told_later(scene: Path) -> None:
    logs, heard = scene / "logs" / "app", scene / "heard"
    (scene / "tell").write_text(f"#!/bin/sh\necho told >>{heard}\n")
    (scene / "tell").chmod(0o700)
    plain = f'log_paths: ["{logs}/*.log"], keep: 9, max_size: 1B, postrotate:'
    with daemon(configure(scene, f"{{ {plain} [/bin/false] }}")), client(scene / "sock") as call:
        assert [executed(call)["status"] for _ in range(2)] == ["failed", "failed"]
        assert (logs / "a.log").stat().st_size == 0
        configure(scene, f"{{ {plain} [{scene}/tell] }}")
        call.call("daemon.reload")
        told = executed(call)
        assert (told["status"], rotated(told)) == ("completed", 0)
        assert executed(call)["status"] == "completed"
    assert heard.read_text() == "told\n"


async def _rows(connection: Any, task: str) -> tuple[list[tuple[str, datetime, bool]], list[str]]:
    found = await log_rotations.of_task(connection, task)
    logs = [(one.path, one.rotated_at, one.is_told) for one in found.of_logs.values()]
    return sorted(logs), [one.execution for one in found.open_rotations]


def test_records_of_an_execution_go_with_its_rollback(database: str) -> None:
    first, second = str(uuid4()), str(uuid4())
    odd = b"/srv/\xff.log".decode(errors="surrogateescape")

    async def work(connection: Any) -> None:
        await log_rotations.begin(connection, first, "turn", NOON)
        records = [RotationRecord(path, NOON, False, first) for path in ("/srv/a.log", odd)]
        await log_rotations.report(connection, "turn", records, NOON - DAY)
        await log_rotations.begin(connection, second, "turn", NOON + DAY)
        assert await _rows(connection, "turn") == (
            [("/srv/a.log", NOON, False), (odd, NOON, False)],
            [second],
        )
        later = [RotationRecord("/srv/a.log", NOON + DAY, True, second), RotationRecord(odd, NOON, True, first)]
        await log_rotations.report(connection, "turn", later, NOON - DAY)
        assert await _rows(connection, "turn") == ([("/srv/a.log", NOON + DAY, True), (odd, NOON, True)], [])
        await log_rotations.take_back(connection, second, True)
        assert await _rows(connection, "turn") == ([("/srv/a.log", NOON, False), (odd, NOON, True)], [])
        await log_rotations.take_back(connection, first, False)  # what of it is back, only the disk knows
        found = await log_rotations.of_task(connection, "turn")
        assert (found.of_logs, found.open_rotations) == ({}, (OpenRotation(first, NOON),))

    server.on_connection(database, work)


def test_old_records_go_but_for_the_newest_of_each_log(database: str) -> None:
    ids = [str(uuid4()) for _ in range(3)]

    async def work(connection: Any) -> None:
        for number, execution in enumerate(ids):
            record = RotationRecord("/srv/a.log", NOON + number * DAY, True, execution)
            await log_rotations.report(connection, "turn", [record], NOON + number * DAY - 1.5 * DAY)
        kept = await connection.fetch("SELECT execution_id FROM log_rotations ORDER BY rotated_at")
        assert [str(row["execution_id"]) for row in kept] == ids[1:]
        await log_rotations.report(connection, "turn", [], NOON + 99 * DAY)
        kept = await connection.fetch("SELECT execution_id FROM log_rotations")
        assert [str(row["execution_id"]) for row in kept] == ids[2:]

    server.on_connection(database, work)
