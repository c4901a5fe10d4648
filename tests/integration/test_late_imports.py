"""A worker that has become another user imports nothing more: that user may not be able to read where modules are."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import jamaint
from database_runs import cleanup, optimize, rule, run_script, value
from logs_rotate_runs import rotation_config

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

DAY = 86400.0
NOBODY = 65534
SOURCES = str(Path(jamaint.__file__).parent.parent)
FORBIDS = """
def forbid(event, args):
    if event == "import" and os.geteuid() != 0 and args[0].partition(".")[0] not in sys.builtin_module_names:
        print("imported late:", args[0], file=sys.stderr)
        raise ModuleNotFoundError(args[0], name=args[0])
sys.addaudithook(forbid)
"""
BOOT = "import os, sys\nsys.path[:0] = {paths}\n{forbids}\nfrom jamaint.worker.main import main\nmain()"


def _by_age(**one: Any) -> dict[str, Any]:
    old = {"files": ["modification"], "directories": ["modification"]}
    return {
        "path": "ROOT",
        "age_seconds": 10 * DAY,
        "age_by": old,
        "pattern": None,
        "exclude": [],
        "mount": False,
    } | one


def _files(**changes: Any) -> dict[str, Any]:
    path = _by_age(min_size=0, max_size=None, max_files=None, keep_newest=0)
    whole = {"remove_empty_directories": True, "broken_links": True, "directory_age_seconds": DAY}
    return whole | {"duplicates": "remove", "paths": [path]} | changes


def _logs(algorithm: str) -> dict[str, Any]:
    archive = {"after_seconds": 30 * DAY, "directory": "ROOT/archive"}
    compress = {"after_seconds": DAY, "algorithm": algorithm}
    return {"log_paths": ["ROOT/*"], "retention_seconds": 500 * DAY, "exclude": []} | {
        "compress": compress,
        "archive": archive,
    }


def _rotation(**changes: Any) -> dict[str, Any]:
    return rotation_config(["ROOT/*.log"], compress={"algorithm": "gzip", "delay": False}, **changes)


NOWHERE = "postgresql://localhost:1/none"
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "temp": ("temp.cleanup", {"paths": [_by_age(unit="file")]}),
    "filesystem": ("filesystem.cleanup", _files()),
    "cache": ("cache.cleanup", {"redis": None, "memcached": None, "directories": _files()}),
    "system": (
        "system.cleanup",
        {
            "kinds": [
                {"kind": "temp", "config": {"paths": [_by_age(unit="file")]}},
                {"kind": "logs", "config": _logs("zstd")},
                {"kind": "cache", "config": {"redis": None, "memcached": None, "directories": _files()}},
            ]
        },
    ),
    **{f"logs-{name}": ("logs.cleanup", _logs(name)) for name in ("gzip", "zstd", "xz")},
    "rotate": ("logs.rotate", _rotation(postrotate=["/bin/true"])),
    "rotate-copy": ("logs.rotate", _rotation(copy_truncate=True)),
    "command": ("command", {"command": ["/bin/false"], "rollback_command": ["/bin/true"], "environment": {}}),
    "database": ("database.cleanup", dict(cleanup(NOWHERE, rule("t"))._work.config)),
    "optimize": ("database.optimize", dict(optimize(NOWHERE)._work.config)),
    "warmup": (
        "cache.warmup",
        {"urls": ["http://localhost:1/"], "sitemap": None, "concurrency": 4, "rate": None, "time_budget_seconds": None}
        | {"headers": {}, "variants": [], "timeout_seconds": 5, "allow_private_addresses": True},
    ),
}


@pytest.fixture
def root() -> Iterator[Path]:
    """A directory of nobody's, reached through others' that it may pass."""
    top = Path("/var/lib") / f"jamaint-test-{os.getpid()}"
    (top / "root").mkdir(parents=True)
    then = time.time() - 40 * DAY
    for name in ("a.log", "b.log", "old"):
        (top / "root" / name).write_text("a line\n" * 1000)
        os.utime(top / "root" / name, (then, then))
        os.chown(top / "root" / name, NOBODY, NOBODY)
    os.utime(top / "root", (then, then))
    os.chown(top / "root", NOBODY, NOBODY)
    top.chmod(0o755)
    yield top / "root"
    shutil.rmtree(top)


class Worker:
    """A worker as the daemon starts it, by another interpreter or with other rules."""

    def __init__(self, command: list[str]) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    def ask(self, order: dict[str, Any]) -> dict[str, Any]:
        """The answer to an operation."""
        self.tell(order)
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message: dict[str, Any] = json.loads(line)
            if message["is"] in ("plan", "done", "failed", "cancelled"):
                return message
            if message["is"] == "taken":  # nothing goes before it is recorded
                self.tell({"do": "recorded", "number": message["number"], "why": ""})
        raise AssertionError("it ended without an answer: " + self.end())

    def tell(self, order: dict[str, Any]) -> None:
        """Send a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def end(self) -> str:
        """What it said on stderr."""
        return self._process.communicate()[1]


