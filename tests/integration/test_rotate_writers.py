"""While a process writes as fast as it can, rotation upon rotation: each line is there once, whole, in its order."""

import gzip
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import log_writer
from jamaint.executors.shared.executor import StepError
from logs_cleanup_runs import NOW
from logs_rotate_runs import rotate, rotation_config, rotator, undo_rotation

ROTATIONS = 12
LINE = len(b"%012d a line of some length, as lines of logs are\n" % 0)


@contextmanager
def writing(log: Path, pid_file: Path, *options: str) -> Iterator[Callable[[], int]]:
    """A writer at work; called, what is given ends it and returns how many lines it has written."""
    command = [sys.executable, log_writer.__file__, str(log), str(pid_file), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:

        def end() -> int:
            process.terminate()
            return int(process.communicate()[0])

        try:
            wait_for(pid_file.exists)
            yield end
        finally:
            process.kill()


def wait_for(holds: Callable[[], bool]) -> None:
    while not holds():
        pass


def grown(log: Path, least: int = 20) -> None:
    """Waits until the log has lines: the writer has reopened it."""
    wait_for(lambda: log.exists() and log.stat().st_size >= least * LINE)


def numbers(root: Path) -> list[int]:
    """The numbers of all lines below, in order; a torn line is a ValueError."""
    found = []
    for path in root.glob("a.log*"):
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        assert content.endswith(b"\n") or not content
        for line in content.splitlines():
            assert len(line) == LINE - 1, (path, line)
            found.append(int(line[:12]))
    return sorted(found)


def config(root: Path, tmp_path: Path, **changes: Any) -> dict[str, Any]:
    signal = {"pid_file": str(tmp_path / "pid"), "signal": "HUP"}
    return rotation_config([f"{root}/*.log"], **({"signal": signal, "keep": 1000} | changes))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs"


@pytest.mark.parametrize("create", [None, {"mode": None, "owner": None, "group": None}])
@pytest.mark.parametrize("delay", [True, False])
def test_not_one_line_is_lost(root: Path, tmp_path: Path, create: Any, delay: bool) -> None:
    mine = config(root, tmp_path, create=create, compress={"algorithm": "gzip", "delay": delay})
    with writing(root / "a.log", tmp_path / "pid") as end:
        for day in range(ROTATIONS):
            grown(root / "a.log")
            _, details = rotate(rotator(mine, now=NOW + timedelta(days=day), execution=f"e-{day}"))
            assert details["rotation"]["files"] == 1
        grown(root / "a.log")
        written = end()
    assert numbers(root) == list(range(written))
    packed = len(list(root.glob("a.log-*.gz")))
    assert packed == ROTATIONS - 1 if delay else packed >= 1


def test_not_one_line_is_lost_in_rotations_and_their_undoing(root: Path, tmp_path: Path) -> None:
    mine = config(root, tmp_path, compress={"algorithm": "gzip", "delay": False})
    with writing(root / "a.log", tmp_path / "pid") as end:
        for day in range(ROTATIONS):
            grown(root / "a.log")
            steps, _ = rotate(rotator(mine, now=NOW + timedelta(days=day), execution=f"e-{day}"))
            if day % 2:
                outcome = undo_rotation(mine, steps)
                assert outcome["problems"] == []
        grown(root / "a.log")
        written = end()
    assert numbers(root) == list(range(written))
    assert list(root.glob("a.log.written-since*"))


def test_a_writer_that_never_reopens_goes_on_in_the_rotated_log(root: Path, tmp_path: Path) -> None:
    mine = config(root, tmp_path, signal=None, compress={"algorithm": "gzip", "delay": False})
    with writing(root / "a.log", tmp_path / "pid", "append") as end:
        grown(root / "a.log")
        _, details = rotate(rotator(mine))
        assert details["compression"]["files"] == 0
        # An ordinary user does not see everybody's open files: then what is rotated waits for the next rotation.
        assert details["compression"]["skipped_count"] == (1 if os.geteuid() == 0 else 0)
        grown(root / "a.log-20261124", 1000)
        written = end()
    assert numbers(root) == list(range(written))


def test_what_copying_and_truncating_loses_is_whole_lines_in_the_middle(root: Path, tmp_path: Path) -> None:
    """How much is lost is for the machine to say: what is there is whole and there once."""
    mine = config(root, tmp_path, signal=None, copy_truncate=True)
    with writing(root / "a.log", tmp_path / "pid", "append") as end:
        for day in range(ROTATIONS):
            grown(root / "a.log")
            rotate(rotator(mine, now=NOW + timedelta(days=day), execution=f"e-{day}"))
        grown(root / "a.log")
        written = end()
    found = numbers(root)
    assert len(set(found)) == len(found)
    assert set(found) <= set(range(written))
    assert found[0] == 0
    assert found[-1] == written - 1


@pytest.mark.skipif(shutil.which("logrotate") is None, reason="needs logrotate")
def test_with_logrotate_at_the_same_log_at_the_same_time(root: Path, tmp_path: Path) -> None:
    """It locks another state file here, so neither knows of the other, and they meet as they will.

    With dates: numbers it renames itself, and overwrites.
    """
    theirs = tmp_path / "logrotate.conf"
    hup = f"postrotate\n kill -HUP $(cat {tmp_path}/pid)\n endscript"
    user = f"{root.owner()} {root.group()}"
    theirs.write_text(f"{root}/a.log {{\n rotate 1000\n create\n su {user}\n missingok\n {hup}\n}}\n")
    theirs.chmod(0o644)
    mine = config(root, tmp_path)
    with writing(root / "a.log", tmp_path / "pid") as end:
        rotated = day = 0
        while day < ROTATIONS or rotated == 0:  # as often as it takes for us to come first at least once
            day += 1
            grown(root / "a.log")
            command = ["logrotate", "-f", "-s", str(tmp_path / "state"), str(theirs)]
            with subprocess.Popen(command, stderr=subprocess.DEVNULL) as other:
                with suppress(StepError):  # it was taken from under our hands
                    _, details = rotate(rotator(mine, now=NOW + timedelta(days=day), execution=f"e-{day}"))
                    rotated += details["rotation"]["files"]
                other.wait()
        grown(root / "a.log")
        written = end()
    assert numbers(root) == list(range(written))
    assert rotated > 0
