"""logs.rotate: a rotation whose journal was removed with the trash cannot be taken back, which is told by name."""

import os
import shutil
from pathlib import Path

import pytest

from jamaint.executors.logs_rotate.rules import ROTATION
from jamaint.files.trash.inventory import Inventory
from logs_cleanup_runs import Talk, put
from logs_rotate_runs import rotate, rotation_config, rotator


@pytest.mark.parametrize("copy_truncate", [False, True])
@pytest.mark.parametrize("thinned", [False, True])
def test_removed_trash(tmp_path: Path, copy_truncate: bool, thinned: bool) -> None:
    root = tmp_path / "logs"
    put(root / "a.log", 1)
    config, talk = rotation_config([str(root / "*.log")], copy_truncate=copy_truncate), Talk()
    steps, _ = rotate(rotator(config, talk))
    (step,) = [step for step in steps if step.name == ROTATION]
    record = tmp_path / "record"
    record.write_bytes(b"".join(len(block).to_bytes(4, "big") + block for block in talk.taken_blocks))
    if thinned:
        shutil.rmtree(root / ".jamaint-trash")
    taken = Inventory(os.open(record, os.O_RDONLY))
    for dry_run in (True, False):
        outcome = rotator(config, taken=taken).undo(step, dry_run)
        if not thinned:
            assert outcome["problems"] == []
            continue
        (problem,) = outcome["problems"]
        assert problem["path"] == str(root)
        assert problem["why"].endswith("cannot be taken back: a.log")
        assert outcome["missing"] == [problem]
