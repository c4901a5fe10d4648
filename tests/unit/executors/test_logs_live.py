"""logs.cleanup and logs that are written to by name: they stay where their writers could not make them anew."""

import os
import pwd
from pathlib import Path
from typing import Any

import pytest

from jamaint.executors.logs_cleanup.log_writers import may_make
from jamaint.files.rules.rotated_names import looks_live
from logs_cleanup_runs import DAY, executor, put, run_all

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to other users: needs root")
GZIP = {"algorithm": "gzip", "older_than_seconds": DAY}


def config(root: Path) -> dict[str, Any]:
    archive = {"directory": f"{root.parent}/archive", "older_than_seconds": 5 * DAY}
    return {"log_paths": [f"{root}/*log*"], "retention_seconds": 30 * DAY, "compress": GZIP, "archive": archive}


@pytest.mark.parametrize(
    ("name", "live"),
    [("error_log", True), ("app.log", True), ("app.log.1", False), ("a-20261130.log", False), ("a.log.gz", False)],
)
def test_looks_live(name: str, live: bool) -> None:
    assert looks_live(name) is live


@as_root
def test_a_live_log_of_a_writer_without_rights_on_its_directory_stays(tmp_path: Path) -> None:
    root, nobody = tmp_path / "logs", pwd.getpwnam("nobody").pw_uid
    for name, days in (("error_log", 3), ("slow_log", 9), ("old_log", 40), ("error_log.1", 3), ("root_log", 3)):
        put(root / name, days)
        if name != "root_log":
            os.chown(root / name, nobody, -1)
    root.chmod(0o755)
    logs = executor(**config(root))
    (warning,) = (one for one in logs.plan().warnings if "left alone" in one)
    assert warning.startswith(f"left alone (3 such logs): {root}/")
    assert warning.endswith(f"nobody could not make it anew in {root}: " + warning.rpartition(": ")[2])
    run_all(executor(**config(root)))
    left = sorted(path.name for path in root.iterdir() if path.is_file())
    assert left == ["error_log", "error_log.1.gz", "old_log", "root_log.gz", "slow_log"]


@pytest.mark.parametrize(
    ("mode", "owner", "group", "expected"),
    [
        (0o755, 7, 0, True),
        (0o555, 7, 0, False),
        (0o775, 0, 8, True),
        (0o757, 0, 8, False),
        (0o755, 0, 0, False),
        (0o1777, 0, 0, True),
    ],
)
def test_who_may_make_a_file(mode: int, owner: int, group: int, expected: bool) -> None:
    directory = os.stat_result((0o40000 | mode, 0, 0, 1, owner, group, 0, 0, 0, 0))
    assert may_make(7, (8, 9), directory) is expected


def test_a_name_that_is_taken_in_the_archive_keeps_its_ending(tmp_path: Path) -> None:
    root = tmp_path / "logs"
    put(root / "a.log-20261130.gz", 9, b"new")
    put(tmp_path / "archive" / "a.log-20261130.gz", 10, b"old")
    run_all(executor(**config(root) | {"compress": None}))
    found = {path.name: path.read_bytes() for path in (tmp_path / "archive").iterdir() if path.is_file()}
    assert found == {"a.log-20261130.gz": b"old", "a.log-20261130.1.gz": b"new"}
