"""A daemon whose clock is set either way, which is suspended, or was away: nothing is lost, nothing doubled."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
import trio
import trio.testing

from fake_clocks import FakeClock, Hand
from jamaint.config import load
from jamaint.core.executions import Execution
from jamaint.core.scheduling.timetable import MISSED_ROWS
from jamaint.daemon.app import App
from jamaint.daemon.scheduling.due import of_request
from jamaint.store import executions

START = datetime(2026, 11, 24, 11, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOURLY = {"cron": "0 * * * *", "timezone": "UTC"}


class Place:
    """A daemon that serves on a clock by hand."""

    def __init__(self, app: App, hand: Hand, said: list[str]) -> None:
        self.app = app
        self.hand = hand
        self.said = said

    async def settled(self) -> None:
        """Returns when the scheduler sleeps and nothing runs."""
        quiet = 0
        while quiet < 2:
            await trio.testing.wait_all_tasks_blocked()
            await self.app._scheduler.drained()
            await self.app._recorder.run(executions.page, limit=1)  # in its turn: what is being written is written then
            quiet = quiet + 1 if self._clock.waits and not self._clock.is_called else 0

    async def advance(self, seconds: float) -> None:
        """Time passes."""
        self.hand.advance(seconds)
        await self.settled()

    async def set(self, moment: datetime) -> None:
        """The wall clock is set."""
        self.hand.set(moment)
        await self.settled()

    async def all(self, task: str = "a") -> list[Execution]:
        """The task's executions, the oldest first."""
        found: list[Execution] = await self.app._recorder.run(executions.page, task=task, limit=1000)
        return found[::-1]

    async def rows(self, task: str = "a") -> list[Execution]:
        """Those of them that were not missed and given up."""
        return [one for one in await self.all(task) if one.trigger != "missed"]

    async def runs(self, task: str = "a") -> list[tuple[str, str]]:
        """When each was due, and what became of it."""
        return [(f"{one.scheduled_for:%d %H:%M}", one.status.value) for one in await self.rows(task)]

    @property
    def _clock(self) -> FakeClock:
        return self.hand.clocks[0]


@asynccontextmanager
async def serving(directory: Path, dsn: str, hand: Hand, **sections: Any) -> AsyncIterator[Place]:
    usual = {
        "database": {"dsn": dsn},
        "state_dir": str(directory / "state"),
        "socket": {"path": str(directory / "sock")},
    }
    path = directory / "jamaintd.yaml"
    path.write_text(json.dumps({**usual, **sections}))
    said: list[str] = []
    log = structlog.wrap_logger(_Said(said), processors=[lambda _logger, _name, event: event["event"]])

    def read() -> Any:
        return load(str(path), environ={}, euid=os.geteuid())

    hand.clocks.clear()
    app = App(read(), read, log, clocks=hand.clock)
    async with trio.open_nursery() as nursery:
        await nursery.start(app.serve)
        place = Place(app, hand, said)
        await place.settled()
        yield place
        app.stop()


class _Said:
    def __init__(self, said: list[str]) -> None:
        self._said = said

    def msg(self, message: str) -> None:
        self._said.append(message)

    debug = info = warning = error = critical = exception = msg


def noop(**schedule: Any) -> dict[str, Any]:
    return {"executor": "noop", "schedule": schedule}


async def test_set_forwards_the_newest_that_was_missed_runs_once(database: str, tmp_path: Path) -> None:
    async with serving(tmp_path, database, Hand(START), tasks={"a": noop(**HOURLY)}) as place:
        await place.set(START + 3 * HOUR)
        assert await place.runs() == [("24 14:00", "completed")]
        assert any("the wall clock was changed by +10800.0 s" in line for line in place.said)
        await place.advance(1800)
        assert (await place.runs())[1:] == [("24 15:00", "completed")]


async def test_set_backwards_over_what_has_just_run_it_is_not_run_again(database: str, tmp_path: Path) -> None:
    windows = {"w": {"schedule": {"cron": "0 12 * * *"}, "duration": 60, "timezone": "UTC"}}
    tasks = {"a": noop(**HOURLY), "b": noop(window="w")}
    async with serving(tmp_path, database, Hand(START), tasks=tasks, windows=windows) as place:
        await place.advance(1800)
        assert await place.runs() == await place.runs("b") == [("24 12:00", "completed")]
        await place.set(START)
        assert any("the wall clock was changed by -1800.0 s" in line for line in place.said)
        await place.advance(1800)
        assert await place.runs() == await place.runs("b") == [("24 12:00", "completed")]
        await place.advance(3600)
        assert await place.runs() == [("24 12:00", "completed"), ("24 13:00", "completed")]


async def test_a_year_ahead_and_back_silences_nothing(database: str, tmp_path: Path) -> None:
    hand = Hand(START)
    async with serving(tmp_path, database, hand, tasks={"a": noop(**HOURLY)}) as place:
        await place.set(START.replace(year=2027))
        assert [one.scheduled_for.year for one in await place.rows()] == [2027]
        await place.set(START + timedelta(minutes=5))
        await place.advance(1500)
        assert (await place.runs())[0] == ("24 12:00", "completed")
    async with serving(tmp_path, database, hand, tasks={"a": noop(**HOURLY)}) as place:  # the row of 2027 is there
        await place.advance(3600)
        assert (await place.runs())[:2] == [("24 12:00", "completed"), ("24 13:00", "completed")]


