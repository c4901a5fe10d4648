"""Objects from files on the way to the daemon, and a file that jamaintd checks."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jamaint.errors import INVALID_PARAMS, JamaintError

YAML = """\
name: uploads   # made by hand
type: cleanup
schedule: { cron: "0 3 * * *" }
config:
  paths:
    - { path: /srv/uploads, age: 10d }
notifications:
  on: [failed]
timeout: 30m
mass_deletion: { share: 0.25, items: 50 }
"""
VALUE = {
    "name": "uploads",
    "type": "cleanup",
    "schedule": {"cron": "0 3 * * *"},
    "config": {"paths": [{"path": "/srv/uploads", "age": "10d"}]},
    "notifications": {"on": ["failed"]},
    "timeout": "30m",
    "mass_deletion": {"share": 0.25, "items": 50},
}


@pytest.mark.parametrize("text", [YAML, json.dumps(VALUE), json.dumps(VALUE, indent=2)])
@pytest.mark.parametrize("kind", ["task", "window"])
def test_create_sends_the_object(daemon: Any, ctl: Any, tmp_path: Path, kind: str, text: str) -> None:
    daemon.answers[f"{kind}.create"] = {"name": "uploads"}
    (tmp_path / "object").write_text(text)
    done = ctl(kind, "create", "-f", str(tmp_path / "object"))
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{kind} uploads created\n", "")
    assert daemon.asked == [(f"{kind}.create", {kind: VALUE})]


@pytest.mark.parametrize("kind", ["task", "window"])
def test_update_sends_changes_from_standard_input(daemon: Any, ctl: Any, kind: str) -> None:
    daemon.answers[f"{kind}.update"] = {"name": "uploads"}
    done = ctl(kind, "update", "uploads", "-f", "-", stdin="description: other\n")
    assert (done.returncode, done.stdout) == (0, f"{kind} uploads updated\n")
    assert daemon.asked == [(f"{kind}.update", {kind: "uploads", "changes": {"description": "other"}})]


def test_the_daemons_mistakes_come_with_line_and_column(daemon: Any, ctl: Any) -> None:
    mistakes = [
        {"path": "schedule.cron", "problem": "has a sixth field"},
        {"path": "config.paths[0].age", "problem": "too short"},
        {"path": "config.pathes", "problem": "unknown key"},
        {"path": "", "problem": "must have a category"},
    ]
    daemon.answers["task.create"] = JamaintError(INVALID_PARAMS, "no", {**mistakes[0], "mistakes": mistakes})
    done = ctl("task", "create", "-f", "-", stdin=YAML)
    assert (done.returncode, done.stdout) == (7, "")
    assert done.stderr.splitlines() == [
        "jamaintctl: <stdin>:3:13: schedule.cron: has a sixth field",
        "jamaintctl: <stdin>:6:29: config.paths[0].age: too short",
        "jamaintctl: <stdin>:4:1: config.pathes: unknown key",
        "jamaintctl: <stdin>: must have a category",
    ]
    found = json.loads(ctl("--json", "task", "create", "-f", "-", stdin=YAML).stderr)["error"]
    assert found["data"]["mistakes"][0] == {"file": "<stdin>", "line": 3, "column": 13, **mistakes[0]}


BOMB = "a: &a [x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 9)}]\n" for before, name in itertools.pairwise("abcdefgh")
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\nb: [1\n", "<stdin>:3:1: "),
        ("a: 1\nb: 2\na: 3\n", "<stdin>:3:1: a: stands twice"),
        ('{"a": 1, "a": 2}', "<stdin>:1:10: a: stands twice"),
        ("- 1\n", "<stdin>: must be an object: keys and values"),
        ("", "<stdin>: must be an object: keys and values"),
        ("? [a]\n: b\n", "<stdin>:1:3: a key must be a text"),
        (BOMB, "expands to too much data (aliases)"),
        ("a: &a [*a]\n", "expands to too much data (aliases)"),
        ("[" * 5000, "<stdin>: is nested too deep"),
        ("a: 1\n---\nb: 2\n", "expected a single document"),
        ("a: \x07\n", "<stdin>: "),
        ("x" * ((1 << 20) + 1), "<stdin>: is larger than 1048576 bytes"),
    ],
    ids=range(12),
)  # fmt: skip
def test_a_file_without_an_object_is_exit_7_and_asks_nothing(daemon: Any, ctl: Any, text: str, says: str) -> None:
    done = ctl("task", "create", "-f", "-", stdin=text)
    assert (done.returncode, done.stdout) == (7, "")
    assert done.stderr.startswith("jamaintctl: ")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert daemon.asked == []


def test_a_file_that_is_not_utf8_says_where(daemon: Any, ctl: Any, tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"a: 1\nb: caf\xe9\n")
    done = ctl("task", "create", "-f", str(tmp_path / "latin"))
    assert done.returncode == 7
    assert done.stderr == f"jamaintctl: {tmp_path}/latin:2:7: is not UTF-8\n"


def test_a_file_that_cannot_be_read_is_usage(daemon: Any, ctl: Any, tmp_path: Path) -> None:
    done = ctl("task", "create", "-f", str(tmp_path / "none"))
    assert done.returncode == 2
    assert f"cannot read {tmp_path}/none: No such file or directory" in done.stderr


def test_without_pyyaml_json_is_read_and_yaml_is_explained(daemon: Any, ctl: Any, tmp_path: Path) -> None:
    daemon.answers["task.create"] = JamaintError(INVALID_PARAMS, "no", {"path": "name", "problem": "too long"})
    (tmp_path / "yaml.py").write_text("raise ImportError('as if it were not installed')")
    path = {"PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[3] / 'src'}"}
    done = ctl("task", "create", "-f", "-", stdin=YAML, **path)
    assert done.returncode == 7
    assert "reading YAML needs PyYAML" in done.stderr
    done = ctl("task", "create", "-f", "-", stdin='{"name": 1,}', **path)
    assert "is not JSON" in done.stderr
    done = ctl("task", "create", "-f", "-", stdin=json.dumps(VALUE), **path)
    assert done.stderr == "jamaintctl: <stdin>: name: too long\n"
    assert daemon.params("task.create") == {"task": VALUE}


JAMAINTD = """\
#!/bin/sh
[ "$1 $2 $3" = "--check --config FILE" ] || exit 99
{commands}
"""
BAD = "echo 'FILE:3:5: tasks.a.shedule: did you mean schedule?' >&2; exit 7"
GOOD = "echo 'warning: nothing uses it' >&2; echo 'FILE: in order'"


def check(tmp_path: Path, commands: str, *flags: str) -> "subprocess.CompletedProcess[str]":
    """`config check FILE` by a client that stands beside a jamaintd of that text."""
    beside = tmp_path / "bin"
    beside.mkdir()
    (beside / "jamaintd").write_text(JAMAINTD.format(commands=commands))
    (beside / "jamaintd").chmod(0o755)
    (beside / "python").symlink_to(sys.executable)
    return subprocess.run(
        [beside / "python", "-m", "jamaint.ctl", "--socket", "/nowhere", "config", "check", "FILE", *flags],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "src")},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def test_a_file_is_checked_by_the_daemon_beside_the_client(tmp_path: Path) -> None:
    done = check(tmp_path, BAD)
    assert (done.returncode, done.stdout) == (7, "")
    assert done.stderr == "FILE:3:5: tasks.a.shedule: did you mean schedule?\n"


def test_a_good_file_is_passed_through_too(tmp_path: Path) -> None:
    done = check(tmp_path, GOOD)
    assert (done.returncode, done.stdout, done.stderr) == (0, "FILE: in order\n", "warning: nothing uses it\n")


def test_a_bad_file_as_json(tmp_path: Path) -> None:
    done = check(tmp_path, BAD, "--json")
    assert (done.returncode, done.stdout) == (7, "")
    mistake = {"file": "FILE", "line": 3, "column": 5, "key": "tasks.a.shedule", "problem": "did you mean schedule?"}
    error = json.loads(done.stderr)["error"]
    assert (error["code"], error["data"]) == (INVALID_PARAMS, {"path": "FILE", "mistakes": [mistake]})


def test_a_good_file_as_json(tmp_path: Path) -> None:
    done = check(tmp_path, GOOD, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {"path": "FILE", "ok": True, "warnings": ["nothing uses it"]}


def test_a_daemon_that_breaks_on_a_file_is_exit_1(tmp_path: Path) -> None:
    done = check(tmp_path, "echo 'it broke' >&2; exit 1", "--json")
    assert done.returncode == 1
    assert json.loads(done.stderr)["error"]["data"]["mistakes"] == [{"problem": "it broke"}]


def test_without_jamaintd_a_file_cannot_be_checked(ctl: Any, tmp_path: Path) -> None:
    (tmp_path / "python").symlink_to(sys.executable)
    done = subprocess.run(
        [tmp_path / "python", "-m", "jamaint.ctl", "config", "check", "FILE"],
        env={"PYTHONPATH": str(Path(__file__).parents[3] / "src"), "PATH": "/nowhere"},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 1
    assert "there is no jamaintd" in done.stderr
