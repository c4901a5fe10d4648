"""`jamaintctl purge` against a real daemon: what goes, in what order, what stays and why, and what is written down."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import postgres_server as server
from command_line import NOBODY, Scene, needs_nobody, scene


@pytest.fixture
def place(database: str) -> Iterator[Scene]:
    with scene(database) as found:
        configure(found, found.directory / "logs" / "app")
        yield found


def configure(place: Scene, logs: Path) -> None:
    config = {"log_paths": [f"{logs}/*.log"], "retention_days": 30}
    task = {"executor": "logs.cleanup", "config": config, "mass_deletion": {"share": "100%"}}
    place.configure(tasks={"old-logs": task})


def cleaned(place: Scene, logs: Path, count: int = 1) -> list[str]:
    """So many executions that each took a log; their ids, the oldest first."""
    ids = []
    for number in range(count):
        file = logs / f"web-{number}.log"
        file.write_text("a line\n" * 20_000)
        os.utime(file, (time.time() - 40 * 86400,) * 2)
        assert place.ctl("execute", "old-logs").returncode == 0
        ids.append(place.json("execution", "show", "last")["id"])
    return ids


def trashes(logs: Path) -> set[str]:
    return {path.name for path in logs.glob(".jamaint-trash/*")}


def point(place: Scene, execution: str) -> dict[str, Any]:
    found: dict[str, Any] = place.json("execution", "show", execution)["rollback_point"]
    return found


def test_purge_of_an_execution_empties_its_trash_and_no_other(place: Scene) -> None:
    logs = place.logs(())
    with place.serving():
        first, second = cleaned(place, logs, 2)
        promised = place.json("execution", "show", first)["metrics"]["freed_on_purge"]
        would = place.json("purge", first, "--dry-run")
        assert [(one["execution_id"], one["freed_space"]) for one in would["items"]] == [(first, promised)]
        assert trashes(logs) == {first, second}
        found = place.json("purge", first[:8])
        assert (found["freed_space"], found["dry_run"]) == (promised, False)
        assert promised > 0
        assert trashes(logs) == {second}
        assert point(place, first)["status"] == "purged"
        shown = place.json("execution", "show", first)
        assert (shown["metrics"]["freed_space"], shown["metrics"]["freed_on_purge"]) == (promised, 0)
        assert point(place, second)["status"] == "open"
        refused = place.ctl("rollback", first)
        assert refused.returncode == 5
        assert "was purged before its time, at 20" in refused.stderr
        assert place.ctl("rollback", second).returncode == 0


def test_purge_of_all_goes_from_the_oldest_on_and_tells_what_stays(place: Scene, database: str) -> None:
    logs = place.logs(())
    with place.serving():
        ids = cleaned(place, logs, 3)
        server.on_connection(
            database,
            lambda one: one.execute(
                "UPDATE rollback_points SET opening = opening || '{\"more\": 1}' WHERE execution_id = $1::uuid", ids[1]
            ),
        )
        found = place.json("purge", "--all")
        assert [one["execution_id"] for one in found["items"]] == [ids[0], ids[2]]
        assert [one["execution_id"] for one in found["skipped"]] == [ids[1]]
        assert found["skipped"][0]["why"].startswith("its rollback point was not written by this daemon")
        assert trashes(logs) == {ids[1]}
        assert "nothing to purge" in place.ctl("purge", "--all").stdout


def test_purge_leaves_what_a_rollback_could_not_put_back(place: Scene) -> None:
    logs = place.logs(())
    with place.serving():
        (ident,) = cleaned(place, logs)
        (logs / "web-0.log").write_text("somebody has made it again")
        assert place.ctl("rollback", ident).returncode == 1
        refused = place.ctl("purge", ident)
        assert refused.returncode == 5
        assert "a rollback could not restore 1 of its items" in refused.stderr
        assert trashes(logs) == {ident}
        assert place.ctl("purge", ident, "--incomplete").returncode == 0
        assert trashes(logs) == set()


def test_purge_without_a_word_of_what_is_meant_is_a_slip(place: Scene) -> None:
    with place.serving() as daemon:
        done = place.ctl("purge")
        assert done.returncode == 2
        assert "name executions, or give --until-free SHARE or --all" in done.stderr
        assert place.ctl("purge", "/srv").returncode == 2
        assert place.ctl("purge", "--until-free", "10").returncode == 2
        assert place.ctl("purge", "--all", "last").returncode == 2
        assert place.ctl("purge", "00000000").returncode == 4
        assert place.json("purge", "--dry-run")["items"] == []
        assert daemon.call("purge", dry_run=True)["skipped"] == []


def test_purge_is_audited_and_published(place: Scene) -> None:
    logs = place.logs(())
    with place.serving() as daemon:
        (ident,) = cleaned(place, logs)
        daemon.call("event.subscribe")
        assert place.ctl("purge", ident).returncode == 0
        event = daemon.receive().event or {}
        assert (event["event"], event["execution"]["id"]) == ("execution.purged", ident)
        assert event["execution"]["metrics"]["freed_on_purge"] == 0
        last = place.json("audit", "--limit", "1")["items"][0]
        assert (last["method"], last["outcome"], last["role"]) == ("purge", "done", "admin")


@needs_nobody
def test_purge_is_for_an_admin(place: Scene) -> None:
    logs = place.logs(())
    configure(place, logs)
    with place.serving():
        (ident,) = cleaned(place, logs)
        done = place.ctl("purge", ident, before=NOBODY)
        assert done.returncode == 6, done
        assert trashes(logs) == {ident}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_purge_until_free_takes_the_oldest_and_no_more(place: Scene) -> None:
    disk = place.directory / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=755", "none", disk], check=True)
    try:
        logs = disk / "app"
        logs.mkdir()
        configure(place, logs)
        with place.serving():
            ids = cleaned(place, logs, 4)
            (disk / "full").write_bytes(bytes(3 << 20))
            free = os.statvfs(disk)
            asked = (free.f_bavail + 50) / free.f_blocks
            would = place.json("purge", "--dry-run", "--until-free", f"{asked:.1%}", str(disk))
            assert [one["execution_id"] for one in would["items"]] == ids[:2]
            assert trashes(logs) == set(ids)
            found = place.json("purge", "--until-free", f"{asked:.1%}", str(disk))
            assert [one["execution_id"] for one in found["items"]] == ids[:2]
            (goal,) = found["until_free"]
            assert goal["reached"]
            assert goal["free_bytes_after"] - goal["free_bytes_before"] == found["freed_space"]
            assert trashes(logs) == set(ids[2:])
            enough = place.ctl("purge", "--until-free", f"{asked:.1%}", str(disk))
            assert (enough.returncode, "enough is free" in enough.stdout) == (0, True)
            never = place.json("purge", "--until-free", "100%", str(disk), code=1)
            assert not never["until_free"][0]["reached"]
            assert trashes(logs) == set()
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
