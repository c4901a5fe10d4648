"""A disk that the daemon has seen is not shown once more for a directory that only a worker may look at."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from jamaint.core.capacity import Measurer, Target
from jamaint.daemon.monitoring import usage
from jamaint.daemon.monitoring.usage import ProbeContext, Usage
from jamaint.host.disk_space import disk


def test_disk_below_a_closed_home_is_shown_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = tmp_path / "home"
    closed.mkdir()

    def as_daemon(path: str) -> dict[str, Any]:
        if path == str(closed):
            raise PermissionError
        return disk(path)

    async def as_worker(_self: Usage, wanted: Sequence[Target], _who: Measurer) -> dict[Target, dict[str, Any]]:
        return {target: disk(target.name) for target in wanted}

    monkeypatch.setattr(usage, "disk", as_daemon)
    monkeypatch.setattr(Usage, "_ask_worker", as_worker)
    measuring = object.__new__(Usage)
    measuring._definitions = SimpleNamespace(tasks={})  # type: ignore[assignment]
    measuring._outside = ProbeContext()
    wanted = [Target("storage", str(tmp_path)), Target("storage", str(closed))]
    found = trio.run(measuring._ask, wanted)
    assert [one["name"] for one in found] == [str(tmp_path)]
    assert "device" not in found[0]
