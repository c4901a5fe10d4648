"""logs.cleanup: originals of deleted, compressed and archived logs are compared with the record of them."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from jamaint.core.plans import Step, undo_order
from jamaint.executors.shared.executor import StepError
from jamaint.files.trash.inventory import Inventory
from jamaint.files.trash.stops import NotRecordedError
from logs_cleanup_runs import DAY, Talk, executor, put, through_json

LOGS = ("deleted.log", "packed.log", "archived.log")


@pytest.fixture
def cleaned(tmp_path: Path) -> tuple[Path, Sequence[Step], dict[str, Any]]:
    """A deleted, a compressed and an archived log, and what the undo of each step is given."""
    root, archive = tmp_path / "logs", tmp_path / "archive"
    for name, age in zip(LOGS, (60, 5, 20), strict=True):
        put(root / name, age)
    archive.mkdir()
    config = {
        "log_paths": [str(root / "*.log")],
        "compress": {"algorithm": "gzip", "older_than_seconds": 2 * DAY},
        "archive": {"directory": str(archive), "older_than_seconds": 10 * DAY},
    }
    talk = Talk()
    logs = executor(host=talk, **config)
    steps = [through_json(step) for step in logs.plan().steps]
    for step in steps:
        logs.run(step)
    assert not any((root / name).exists() for name in LOGS)
    record = tmp_path / "record"
    record.write_bytes(b"".join(len(block).to_bytes(4, "big") + block for block in talk.taken_blocks))
    return root, steps, {**config, "taken": Inventory(os.open(record, os.O_RDONLY))}


def undo(steps: Sequence[Step], config: dict[str, Any]) -> list[str]:
    outcomes = [executor(**config).undo(step, False) for step in undo_order(steps)]
    return [problem["why"] for outcome in outcomes for problem in outcome["problems"]]


def trashed(root: Path, name: str) -> Path:
    (found,) = [path for path in (root / ".jamaint-trash").rglob(name) if "gone" in path.parts or "loose" in path.parts]
    return found


def test_originals_that_are_gone_are_told_of_every_step(cleaned: Any) -> None:
    root, steps, config = cleaned
    for name in LOGS:
        trashed(root, name).unlink()
    said = undo(steps, config)
    for name in LOGS:
        assert [why for why in said if "not in the trash any more" in why and name in why], said


@pytest.mark.parametrize("name", LOGS)
def test_original_that_was_edited_is_told(cleaned: Any, name: str) -> None:
    root, steps, config = cleaned
    with trashed(root, name).open("a") as file:
        file.write("more")
    (why,) = undo(steps, config)
    assert "was edited or replaced in the trash" in why
    assert why.endswith(f"as taken: {name}")


def test_whole_trash_says_nothing(cleaned: Any) -> None:
    root, steps, config = cleaned
    assert undo(steps, config) == []
    assert all((root / name).exists() for name in LOGS)


class Unrecorded(Talk):
    """A host that can record nothing."""

    def taken(self, block: bytes) -> None:
        """See Host."""
        raise NotRecordedError("no space left on device")


def test_nothing_goes_that_is_not_recorded(tmp_path: Path) -> None:
    root, archive = tmp_path / "logs", tmp_path / "archive"
    for name, age in zip(LOGS, (60, 5, 20), strict=True):
        put(root / name, age)
    archive.mkdir()
    before = {path.name: path.read_bytes() for path in root.iterdir()}
    logs = executor(
        host=Unrecorded(),
        log_paths=[str(root / "*.log")],
        compress={"algorithm": "gzip", "older_than_seconds": 2 * DAY},
        archive={"directory": str(archive), "older_than_seconds": 10 * DAY},
    )
    said = []
    for step in [through_json(step) for step in logs.plan().steps]:
        try:
            logs.run(step)
        except StepError as failure:
            said.append(failure.message)
    assert len(said) >= 2  # nothing is archived of what could not be compressed
    assert all(why.startswith("nothing more is taken") and "no space left on device" in why for why in said)
    assert {path.name: path.read_bytes() for path in root.iterdir() if path.is_file()} == before
    assert [path for path in archive.rglob("*") if path.is_file() and ".jamaint-trash" not in path.parts] == []
