"""Looking beside the loop: nothing that hangs or is slow holds anybody up; each question is asked once at a time."""

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from jamaint.core.conditions import Unknown
from jamaint.core.tasks import Condition
from jamaint.daemon.scheduling import condition_facts
from jamaint.daemon.scheduling.condition_facts import FRESH_SECONDS, PATIENCE_SECONDS, Looking
from jamaint.daemon.scheduling.while_running import HOLDER, WATCH_SECONDS, Watching
from jamaint.probes.local import ProbeContext

QUICK, SLOW = Condition("load_average", {"max": 1}), Condition("tcp", {"host": "h", "port": 1})
FOREVER = float("inf")


class Machine:
    """What is looked at instead of the machine: each kind takes its time, and is counted."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.facts: dict[str, Any] = {}
        self.looked: list[str] = []
        self.woken = 0

    async def look(self, condition: Condition, _outside: ProbeContext) -> Any:
        self.looked.append(condition.kind)
        await trio.sleep(self.seconds.get(condition.kind, 0))
        return self.facts.get(condition.kind, condition.kind)

    def wake(self) -> None:
        self.woken += 1


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine()
    monkeypatch.setattr(condition_facts, "look", found.look)
    return found


@pytest.fixture
async def eyes(machine: Machine, nursery: trio.Nursery) -> Looking:
    found = Looking(ProbeContext(), machine.wake)
    await nursery.start(found.serve)
    return found


async def test_what_comes_at_once_is_there(machine: Machine, eyes: Looking, autojump_clock: MockClock):
    assert (await eyes.facts([QUICK])).answer(QUICK) == "load_average"
    assert machine.woken == 0


async def test_nothing_is_asked_where_nobody_asks(machine: Machine, eyes: Looking):
    assert (await eyes.facts([])).found == {}
    assert machine.looked == []


async def test_what_is_slow_is_pending_and_wakes_the_loop_when_it_is_known(
    machine: Machine, eyes: Looking, autojump_clock: MockClock
):
    machine.seconds["tcp"] = 3.0
    began = trio.current_time()
    facts = await eyes.facts([QUICK, SLOW])
    assert trio.current_time() - began == PATIENCE_SECONDS
    assert (facts.answer(QUICK), facts.answer(SLOW).is_pending) == ("load_average", True)
    await trio.sleep(3)
    assert machine.woken == 1
    assert (await eyes.facts([SLOW])).answer(SLOW) == "tcp"
    assert machine.looked.count("tcp") == 1


async def test_whoever_has_patience_waits_for_it(machine: Machine, eyes: Looking, autojump_clock: MockClock):
    machine.seconds["tcp"] = 30.0
    assert (await eyes.facts([SLOW], patience=FOREVER)).answer(SLOW) == "tcp"


async def test_two_that_ask_the_same_at_once_have_one_look(
    machine: Machine, eyes: Looking, nursery: trio.Nursery, autojump_clock: MockClock
):
    machine.seconds["tcp"] = 3.0
    async with trio.open_nursery() as both:
        for _ in range(2):
            both.start_soon(eyes.facts, [SLOW, SLOW], FOREVER)
    assert machine.looked == ["tcp"]


async def test_what_is_old_is_looked_at_anew(machine: Machine, eyes: Looking, autojump_clock: MockClock):
    await eyes.facts([QUICK])
    await trio.sleep(FRESH_SECONDS - 0.1)
    await eyes.facts([QUICK])
    assert len(machine.looked) == 1
    await trio.sleep(0.2)
    machine.facts["load_average"] = Unknown("gone")
    assert (await eyes.facts([QUICK])).answer(QUICK) == Unknown("gone")


async def test_whoever_is_cancelled_leaves_the_look_to_the_others(
    machine: Machine, eyes: Looking, autojump_clock: MockClock
):
    machine.seconds["tcp"] = 3.0
    with trio.move_on_after(1):
        await eyes.facts([SLOW], patience=FOREVER)
    assert (await eyes.facts([SLOW], patience=FOREVER)).answer(SLOW) == "tcp"
    assert machine.looked == ["tcp"]


class Steered:
    """What the runner would do."""

    def __init__(self) -> None:
        self.done: list[tuple[str, ...]] = []

    def pause(self, ident: str, why: str, holder: str) -> None:
        self.done.append(("pause", why, holder))

    def resume(self, ident: str, holder: str) -> bool:
        self.done.append(("resume", holder))
        return True

    def stop(self, ident: str, kind: str, detail: str) -> bool:
        self.done.append(("stop", kind, detail))
        return True


class GrantedName:
    id = "e1"
    task_name = "cleanup"


BUSY = Condition("processor", {"max": 0.5}, "pause")
GONE = Condition("tcp", {"host": "h", "port": 1}, "abort")


async def test_what_runs_is_paused_resumed_and_stopped_as_its_conditions_go(
    machine: Machine, eyes: Looking, nursery: trio.Nursery, autojump_clock: MockClock
):
    runner: Any = Steered()
    machine.facts.update(processor=0.2, tcp="")
    log: Any = None
    named: Any = GrantedName()
    nursery.start_soon(Watching(eyes, runner, log).watch, named, (BUSY, GONE))
    courses: list[tuple[str, ...]] = []
    for facts in ({}, {"processor": 0.9}, {}, {"processor": 0.3}, {"processor": 0.8}, {"tcp": "connection refused"}):
        machine.facts.update(facts)
        await trio.sleep(WATCH_SECONDS)
        await wait_all_tasks_blocked()
        courses = runner.done
    assert [step[0] for step in courses] == ["pause", "resume", "pause", "stop"]
    assert courses[0] == ("pause", "the processors are 90% busy, over 50%", HOLDER)
    assert courses[-1][1] == "condition"
    assert "h port 1 takes no connection: connection refused" in courses[-1][2]
    looks = len(machine.looked)
    await trio.sleep(WATCH_SECONDS * 3)
    assert len(machine.looked) == looks  # it has asked to stop: no more is looked at