def _opening(executor: str, config: dict[str, Any], root: Path) -> dict[str, Any]:
    config = json.loads(json.dumps(config).replace("ROOT", str(root)))
    task = {"name": "x", "config": config, "rollback": True, "mass_deletion": {"share": 1, "items": 100}}
    return {
        "do": "open",
        "execution": "0123456789",
        "executor": executor,
        "task": task | {"timeout_seconds": None},
        "user": "nobody",
        "now": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "limits": {"low_space": 0.0},
    }


def _all_of_it(worker: Worker, opening: dict[str, Any]) -> str:
    worker.tell(opening)
    plan = worker.ask({"do": "plan", "items": opening["executor"].endswith(".cleanup")})
    for step in plan.get("steps", ()):
        worker.ask({"do": "run", "step": step})
        worker.ask({"do": "undo", "dry_run": False, "step": step})
        worker.ask({"do": "purge", "step": step})
    return worker.end()


@pytest.mark.parametrize("name", CASES)
def test_worker_of_another_user_imports_nothing_late(root: Path, name: str) -> None:
    command = [sys.executable, "-I", "-c", BOOT.format(paths=[SOURCES], forbids=FORBIDS)]
    said = _all_of_it(Worker(command), _opening(*CASES[name], root))
    assert [line for line in said.splitlines() if "imported late" in line or "LookupError" in line] == []


def test_worker_at_a_real_database_imports_nothing_late(root: Path, empty_database: str) -> None:
    made = "CREATE TABLE t (id int PRIMARY KEY, created_at timestamptz); GRANT ALL ON t TO PUBLIC;"
    rows = "INSERT INTO t SELECT n, now() - interval '90 days' FROM generate_series(1, 20) n"
    run_script(empty_database, f"{made} {rows}")
    command = [sys.executable, "-I", "-c", BOOT.format(paths=[SOURCES], forbids=FORBIDS)]
    for executor in (cleanup(empty_database, rule("t")), optimize(empty_database, update_statistics=True)):
        name = "database.cleanup" if executor.__class__.__name__ == "DatabaseCleanup" else "database.optimize"
        said = _all_of_it(Worker(command), _opening(name, dict(executor._work.config), root))
        assert [line for line in said.splitlines() if "imported late" in line or "LookupError" in line] == []
    assert value(empty_database, "SELECT count(*) FROM t") is not None


def test_interpreter_in_a_closed_home(root: Path) -> None:
    closed = root.parent / "closed"
    (closed / "python").mkdir(parents=True)
    closed.chmod(0o700)
    program = f"{closed}/python/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    paths = [SOURCES, *(path for path in sys.path if path.endswith("site-packages"))]
    mount = f'mount --bind "{sys.base_prefix}" "{closed}/python" && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", mount, "sh", program, "-I", "-c", BOOT.format(paths=paths, forbids="")]
    if subprocess.run([*command[:-2], "-c", "pass"], check=False, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    worker = Worker(command)
    worker.tell(_opening(*CASES["temp"], root))
    plan = worker.ask({"do": "plan"})
    assert plan["is"] == "plan", plan
    done = worker.ask({"do": "run", "step": plan["steps"][0]})
    assert (done["is"], done["details"]["files"]) == ("done", 3), done
    worker.end()
