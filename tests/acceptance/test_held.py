"""What a rollback has put back is held for every executor, shown, told by the rollback and by `why`, and released."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from command_line import Scene, scene

EVERYTHING = {"share": "100%", "items": 1000}
OLD = 1_600_000_000


@pytest.fixture
def place(database: str) -> Iterator[Scene]:
    with scene(database) as found:
        yield found


def old_files(directory: Path, *names: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True, mode=0o755)
    for name in names:
        (directory / name).write_text("x\n" * 100)
        os.utime(directory / name, (OLD, OLD))
    return directory


def files(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir() if path.is_file()}


def tasks_on(root: Path) -> dict[str, Any]:
    """A task of each executor that works on files, each in a directory of its own below `root`."""
    by = ["modification"]
    path = {"age": "30d", "age_by": by}
    logs = [f"{root}/{name}/*.log" for name in ("logs", "rotate")]
    tasks = {
        "files": {"executor": "filesystem.cleanup", "config": {"paths": [{"path": f"{root}/files", **path}]}},
        "temp": {"executor": "temp.cleanup", "config": {"paths": [{"path": f"{root}/temp", **path}]}},
        "cache": {"executor": "cache.cleanup", "config": {"directories": [{"path": f"{root}/cache", **path}]}},
        "logs": {"executor": "logs.cleanup", "config": {"log_paths": [logs[0]], "retention_days": 30}},
        "rotate": {"executor": "logs.rotate", "config": {"log_paths": [logs[1]], "keep": 3}},
    }
    return {name: {**one, "mass_deletion": EVERYTHING} for name, one in tasks.items()}


@pytest.mark.parametrize("name", ["files", "temp", "cache", "logs", "rotate"])
def test_one_rule_for_all_executors(place: Scene, name: str) -> None:
    root = old_files(place.directory / "srv" / name, "a.log", "b.log")
    place.configure(tasks={name: tasks_on(root.parent)[name]})
    with place.serving():
        assert place.ctl("execute", name).returncode == 0
        taken = files(root)
        assert taken != {"a.log", "b.log"}
        dry = place.ctl("rollback", "last", "--dry-run")
        assert re.search(rf"would be left alone by the next runs until .*: 2 files in {root}\n", dry.stdout), dry
        ident = place.json("execution", "show", "last")["id"]
        done = place.ctl("rollback", ident)
        assert done.returncode == 0, done
        assert f"jamaintctl held release {ident[:8]}" in done.stdout
        assert files(root) == {"a.log", "b.log"}

        assert place.ctl("execute", name).returncode == 0  # the next night
        assert files(root) == {"a.log", "b.log"}
        (one,) = place.json("held", "list")["items"]
        assert (one["execution_id"], one["task_name"], one["path"], one["items"]) == (ident, name, str(root), 2)
        listed = place.ctl("held", "list").stdout
        assert all(word in listed for word in (ident[:8], name, "2 files", str(root)))
        assert f"jamaintctl held release {ident[:8]}" in place.ctl("why", name).stdout

        released = place.ctl("held", "release", ident)
        assert (released.returncode, released.stdout) == (
            0,
            f"{name} {ident[:8]}: 2 files in {root} released: the next runs may take it again\n",
        )
        assert place.json("held", "list")["items"] == []
        assert "was rolled back" not in place.ctl("why", name).stdout
        assert place.ctl("execute", name).returncode == 0
        assert files(root) == taken
        audited = place.json("audit")["items"]
        assert "held.release" in [entry["method"] for entry in audited]


def test_system_cleanup_holds_what_each_kind_put_back(place: Scene) -> None:
    root = place.directory / "srv"
    old_files(root / "temp", "a"), old_files(root / "logs", "b.log")
    place.configure(
        cleanup={
            "temp": {"paths": [{"path": f"{root}/temp", "age": "30d", "age_by": ["modification"]}]},
            "logs": {"log_paths": [f"{root}/logs/*.log"], "retention_days": 30},
        }
    )
    with place.serving() as caller:
        caller.call("daemon.reload")
        assert place.ctl("cleanup", "run").returncode == 0
        assert (files(root / "temp"), files(root / "logs")) == (set(), set())
        assert place.ctl("rollback", "last").returncode == 0
        items = place.json("held", "list")["items"]
        assert {one["path"] for one in items} == {f"{root}/temp", f"{root}/logs"}
        assert place.ctl("held", "release", items[0]["execution_id"], f"{root}/temp").returncode == 0
        assert place.ctl("cleanup", "run").returncode == 0
        assert (files(root / "temp"), files(root / "logs")) == (set(), {"b.log"})


def test_release_of_what_is_not_held(place: Scene) -> None:
    root = old_files(place.directory / "srv" / "files", "a")
    place.configure(tasks=tasks_on(root.parent))
    with place.serving():
        assert place.ctl("execute", "files").returncode == 0
        done = place.ctl("held", "release", "last")
        assert (done.returncode, "nothing of it is held" in done.stderr) == (5, True), done
        assert place.ctl("rollback", "last").returncode == 0
        done = place.ctl("held", "release", "last", "/elsewhere")
        assert done.returncode == 2
        assert f"none of the places where it is held: {root}" in done.stderr
        assert place.ctl("held", "list", "last").returncode == 0
        assert place.ctl("held", "release", "00000000-0000-4000-8000-000000000000").returncode == 4


def test_rollback_in_two_parts_holds_both(place: Scene) -> None:
    root = old_files(place.directory / "srv" / "files", "a", "b")
    place.configure(tasks=tasks_on(root.parent))
    with place.serving():
        assert place.ctl("execute", "files").returncode == 0
        (root / "b").write_text("another's")
        assert place.ctl("rollback", "last").returncode == 1
        (root / "b").unlink()
        assert place.ctl("rollback", "last").returncode == 0
        assert [one["items"] for one in place.json("held", "list")["items"]] == [2]
        assert place.ctl("execute", "files").returncode == 0
        assert files(root) == {"a", "b"}
