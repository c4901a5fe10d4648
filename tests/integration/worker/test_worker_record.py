"""What a worker takes is recorded by the daemon first: it waits for the answer, and takes nothing without one."""

import os
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from jamaint.worker_client.session import open_worker
from tree_snapshot import differences, snapshot
from worker_processes import Message, marked, opening

DAY = 86400.0
LONG_AGO = 1_600_000_000


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    for directory, count in (("one", 3), ("two", 40)):
        (root / directory).mkdir(parents=True)
        for number in range(count):
            (root / directory / f"f{number:02}").write_text("x")
            os.utime(root / directory / f"f{number:02}", (LONG_AGO, LONG_AGO))
        (root / directory / "young").write_text("x")
    return root


def cleaning(execution: str, root: Path) -> Message:
    by = {"files": ["modification"], "directories": ["modification"]}
    path = {"path": str(root), "age_seconds": 10 * DAY, "age_by": by, "pattern": None, "exclude": [], "unit": "file"}
    words = opening(execution, "temp.cleanup", paths=[path])
    words["task"]["mass_deletion"] = {"share": 1.0, "items": 0}
    words["limits"]["low_space"] = 0.0
    return words


def left(root: Path) -> int:
    return sum(path.name.startswith("f") for directory in ("one", "two") for path in (root / directory).iterdir())


async def clean(execution: str, root: Path, on_taken: Callable[[Message], str | None]) -> Message:
    async def hear(line: Message) -> str | None:
        return on_taken(line) if line["is"] == "taken" else None

    async with open_worker(cleaning(execution, root), hear, print) as worker:
        plan = await worker.ask({"do": "plan"})
        return await worker.ask({"do": "run", "step": plan["steps"][0]})


async def test_files_go_after_the_answer_and_not_before(execution: str, tree: Path) -> None:
    there: list[int] = []

    def record(line: Message) -> str:
        assert b64decode(line["block"])
        there.append(left(tree))
        return ""

    answer = await clean(execution, tree, record)
    assert answer["details"]["files"] == 43
    assert there[0] == 43
    assert there[1] in (3, 40)  # the second directory, whichever that is
    assert left(tree) == 0


@pytest.mark.parametrize("said", ["no space left on device", None])
async def test_nothing_goes_that_is_not_recorded(execution: str, tree: Path, said: str | None) -> None:
    before = {directory: snapshot(tree / directory) for directory in ("one", "two")}
    answer = await clean(execution, tree, lambda _: said)
    assert (answer["is"], answer["details"]["files"]) == ("failed", 0)
    assert answer["error"]["message"].startswith("nothing more is taken, for what is taken cannot be recorded")
    assert said is None or said in answer["error"]["message"]
    for directory, seen in before.items():
        assert differences(seen, snapshot(tree / directory)) == []


async def test_nothing_goes_when_the_daemon_dies_before_it_answers(execution: str, tree: Path) -> None:
    sent = trio.Event()

    async def hear(line: Message) -> str | None:
        if line["is"] == "taken":
            sent.set()
            await trio.sleep_forever()
        return None

    async def run(words: dict[str, Any]) -> None:
        async with open_worker(words, hear, print) as worker:
            plan = await worker.ask({"do": "plan"})
            await worker.ask({"do": "run", "step": plan["steps"][0]})

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, cleaning(execution, tree))
        await sent.wait()
        nursery.cancel_scope.cancel()
    assert list(marked(execution)) == []
    assert left(tree) == 43
