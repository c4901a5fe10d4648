"""A log that is swapped for another file while its rotation is undone: nothing is written to what is not the log."""

import os
from pathlib import Path
from typing import Any

import pytest

from jamaint.executors.logs_rotate import undo
from logs_cleanup_runs import put
from logs_rotate_runs import rotate, rotation_config, rotator, undo_rotation


@pytest.mark.parametrize("swap", ["link", "another name"])
def test_a_log_that_is_swapped_during_the_undo_of_copy_truncate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swap: str
) -> None:
    log, victim = put(tmp_path / "logs" / "a.log", 3), tmp_path / "logs" / "victim"
    victim.write_text("nobody but its owner writes here\n")
    config = rotation_config([str(log)], copy_truncate=True)
    steps, _ = rotate(rotator(config))
    look: Any = undo._RotationUndo._is_marked
    done: list[str] = []

    def swapping(self: Any, link: str) -> bool:
        if not done and not self._dry_run:
            done.append(swap)
            if swap == "link":
                log.unlink()
                os.link(victim, log)
            else:
                os.link(log, tmp_path / "logs" / "second")
        return bool(look(self, link))

    monkeypatch.setattr(undo._RotationUndo, "_is_marked", swapping)
    outcome = undo_rotation(config, steps)
    assert done == [swap]
    assert victim.read_text() == "nobody but its owner writes here\n"
    assert (outcome["restored"], len(outcome["kept"])) == (0, 1)
    assert "was replaced while it was put back" in outcome["kept"][0]["why"]
    (copy,) = (tmp_path / "logs").glob("a.log-*")
    assert copy.stat().st_size > 0
