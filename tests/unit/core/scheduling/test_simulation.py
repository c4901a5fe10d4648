"""Simulation: the very scheduler on a clock that jumps; what it answers, and that it answers the same twice."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from core_examples import HOUR, MINUTE, NOON, task, utc, window
from jamaint.core.calendar.freezes import Freeze, FreezeState
from jamaint.core.calendar.windows import Window, next_opening, opening_at
from jamaint.core.guards.guard import Snapshot
from jamaint.core.recurrence import After, Schedule
from jamaint.core.scheduling.simulation import UNKNOWN_SECONDS, Forecast, Look, Scenario, never_run, simulate, too_full
from jamaint.core.scheduling.timetable import Timetable
from jamaint.core.tasks import Dependency, Task

DAY = 24 * HOUR
NIGHTLY = Schedule(window="night")


def looking(windows: Mapping[str, Window], **settings: Any) -> Look:
    def look(moment: datetime) -> tuple[Snapshot, datetime | None]:
        found = {name: opening for name, one in windows.items() if (opening := opening_at(one, moment)) is not None}
        turns = [opening.end for opening in found.values()]
        turns += [following.start for one in windows.values() if (following := next_opening(one, moment)) is not None]
        return Snapshot((), openings=found, **settings), min(turns, default=None)

    return look


def forecast(
    *tasks: Task,
    windows: Sequence[Window] = (),
    days: float = 3,
    minutes: Mapping[str, Sequence[float]] | None = None,
    **more: Any,
) -> Forecast:
    """`minutes` are how long each task's executions took so far."""
    named = {one.name: one for one in windows}
    timetable = Timetable(named, 3600)
    for one in tasks:
        timetable.put(one, NOON)
    durations = {name: [round(length * 60_000) for length in lengths] for name, lengths in (minutes or {}).items()}
    settings = {key: more.pop(key) for key in ("max_concurrent", "freezes") if key in more}
    return simulate(Scenario(tasks, timetable, looking(named, **settings), NOON, NOON + days * DAY, durations, **more))


def test_what_would_run_when() -> None:
    found = forecast(task(schedule=Schedule(cron="0 3 * * *")), minutes={"cleanup": [5]})
    assert [(one.starts_at, one.ends_at) for one in found.runs] == [
        (utc(f"2026-11-{day}T03:00"), utc(f"2026-11-{day}T03:05")) for day in (25, 26, 27)
    ]
    assert (found.tasks["cleanup"].runs, found.tasks["cleanup"].busy_seconds) == (3, 900)


def test_what_never_ran_is_taken_to_last_a_minute() -> None:
    found = forecast(task(schedule=Schedule(cron="0 3 * * *")), days=1)
    assert [one.ends_at for one in found.runs] == [utc("2026-11-25T03:00") + timedelta(seconds=UNKNOWN_SECONDS)]


def test_a_time_out_cuts_it() -> None:
    found = forecast(task(schedule=Schedule(cron="0 3 * * *"), timeout_seconds=60), minutes={"cleanup": [5]}, days=1)
    assert found.runs[0].ends_at == utc("2026-11-25T03:01")


