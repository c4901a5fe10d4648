"""Imports of a worker's start: each of them is paid for at the start of every execution."""

import subprocess
import sys
from pathlib import Path

import pytest

import jamaint

SOURCES = str(Path(jamaint.__file__).parent.parent)
LOADED = """
import sys
from importlib import import_module
before = set(sys.modules)
for name in sys.argv[1:]:
    import_module(name)
print(*set(sys.modules) - before)
"""
HEAVY = {
    "concurrent.futures",
    "cronsim",
    "dateutil",
    "hashlib",
    "logging",
    "zoneinfo",
    "jamaint.core.recurrence",
    "jamaint.core.system_cleanup",
    "jamaint.core.tasks",
    "jamaint.files.trash.removal",
    "jamaint.files.trash.restore",
    "jamaint.files.trash.trash",
}


def loaded_by(*modules: str) -> set[str]:
    """Return the names of the modules that an interpreter of its own loads for those."""
    environ = {"PYTHONPATH": SOURCES}
    command = [sys.executable, "-c", LOADED, *modules]
    return set(subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout.split())


def test_worker_main_loads_no_heavy_module() -> None:
    loaded = loaded_by("jamaint.worker.main")
    assert loaded & HEAVY == set()
    assert {name for name in loaded if name.startswith("jamaint.files.access.")} == set()


@pytest.mark.parametrize("executor", ["temp_cleanup", "filesystem_cleanup", "logs_cleanup", "logs_rotate", "command"])
def test_executor_loads_no_scheduler(executor: str) -> None:
    loaded = loaded_by("jamaint.worker.main", f"jamaint.executors.{executor}.executor")
    assert (
        loaded & {"concurrent.futures", "cronsim", "dateutil", "jamaint.core.recurrence", "jamaint.core.tasks"} == set()
    )