async def test_a_whole_window_that_was_leapt_over_is_told_of(database: str, tmp_path: Path) -> None:
    windows = {"w": {"schedule": {"cron": "0 12 * * *"}, "duration": 60, "timezone": "UTC"}}
    async with serving(tmp_path, database, Hand(START), tasks={"a": noop(window="w")}, windows=windows) as place:
        await place.set(START + 5 * HOUR)
        (row,) = await place.rows()
        assert (row.status.value, row.reasons[0]["guard"]) == ("cancelled", "misfire")
        await place.set(START + 5 * HOUR + timedelta(minutes=1))
        assert len(await place.rows()) == 1


async def test_a_suspend_is_no_clock_that_was_set(database: str, tmp_path: Path) -> None:
    async with serving(tmp_path, database, Hand(START), tasks={"a": noop(**HOURLY)}) as place:
        place.hand.suspend(2 * 3600)
        await place.settled()
        assert await place.runs() == [("24 13:00", "completed")]
        assert "the machine was suspended for 7200 s" in place.said
        assert not any("was set by" in line for line in place.said)


async def test_a_small_correction_changes_nothing(database: str, tmp_path: Path) -> None:
    async with serving(tmp_path, database, Hand(START), tasks={"a": noop(**HOURLY)}) as place:
        await place.advance(1800)
        await place.set(place.hand.moment - timedelta(milliseconds=400))
        await place.advance(10)
        assert await place.runs() == [("24 12:00", "completed")]
        assert not any("was set by" in line for line in place.said)


async def test_after_an_outage_what_was_missed_starts_a_few_a_minute(database: str, tmp_path: Path) -> None:
    names = [f"t{number}" for number in range(5)]
    tasks = {name: noop(**HOURLY) for name in names}
    settings = {"catch_ups_per_minute": 2, "max_concurrent_tasks": 10}
    async with serving(tmp_path, database, Hand(START), tasks=tasks, scheduler=settings) as place:
        await place.set(START + 2 * HOUR + timedelta(minutes=15))

        async def done() -> list[str]:
            return [name for name in names if await place.runs(name) == [("24 13:00", "completed")]]

        assert len(await done()) == 2
        waits = [one for name in names for one in await place.rows(name) if one.status.value == "scheduled"]
        assert len(waits) == 3
        held = [one.reasons for one in place.app._scheduler._current.all()]
        assert {reasons[0]["guard"] for reasons in held} == {"catch_up"}
        await place.advance(59)
        assert len(await done()) == 2
        await place.advance(2)
        assert len(await done()) == 4
        await place.advance(61)
        assert len(await done()) == 5


async def test_what_was_missed_while_it_was_away(database: str, tmp_path: Path) -> None:
    """For three weeks, with a task each minute: one catches up on the newest, one on none, one on its last hour."""
    hand = Hand(START)
    tasks = {
        "a": noop(cron="* * * * *", timezone="UTC"),
        "b": noop(cron="0 * * * *", timezone="UTC", catch_up="none"),
        "c": noop(cron="0 * * * *", timezone="UTC", catch_up="all", misfire_grace="3h"),
    }
    async with serving(tmp_path, database, hand, tasks=tasks):
        pass
    hand.set(START + timedelta(days=21, minutes=10))
    async with serving(tmp_path, database, hand, tasks=tasks) as place:
        *missed, row = await place.all("a")
        assert (row.status.value, row.scheduled_for) == ("completed", hand.moment)
        assert "this one stands for them" in row.reasons[0]["detail"]
        assert [one.scheduled_for for one in missed] == [
            hand.moment - timedelta(minutes=number) for number in range(MISSED_ROWS, 0, -1)
        ]
        assert {one.status.value for one in missed} == {"cancelled"}
        assert "stands for it (catch_up: one)" in missed[-1].reasons[0]["detail"]
        assert "have no record of their own" in missed[0].reasons[0]["detail"]
        given_up = await place.all("b")
        assert {one.status.value for one in given_up} == {"cancelled"}
        details = {one.reasons[0]["detail"].partition(";")[0] for one in given_up}
        assert details == {"it was missed, and its task does not catch up (catch_up: none)"}
        # Three may still start: one after the other, since a task never runs twice at once.
        for _ in range(3):
            await place.settled()
        caught_up = [one for one in await place.rows("c") if one.status.value == "completed"]
        moments = sorted(f"{one.scheduled_for:%d %H:%M}" for one in caught_up)
        assert moments == ["15 09:00", "15 10:00", "15 11:00"]


async def test_a_run_by_hand_uses_up_no_occurrence(database: str, tmp_path: Path) -> None:
    async with serving(tmp_path, database, Hand(START), tasks={"a": noop(**HOURLY)}) as place:
        task = place.app._definitions.task("a")
        await place.app._scheduler.request(of_request(task, None, "root", place.hand.moment), task)
        await place.settled()
        await place.advance(1800)
        assert await place.runs() == [("24 11:30", "completed"), ("24 12:00", "completed")]


async def test_an_interval_from_an_end_and_what_comes_after_another_survive_a_restart(
    database: str, tmp_path: Path
) -> None:
    hand = Hand(START)
    tasks = {"a": noop(every="1h", since="end"), "b": noop(after="a")}
    async with serving(tmp_path, database, hand, tasks=tasks) as place:
        await place.advance(3600)
        assert await place.runs() == await place.runs("b") == [("24 12:30", "completed")]
        await place.advance(600)
    async with serving(tmp_path, database, hand, tasks=tasks) as place:
        await place.advance(3000 - 1)
        assert len(await place.runs()) == 1
        await place.advance(1)
        assert await place.runs() == await place.runs("b") == [("24 12:30", "completed"), ("24 13:30", "completed")]
