"""Which tasks are due: at a cost of what is due, each once, and of what was missed the newest."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core_examples import HOUR, MINUTE, NOON, SECOND, task, utc, window
from jamaint.core.recurrence import Schedule, next_after
from jamaint.core.scheduling import timetable
from jamaint.core.scheduling.timetable import MISSED_LIMIT, Occurrence, Timetable
from jamaint.core.tasks import Task

GRACE = 3600.0
EVERY_MINUTE, EVERY_HOUR = Schedule(cron="* * * * *"), Schedule(every_seconds=3600)


def table(*tasks: Task, since: datetime = NOON) -> Timetable:
    made = Timetable({"night": window(cutoff_minutes=30)}, GRACE)
    for one in tasks:
        made.put(one, since)
    return made


def taken(made: Timetable, now: datetime) -> list[tuple[str, datetime]]:
    return [(found.task.name, found.scheduled_for) for found in made.take_due(now)]


def test_a_task_is_due_at_its_moment_and_not_before_and_not_twice() -> None:
    made = table(task(schedule=Schedule(cron="0 13 * * *")))
    assert made.wake_at() == made.next_of("cleanup") == NOON + HOUR
    assert taken(made, NOON + HOUR - SECOND / 1000) == []
    assert taken(made, NOON + HOUR) == [("cleanup", NOON + HOUR)]
    assert taken(made, NOON + HOUR) == []
    assert made.wake_at() == NOON + 25 * HOUR


def test_an_occurrence_may_start_for_as_long_as_the_grace_for_misfires() -> None:
    (found,) = table(task(schedule=EVERY_HOUR)).take_due(NOON + HOUR)
    assert found == Occurrence(task(schedule=EVERY_HOUR), NOON + HOUR, NOON + HOUR + timedelta(seconds=GRACE))


def test_a_task_of_a_window_is_due_as_it_opens_and_may_start_until_its_cutoff() -> None:
    made = table(task(schedule=Schedule(window="night")), since=utc("2026-11-24T01:00"))
    (found,) = made.take_due(utc("2026-11-24T02:00"))
    assert found.window == window(cutoff_minutes=30)
    assert found.scheduled_for == utc("2026-11-24T02:00")
    assert found.deadline == utc("2026-11-24T05:30")
    assert made.next_of("cleanup") == utc("2026-11-25T02:00")


def test_a_window_that_opens_at_another_time_takes_its_tasks_along() -> None:
    one = task(schedule=Schedule(window="night"))
    night = window(cutoff_minutes=30)
    later = replace(night, schedule=Schedule(cron="0 4 * * *"))
    old = table(one, since=utc("2026-11-24T01:00"))
    for changed, is_kept in (
        (replace(night, cutoff_minutes=5, skipped={utc("2026-11-24T02:00"): "root"}), True),
        (later, False),
        (replace(night, enabled=False), False),
    ):
        assert Timetable({"night": changed}, GRACE).keep(one, old) is is_kept
    windows = {"night": night}
    old = Timetable(windows, GRACE)
    old.put(one, utc("2026-11-24T01:00"))
    windows["night"] = later  # as the daemon keeps them
    assert not Timetable(windows, GRACE).keep(one, old)


@pytest.mark.parametrize(
    "never",
    [
        task(schedule=None),
        task(schedule=EVERY_HOUR, enabled=False),
        task(schedule=Schedule(at=NOON)),
        task(schedule=Schedule(window="no such window")),
    ],
    ids=["by hand only", "disabled", "over", "without its window"],
)
def test_some_tasks_are_never_due(never: Task) -> None:
    made = table(never)
    assert made.next_of("cleanup") is None
    assert made.wake_at() is None
    assert taken(made, NOON + 1000 * HOUR) == []


def test_a_task_of_a_window_that_is_off_is_not_due() -> None:
    made = Timetable({"night": window(enabled=False)}, GRACE)
    made.put(task(schedule=Schedule(window="night")), NOON)
    assert made.wake_at() is None


def test_a_task_that_is_put_again_is_replaced() -> None:
    made = table(task(schedule=EVERY_MINUTE), task("other", schedule=EVERY_HOUR))
    made.put(task(schedule=Schedule(cron="30 12 * * *")), NOON)
    assert made.next_of("cleanup") == NOON + 30 * MINUTE
    assert taken(made, NOON + 10 * MINUTE) == []
    made.put(task(schedule=EVERY_MINUTE, enabled=False), NOON)
    assert taken(made, NOON + HOUR) == [("other", NOON + HOUR)]


def test_a_task_that_is_put_again_as_it_was_is_due_once() -> None:
    made = table(task(schedule=EVERY_HOUR), task(schedule=EVERY_HOUR), task(schedule=EVERY_HOUR))
    assert taken(made, NOON + HOUR) == [("cleanup", NOON + HOUR)]
    assert taken(made, NOON + HOUR) == []


def test_a_task_that_is_removed_is_not_due_and_may_be_removed_again() -> None:
    made = table(task(schedule=EVERY_HOUR))
    made.remove("cleanup")
    made.remove("cleanup")
    assert made.next_of("cleanup") is None
    assert made.wake_at() is None
    assert taken(made, NOON + 5 * HOUR) == []


@pytest.mark.parametrize(
    ("schedule", "late", "newest", "missed"),
    [
        (EVERY_MINUTE, 1 * MINUTE, 1 * MINUTE, 0),
        (EVERY_MINUTE, 90 * SECOND, 1 * MINUTE, 0),
        (EVERY_MINUTE, 2 * MINUTE, 2 * MINUTE, 1),
        (EVERY_MINUTE, 10 * HOUR, 10 * HOUR, 599),
        (EVERY_HOUR, 30.5 * HOUR, 30 * HOUR, 29),
        (Schedule(every_seconds=0.7 * 86400), 21 * 24 * HOUR, 0.7 * 30 * 24 * HOUR, 29),
        (Schedule(cron="0 13 * * *"), 21 * 24 * HOUR, 20 * 24 * HOUR + HOUR, 20),
        (Schedule(at=NOON + HOUR), 24 * HOUR, HOUR, 0),
        (Schedule(window="night"), 3 * 24 * HOUR, 62 * HOUR, 2),
    ],
)
def test_of_several_that_were_missed_the_newest_stands_for_all(
    schedule: Schedule, late: timedelta, newest: timedelta, missed: int
) -> None:
    made = table(task(schedule=schedule))
    first = made.next_of("cleanup")
    (found,) = made.take_due(NOON + late)
    assert (found.scheduled_for, found.missed) == (NOON + newest, missed)
    assert found.missed_since == (first if missed else None)
    following = made.next_of("cleanup")
    assert following is None or NOON + late < following
    assert taken(made, NOON + late) == []


@pytest.mark.parametrize(
    "schedule",
    [
        EVERY_MINUTE,
        Schedule(every_seconds=7),
        Schedule(every_seconds=8 * 3600),
        Schedule(cron="*/5 2 * * *", timezone="Europe/Berlin"),
        Schedule(cron="* * 29 11 *"),
    ],
    ids=["each minute", "each 7 seconds", "each 8 hours", "at night", "on one day"],
)
def test_after_a_year_the_newest_is_still_found_and_the_count_says_at_least(
    schedule: Schedule, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = counted_calls(monkeypatch)
    made, now = table(task(schedule=schedule)), NOON + 365 * 24 * HOUR
    (found,) = made.take_due(now)
    assert found.missed == MISSED_LIMIT
    following = made.next_of("cleanup")
    assert following is not None
    assert found.scheduled_for <= now < following
    assert next_after(schedule, found.scheduled_for, found.scheduled_for) == following
    assert len(calls) < MISSED_LIMIT + 100


def test_an_interval_keeps_its_beat_however_late_it_is_looked_at() -> None:
    made, random = table(task(schedule=EVERY_HOUR)), Random(3)
    now = NOON
    for _ in range(200):
        now += random.uniform(1, 9000) * SECOND
        for found in made.take_due(now):
            assert (found.scheduled_for - NOON) % HOUR == timedelta(0)
            assert now - HOUR < found.scheduled_for <= now


class CountedMoment(datetime):
    """A moment that counts how often moments are compared."""

    compared = 0

    def __lt__(self, other: Any) -> bool:
        CountedMoment.compared += 1
        return super().__lt__(other)

    def __eq__(self, other: object) -> bool:
        CountedMoment.compared += 1
        return super().__eq__(other)

    __hash__ = datetime.__hash__


def counted_calls(monkeypatch: pytest.MonkeyPatch) -> list[Schedule]:
    calls: list[Schedule] = []

    def counted(schedule: Schedule, moment: datetime, last: datetime | None = None) -> datetime | None:
        calls.append(schedule)
        return next_after(schedule, moment, last)

    monkeypatch.setattr(timetable, "next_after", counted)
    return calls


def moments_ahead(count: int) -> Iterator[datetime]:
    """One moment a minute ahead, and the others in no order within the hour after it."""
    yield NOON + MINUTE
    random = Random(7)
    for _ in range(count - 1):
        yield NOON + HOUR + random.random() * HOUR


def cost_of_one_due(defined: int, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """How often one that is due among `defined` tasks makes moments be compared, and schedules be reckoned."""
    moments = [CountedMoment.fromtimestamp(moment.timestamp(), UTC) for moment in moments_ahead(defined)]
    made = table(*(task(f"t{number}", schedule=Schedule(at=moment)) for number, moment in enumerate(moments)))
    calls = counted_calls(monkeypatch)
    CountedMoment.compared = 0
    assert taken(made, NOON + 2 * MINUTE) == [("t0", NOON + MINUTE)]
    return CountedMoment.compared, len(calls)


def test_what_is_due_costs_no_more_for_many_tasks_that_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    few, calls_for_few = cost_of_one_due(10, monkeypatch)
    many, calls_for_many = cost_of_one_due(10_000, monkeypatch)
    assert calls_for_few == calls_for_many
    assert many - few <= 4 * 10  # taking the first of a heap: a few comparisons for each doubling


def test_ten_thousand_tasks_come_due_each_in_its_turn() -> None:
    tasks = [task(f"t{n}", schedule=Schedule(every_seconds=60 + n % 60)) for n in range(10_000)]
    made = table(*tasks)
    counts = {one.name: 0 for one in tasks}
    now = NOON
    while now < NOON + 10 * MINUTE:
        now = made.wake_at() or NOON
        for found in made.take_due(now):
            assert found.scheduled_for == now
            assert found.missed == 0
            counts[found.task.name] += 1
    seconds = (now - NOON).total_seconds()
    assert counts == {one.name: seconds // (60 + n % 60) for n, one in enumerate(tasks)}


def test_what_was_replaced_many_times_leaves_nothing_behind_that_costs() -> None:
    made = table(task("other", schedule=Schedule(at=NOON + HOUR)))
    for seconds in range(5000, 0, -1):
        moment = CountedMoment.fromtimestamp((NOON + seconds * SECOND / 2).timestamp(), UTC)
        made.put(task(schedule=Schedule(at=moment)), NOON)
    made.remove("cleanup")
    CountedMoment.compared = 0
    assert taken(made, NOON + HOUR) == [("other", NOON + HOUR)]
    assert CountedMoment.compared < 500


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["put", "remove", "take"]),
            st.sampled_from("abc"),
            st.integers(1, 20),
            st.booleans(),
        ),
        max_size=40,
    )
)
@settings(derandomize=True, deadline=None, max_examples=200)
def test_a_timetable_agrees_with_a_plain_list_of_tasks(steps: list[tuple[str, str, int, bool]]) -> None:
    made, plain, now = table(), dict[str, tuple[datetime, timedelta]](), NOON
    for step, name, number, enabled in steps:
        if step == "put":
            made.put(task(name, schedule=Schedule(every_seconds=number), enabled=enabled), now)
            plain.pop(name, None)
            if enabled:
                plain[name] = (now + number * SECOND, number * SECOND)
        elif step == "remove":
            made.remove(name)
            plain.pop(name, None)
        else:
            now += number * SECOND
            wanted = set()
            for due_name, (first, every) in list(plain.items()):
                if first <= now:
                    late = (now - first) // every
                    wanted.add((due_name, first + late * every, late))
                    plain[due_name] = (first + (late + 1) * every, every)
            assert {(found.task.name, found.scheduled_for, found.missed) for found in made.take_due(now)} == wanted
        assert made.wake_at() == min((first for first, _ in plain.values()), default=None)
        assert {one: made.next_of(one) for one in plain} == {one: first for one, (first, _) in plain.items()}
