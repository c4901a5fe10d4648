"""Each write of state, with its connection cut after the server has committed it and before the daemon knows."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from command_line import Scene, scene
from daemon_harness import Client
from postgres_proxy import Proxy, proxying

OLD = tuple(range(100, 105))
AGES = itertools.count(200, 10)


@pytest.fixture
def proxy(database: str) -> Iterator[Proxy]:
    with proxying(database) as found:
        yield found


@pytest.fixture
def place(proxy: Proxy) -> Iterator[Scene]:
    with scene(proxy.dsn) as found:
        directory = found.logs((*OLD, 1))
        config = {"log_paths": [f"{directory}/*.log"], "retention_days": 30}
        cleanup = {"type": "cleanup", "category": "logs", "config": config}
        found.configure(tasks={"app-logs": cleanup})
        yield found


def names(place: Scene) -> list[str]:
    return sorted(path.name for path in (place.directory / "logs" / "app").glob("*.log"))


def execute_and_undo(place: Scene, caller: Client) -> list[Any]:
    """What came of both, without times. With logs of their own: what an undo has put back is held for a while."""
    for name in names(place):
        (place.directory / "logs" / "app" / name).unlink()
    first = next(AGES)
    place.logs((*range(first, first + len(OLD)), 1))
    before = names(place)
    plan = caller.call("task.plan", task="app-logs")["hash"]
    done = caller.run("app-logs", plan=plan)
    left = len(names(place))
    undone = caller.call("execution.rollback", execution=done["id"])
    assert names(place) == before
    steps = [step["status"] for step in undone["execution"]["steps"]]
    return [done["status"], left, undone["execution"]["status"], undone["restored"], undone["kept"], steps]


def test_rollback_answer_of_its_claim_lost_is_done_all_the_same(place: Scene, proxy: Proxy) -> None:
    with place.serving() as caller:
        done = caller.run("app-logs")
        proxy.arm(1, "UPDATE rollback_points SET status")
        undone = caller.call("execution.rollback", execution=done["id"])
        assert proxy.lost is not None
        assert (undone["execution"]["status"], undone["restored"]) == ("rolled_back", len(OLD))
        assert len(names(place)) == len(OLD) + 1


def test_each_write_its_answer_lost_changes_nothing_of_what_comes(place: Scene, proxy: Proxy) -> None:
    with place.serving() as caller:
        right = execute_and_undo(place, caller)
        assert right[:4] == ["completed", 1, "rolled_back", len(OLD)]
        proxy.arm(0)
        execute_and_undo(place, caller)
        writes = len(proxy.writes)
        lost: set[str] = set()
        for number in range(1, writes + 1):
            proxy.arm(number)
            assert execute_and_undo(place, caller) == right, proxy.lost
            lost |= {proxy.lost} if proxy.lost else set()
        assert caller.call("status")["alerts"] == []
        print(f"{writes} writes of one execution and its rollback, each answer lost once; {len(lost)} statements")
        assert len(lost) >= 7
