"""A rotation whose files and scripts have rights of their own: in a real worker, on a directory of another user."""

import os
import pwd
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jamaint.worker_client.session import open_worker
from logs_rotate_runs import names, rotation_config
from worker_processes import Heard, Message, opening

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
SCRIPT = ["/bin/sh", "-c", "echo script of $(id -un): $(grep -c . $0)"]


@pytest.fixture
def logs() -> Iterator[Path]:
    """A directory of daemon's with a log of its, reached through root's directories alone."""
    service = pwd.getpwnam("daemon")
    with tempfile.TemporaryDirectory(dir="/var/lib") as made:
        top = Path(made)
        top.chmod(0o755)
        secret = top / "secret"
        secret.write_text("what only root can read\n")
        secret.chmod(0o600)
        (top / "logs").mkdir()
        log = top / "logs" / "a.log"
        log.write_text("a line\n")
        log.chmod(0o640)
        for path in (log, log.parent):
            os.chown(path, service.pw_uid, service.pw_gid)
        yield log.parent


async def rotated(heard: Heard, execution: str, logs: Path, undo: bool = True, **changes: Any) -> list[Message]:
    """The answers to a plan and its step, of a worker for files of daemon."""
    config = rotation_config([f"{logs}/*.log"], user="daemon", **changes)
    words = opening(execution, "logs.rotate", **config) | {"user": "daemon"}
    async with open_worker(words, heard, heard.stderr.append) as worker:
        plan = await worker.ask({"do": "plan"})
        assert plan["is"] == "plan", plan
        done = await worker.ask({"do": "run", "step": plan["steps"][0]})
        if undo:
            undone = await worker.ask({"do": "undo", "dry_run": False, "step": plan["steps"][0]})
            assert (undone["is"], undone["details"]["problems"]) == ("done", []), undone
    return [plan, done]


async def test_rotation_scripts_have_rights_of_their_own(execution: str, heard: Heard, logs: Path) -> None:
    script = [*SCRIPT, str(logs.parent / "secret")]
    plan, done = await rotated(heard, execution, logs, scripts={"user": "root"}, prerotate=script, postrotate=script)
    assert done["is"] == "done", done
    assert done["details"]["files"] == 1
    assert [line for line in heard.lines if "script" in line] == ["script of root: 1"] * 3  # the undo tells, too
    assert f"Before run as root: {SCRIPT[0]}" in plan["steps"][0]["says"]
    assert (logs / "a.log").stat().st_uid == pwd.getpwnam("daemon").pw_uid


async def test_rotation_scripts_have_the_rights_of_the_files_without_a_word(
    execution: str, heard: Heard, logs: Path
) -> None:
    _, done = await rotated(heard, execution, logs, postrotate=["/usr/bin/id", "-un"])
    assert done["is"] == "done", done
    assert "daemon" in heard.lines


async def test_rotation_refuses_scripts_of_a_user_that_is_not_there(execution: str, heard: Heard, logs: Path) -> None:
    _, done = await rotated(heard, execution, logs, scripts={"user": "no-such-user"}, prerotate=["/bin/true"])
    assert (done["is"], "there is no user no-such-user on this machine" in done["error"]["message"]) == ("failed", True)
    assert names(logs) == ["a.log"]


async def test_new_log_keeps_a_group_that_its_user_is_not_in(execution: str, heard: Heard, logs: Path) -> None:
    """As Debian's /var/log/postgresql is: root:postgres 1775, with logs of postgres:adm."""
    service, log = pwd.getpwnam("daemon"), logs / "a.log"
    os.chown(logs, 0, service.pw_gid)
    os.chmod(logs, 0o1775)
    os.chown(log, service.pw_uid, 4)
    _, done = await rotated(heard, execution, logs, undo=False, postrotate=["/usr/bin/id", "-un"])
    assert (done["is"], done["details"]["problems"]) == ("done", []), done
    for name in ("a.log", "a.log-20261124"):
        seen = os.stat(logs / name)
        assert (name, seen.st_uid, seen.st_gid) == (name, service.pw_uid, 4)
    assert "daemon" in heard.lines


async def test_undo_gives_a_directory_that_its_user_does_not_own_its_times_back(
    execution: str, heard: Heard, logs: Path
) -> None:
    os.chown(logs, 0, pwd.getpwnam("daemon").pw_gid)
    os.chmod(logs, 0o1775)
    os.utime(logs, ns=(10**18, 10**18 + 1))
    await rotated(heard, execution, logs, postrotate=["/bin/true"])
    assert os.stat(logs).st_mtime_ns == 10**18 + 1
