"""Somebody who swaps directories and files under temp.cleanup gets nothing by it, and loses nothing young."""

import itertools
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from jamaint.core.plans import Step
from jamaint.executors.shared import age_cleanup
from jamaint.executors.shared.executor import StepError, Work
from jamaint.executors.temp_cleanup.executor import TempCleanup
from jamaint.files.cleanup import sweep_step
from jamaint.files.use.open_files import OpenFiles
from logs_cleanup_runs import DAY, EVERYTHING, NOW, Talk, age_directories, fast_directory, put
from tree_snapshot import differences, snapshot

sys.path.insert(0, str(Path(__file__).parent))
from test_logs_attacker import Attack, attacker, swap

FILES = 12


@pytest.fixture(autouse=True)
def no_other_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The attacker holds nothing open, and looking takes most of a run's time here."""
    for module in (age_cleanup, sweep_step):
        monkeypatch.setattr(module, "open_files", OpenFiles)


@pytest.fixture
def top(tmp_path: Path) -> Iterator[Path]:
    with fast_directory(tmp_path) as path:
        yield path


def a_tree(top: Path) -> tuple[Path, Path]:
    for place in ("root/a/b", "canary/b", "canary/a/b"):
        for number in range(FILES):
            put(top / place / f"{number}", 40, f"{place} {number}".encode())
    for number in range(FILES):
        put(top / "root/mixed" / f"{number}", 40 if number % 2 else 1)
    age_directories(top)
    return top / "root", top / "canary"


def temp(root: Path, execution: str = "e", keeps: bool = True) -> TempCleanup:
    by = {"files": ["modification"], "directories": ["modification"]}
    path = {"path": str(root), "age_seconds": 10 * DAY, "age_by": by, "pattern": None, "exclude": [], "unit": "file"}
    work = Work(
        execution=execution,
        task_name="temp",
        config={"paths": [path]},
        keeps_way_back=keeps,
        mass_deletion=EVERYTHING,
        timeout_seconds=None,
        now=NOW,
        low_space=0.0,
    )
    return TempCleanup(work, Talk())


def one_run(root: Path, number: int, keeps: bool = True) -> Step:
    worker = temp(root, f"e-{number}", keeps)
    step = worker.plan().steps[0]
    with suppress(StepError):  # nothing could be done: the directory was away
        worker.run(step)
    return step


@pytest.mark.parametrize(
    ("real", "target"),
    [("root/a/b", "canary/b"), ("root/a", "canary/a"), ("root", "canary")],
    ids=["directory", "above", "root"],
)
@pytest.mark.parametrize("keeps", [True, False], ids=["trash", "direct"])
def test_a_directory_that_is_swapped_for_a_link(top: Path, real: str, target: str, keeps: bool) -> None:
    root, canary = a_tree(top)
    before = snapshot(canary)
    held = os.open(root, os.O_PATH)  # by its path, the refill below would itself follow the link
    with attacker(swap(top / real, top / "aside", top / target)) as attack:
        for run in itertools.takewhile(attack.goes_on, itertools.count()):
            with suppress(StepError):
                step = one_run(root, run, keeps)
                if keeps:
                    temp(root).undo(step, False)
            if not keeps:
                with suppress(OSError):
                    for number in range(FILES):
                        put(Path(f"/proc/self/fd/{held}/mixed/{number}"), 40)
    os.close(held)
    assert differences(before, snapshot(canary)) == []


def test_a_young_file_in_a_directory_that_goes_whole_is_never_purged(top: Path) -> None:
    root, _ = a_tree(top)
    place = root / "a" / "b"

    def once(number: int) -> None:
        fresh = top / "fresh"
        fresh.write_bytes(f"fresh {number}".encode())
        os.makedirs(place, exist_ok=True)
        os.rename(fresh, place / "fresh")
        with suppress(OSError):
            os.unlink(place / "fresh")
        age_directories(root / "a")

    attack = Attack()
    for run in itertools.takewhile(attack.goes_on, itertools.count()):
        with attacker(once, attack):
            step = one_run(root, run)
            worker = temp(root)
            purged = worker.purge(step)
            told = [item for item in purged["problems"] if "not taken on purpose" not in item["why"]]
            assert told == []
        put(place / "old", 40)
        age_directories(root / "a")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make directories of other users")
def test_undo_puts_nothing_into_a_directory_that_is_another_users_by_now(top: Path) -> None:
    root, hers, nobody = top / "root", top / "root" / "hers", 65534
    put(hers / "below" / "key", 40, b"a key")
    put(hers / "young", 1)
    age_directories(top)
    root.chmod(0o1777)
    hers.chmod(0o700)
    step = one_run(root, 1)
    os.rename(hers, top / "her own")
    hers.mkdir()
    os.chown(hers, nobody, nobody)
    foreseen, found = temp(root).undo(step, True), temp(root).undo(step, False)
    assert list(hers.iterdir()) == []
    assert foreseen == found
    assert (found["restored"], found["problems"]) == (0, [])
    assert [one["path"] for one in found["kept"]] == [f"{hers}/below"]
    assert "belongs to nobody now, and belonged to root" in found["kept"][0]["why"]
    os.chown(hers, 0, 0)
    assert temp(root).undo(step, False)["kept"] == []
    assert (hers / "below" / "key").read_bytes() == b"a key"
