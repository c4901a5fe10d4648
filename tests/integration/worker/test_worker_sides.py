"""A system cleanup whose kinds need different fences: two workers that are spoken to as one."""

import os
from pathlib import Path

import pytest

from jamaint.worker_client.session import open_worker
from worker_processes import Heard, Message, opening

pytestmark = pytest.mark.parametrize("link", ["unit"], indirect=True)


async def test_each_kind_is_done_by_the_worker_that_may(execution: str, heard: Heard, tmp_path: Path) -> None:
    old = tmp_path / "old.tmp"
    old.write_text("old")
    os.utime(old, (1e9, 1e9))
    temp = {
        "path": str(tmp_path), "age_seconds": 0, "age_by": {"files": ["modification"], "directories": ["modification"]},
        "pattern": None, "exclude": [], "unit": None,
    }  # fmt: skip
    redis = {
        "url": "redis://127.0.0.1:1", "pattern": "*", "idle_for_seconds": 60, "missing_expiry": None,
        "max_memory_share": None, "keep_for_rollback": False,
    }  # fmt: skip
    kinds = [
        {"kind": "cache", "executor": "cache.cleanup", "config": {"redis": redis, "memcached": None}},
        {"kind": "temp", "executor": "temp.cleanup", "config": {"paths": [temp], "user": None}},
    ]
    words = opening(execution, "system.cleanup", kinds=kinds)
    words["task"]["mass_deletion"] = {"share": 1.0, "items": 1000}

    async def hear(line: Message) -> str:
        heard(line)
        return ""  # what is taken is recorded

    async with open_worker(words, hear, heard.stderr.append) as worker:
        plan = await worker.ask({"do": "plan"})
        assert plan["is"] == "plan", plan
        by_name = {step["name"]: step for step in plan["steps"]}
        assert list(by_name) == ["temp_cleanup", "cache_cleanup"]
        refused = await worker.ask({"do": "run", "step": by_name["cache_cleanup"]})
        assert refused["is"] == "failed"
        done = await worker.ask({"do": "run", "step": by_name["temp_cleanup"]})
        assert (done["is"], old.exists()) == ("done", False)
        undone = await worker.ask({"do": "undo", "step": by_name["temp_cleanup"], "dry_run": False})
        assert (undone["details"]["restored"], old.read_text()) == (1, "old")