def test_durations_are_drawn_and_the_same_seed_draws_the_same() -> None:
    every = task(schedule=Schedule(every_seconds=3600))
    lengths = {"cleanup": [1, 2, 3, 4, 5]}
    one, same, other = (forecast(every, minutes=lengths, seed=seed) for seed in (1, 1, 2))
    assert one == same
    assert one.runs != other.runs
    lasted = {(run.ends_at - run.starts_at) // MINUTE for run in one.runs if run.ends_at and run.starts_at}
    assert lasted == {1, 2, 3, 4, 5}


def test_room_is_kept_and_the_most_urgent_goes_first() -> None:
    at = Schedule(at=NOON + HOUR)
    tasks = [
        task(name, schedule=at, priority=priority) for name, priority in (("a", "low"), ("b", "high"), ("c", "low"))
    ]
    found = forecast(*tasks, minutes={name: [10] for name in "abc"}, max_concurrent=1)
    assert [(one.task, one.starts_at) for one in found.runs] == [
        ("b", NOON + HOUR), ("a", NOON + HOUR + 10 * MINUTE), ("c", NOON + HOUR + 20 * MINUTE)
    ]  # fmt: skip
    assert found.most_at_once == 1
    assert found.tasks["c"].longest_wait_seconds == 1200


def test_a_window_that_is_too_full_says_so() -> None:
    """Of five tasks of ninety minutes, one at a time, two can begin before the cutoff of three and a half hours."""
    night = window(max_concurrent_tasks=1, cutoff_minutes=90)
    tasks = [task(f"t{number}", schedule=NIGHTLY) for number in range(5)]
    found = forecast(*tasks, windows=[night], minutes={one.name: [90] for one in tasks}, days=1)
    told = found.windows["night"]
    assert (told.openings, told.runs, told.skipped) == (1, 2, 3)
    assert told.fullest == pytest.approx(180 / 240)
    assert told.fullest_at == utc("2026-11-25T02:00")
    skipped = [one for one in found.runs if one.ends_at is None]
    assert {one.guard for one in skipped} <= {"window_concurrency", "fit"}


def test_too_full_window_is_told_with_the_skips_for_want_of_room() -> None:
    night = window(max_concurrent_tasks=1, cutoff_minutes=90)
    tasks = [task(f"t{number}", schedule=NIGHTLY) for number in range(5)]
    found = forecast(*tasks, windows=[night], minutes={one.name: [90] for one in tasks}, days=1)
    assert too_full(found) == [("night", "3 of 5 would be skipped for lack of room in 1 opening")]


def test_too_full_leaves_out_a_window_whose_task_is_frozen() -> None:
    frozen = FreezeState(Freeze("year-end", ()), True, NOON + 30 * DAY)
    found = forecast(task(schedule=NIGHTLY), windows=[window()], days=3, freezes=(frozen,))
    assert found.windows["night"].skipped == 3
    assert too_full(found) == []
    assert "freeze year-end" in never_run(found)[0][1]


def test_what_runs_past_the_end_of_its_window_is_told() -> None:
    found = forecast(task(schedule=NIGHTLY), windows=[window()], minutes={"cleanup": [300]}, days=2)
    assert found.tasks["cleanup"].past_the_end == found.tasks["cleanup"].runs == 2
    stopped = forecast(
        task(schedule=NIGHTLY, on_window_end="cancel"), windows=[window()], minutes={"cleanup": [300]}, days=2
    )
    assert stopped.tasks["cleanup"].past_the_end == 0
    assert stopped.runs[0].ends_at == utc("2026-11-25T06:00")


def test_what_pauses_goes_on_in_the_next_opening_and_what_comes_due_there_is_told_so() -> None:
    """Five hours in openings of four: an hour is left for the second night, and the third night begins anew."""
    patient = task(schedule=NIGHTLY, on_window_end="pause")
    found = forecast(patient, windows=[window()], minutes={"cleanup": [300]}, days=3)
    assert [(one.starts_at, one.ends_at) for one in found.runs] == [
        (None, None),
        (utc("2026-11-25T02:00"), utc("2026-11-26T03:00")),
    ]
    assert found.runs[0].guard == "previous_running"
    assert (found.tasks["cleanup"].busy_seconds, found.tasks["cleanup"].past_the_end) == (5 * 3600, 0)


def test_dependencies_and_what_comes_after_another_are_followed() -> None:
    tasks = (
        task("backup", schedule=Schedule(cron="0 3 * * *")),
        task("report", schedule=Schedule(after=After("backup"))),
        task("check", schedule=Schedule(cron="0 3 * * *"), dependencies=(Dependency("backup"),)),
        task("again", schedule=Schedule(every_seconds=7200, since_end=True)),
    )
    minutes = {"backup": [7], "report": [1], "check": [1], "again": [30]}
    found = forecast(*tasks, minutes=minutes, days=1)
    began = {(one.task, one.starts_at) for one in found.runs}
    assert ("report", utc("2026-11-25T03:07")) in began
    assert ("check", utc("2026-11-25T03:07")) in began
    assert [at for name, at in sorted(began) if name == "again"][:3] == [
        NOON + 2 * HOUR, NOON + 4.5 * HOUR, NOON + 7 * HOUR
    ]  # fmt: skip


def test_it_is_bounded_and_says_how_far_it_came() -> None:
    found = forecast(task(schedule=Schedule(every_seconds=60)), days=30, longest=100, most=10)
    assert found.decisions == 100
    assert NOON < found.until < NOON + DAY
    assert (len(found.runs), found.left_out > 0) == (10, True)


def test_whoever_asked_can_end_it() -> None:
    class StoppedError(Exception):
        pass

    def stop() -> None:
        raise StoppedError

    timetable = Timetable({}, 3600)
    with pytest.raises(StoppedError):
        simulate(Scenario((), timetable, looking({}), NOON, NOON + DAY), stop)
